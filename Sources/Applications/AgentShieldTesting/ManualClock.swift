package import SPIFFE
import Synchronization

/// A clock that stands still until a test moves it.
package final class ManualClock: Sendable {
    // Guards the moment.
    private let moment: Mutex<UnixTime>

    package init(_ start: UnixTime) {
        moment = Mutex(start)
    }

    /// The moment that the clock shows.
    package var time: UnixTime { moment.withLock { $0 } }

    /// The form in which time is handed in.
    package var now: @Sendable () -> UnixTime { { self.time } }

    /// Moves the clock; backwards with a negative number.
    package func advance(seconds: Int64) {
        moment.withLock { $0 = $0 + seconds }
    }

    /// Puts the clock to a moment.
    package func set(_ time: UnixTime) {
        moment.withLock { $0 = time }
    }
}
