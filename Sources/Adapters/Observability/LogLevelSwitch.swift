package import Logging
import Synchronization

/// The level of the process's log, which can be changed while it runs. Loggers that set a level of their own keep it.
package final class LogLevelSwitch: Sendable {
    /// The level that the process was started with.
    package let launch: Logger.Level
    private let level: Mutex<Logger.Level>

    package init(_ level: Logger.Level) {
        launch = level
        self.level = Mutex(level)
    }

    /// The level now.
    package var current: Logger.Level {
        get { level.withLock { $0 } }
        set { level.withLock { $0 = newValue } }
    }
}
