package import GRPCCore
package import Logging

extension Spire_Api_Types_Logger {
    /// The wire form of the two levels that a process has.
    package init(current: Logger.Level, launch: Logger.Level) {
        self.init()
        currentLevel = Spire_Api_Types_LogLevel(current)
        launchLevel = Spire_Api_Types_LogLevel(launch)
    }
}

extension Spire_Api_Types_LogLevel {
    /// The nearest of SPIRE's levels: it has no `notice`.
    package init(_ level: Logger.Level) {
        self =
            switch level {
            case .trace: .trace
            case .debug: .debug
            case .info, .notice: .info
            case .warning: .warn
            case .error: .error
            case .critical: .fatal
            }
    }

    /// The nearest of our levels, for a request to set it.
    package func requested() throws(RPCError) -> Logger.Level {
        switch self {
        case .trace: .trace
        case .debug: .debug
        case .info: .info
        case .warn: .warning
        case .error: .error
        case .fatal, .panic: .critical
        case .unspecified:
            throw RPCError(code: .invalidArgument, message: "newLevel value cannot be LogLevel_UNSPECIFIED")
        case .UNRECOGNIZED(let number):
            throw RPCError(code: .invalidArgument, message: "unknown log level \(number)")
        }
    }
}
