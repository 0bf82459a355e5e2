import Glibc
package import Logging
package import SPIFFE

/// The one place that installs a log handler.
package enum LogSetup {
    /// Installs the handler for the process and returns its logger. To be called once.
    package static func bootstrapped(
        label: String, level: LogLevelSwitch, format: LineLogHandler.Format, now: @escaping @Sendable () -> UnixTime
    ) -> Logger {
        LoggingSystem.bootstrap { name in
            LineLogHandler(label: name, level: level, format: format, now: now) { line in
                let bytes = Array("\(line)\n".utf8)
                // One write for one line, so that lines of several threads do not mix.
                _ = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
            }
        }
        return Logger(label: label)
    }
}
