import JOSE
package import SPIFFE
import Synchronization

/// The nonces that DPoP proofs must carry (RFC 9449 §8): one for a while, and the one before it, so that a client which has
/// just learnt one can use it.
///
/// Nonces live in memory alone. A proof that was seen before a restart names a nonce that is gone, so the replay cache need
/// not survive one.
package final class DPoPNonces: Sendable {
    /// How long a nonce is the newest, in seconds.
    package static let lifetime: Int64 = 300

    private struct State {
        var current: String
        var previous: String?
        var since: UnixTime
    }

    // Guards the nonces of the moment.
    private let state: Mutex<State>
    private let now: @Sendable () -> UnixTime
    private let randomBytes: @Sendable (Int) -> [UInt8]

    package init(now: @escaping @Sendable () -> UnixTime, randomBytes: @escaping @Sendable (Int) -> [UInt8]) {
        self.now = now
        self.randomBytes = randomBytes
        state = Mutex(State(current: Self.draw(randomBytes), since: now()))
    }

    /// The nonce for the next proof.
    package var newest: String { accepted[0] }

    /// The nonces that count now, the newest first.
    package var accepted: [String] {
        let time = now()
        return state.withLock { state in
            let age = time.milliseconds(since: state.since)
            // A clock that was set back renews too: nobody knows how old the nonce is.
            if age >= Self.lifetime * 1000 || age < 0 {
                // After a pause of two lives the last one is too old as well.
                state.previous = (0..<(2 * Self.lifetime * 1000)).contains(age) ? state.current : nil
                state.current = Self.draw(randomBytes)
                state.since = time
            }
            return [state.current] + (state.previous.map { [$0] } ?? [])
        }
    }

    private static func draw(_ randomBytes: (Int) -> [UInt8]) -> String { Base64URL.encode(randomBytes(18)) }
}
