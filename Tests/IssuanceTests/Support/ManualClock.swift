import SPIFFE
import Synchronization

@testable import Issuance

/// A clock that stands still until a test moves it.
final class ManualClock: Sendable {
    private let time: Mutex<UnixTime>

    init(_ time: UnixTime = UnixTime(seconds: 1_800_000_000)) { self.time = Mutex(time) }

    var now: UnixTime { time.withLock(\.self) }

    func advance(seconds: Int64) { time.withLock { $0 = $0 + seconds } }

    func set(_ new: UnixTime) { time.withLock { $0 = new } }

    var read: Clock { { self.now } }
}

/// Random-looking bytes that are the same in every run.
final class SeededBytes: Sendable {
    private let state: Mutex<UInt64>

    init(seed: UInt64) { state = Mutex(seed) }

    var draw: RandomBytes {
        { count in
            self.state.withLock { state in
                (0..<count).map { _ in
                    // xorshift64*.
                    state ^= state >> 12
                    state ^= state << 25
                    state ^= state >> 27
                    return UInt8(truncatingIfNeeded: (state &* 0x2545_f491_4f6c_dd1d) >> 56)
                }
            }
        }
    }
}
