import AuditTrail
import ControlPlaneAPI
import GRPCCore
import Logging
import Observability

/// `spire.api.server.logger.v1.Logger`: the level of this process's log. What changes it is recorded.
struct LoggerService: Spire_Api_Server_Logger_V1_Logger.SimpleServiceProtocol {
    let level: LogLevelSwitch
    let log: AuditLog

    func getLogger(
        request: Spire_Api_Server_Logger_V1_GetLoggerRequest, context: ServerContext
    ) async throws -> Spire_Api_Types_Logger {
        Spire_Api_Types_Logger(level)
    }

    func setLogLevel(
        request: Spire_Api_Server_Logger_V1_SetLogLevelRequest, context: ServerContext
    ) async throws -> Spire_Api_Types_Logger {
        guard request.newLevel != .unspecified else {
            throw RPCError(code: .invalidArgument, message: "newLevel value cannot be LogLevel_UNSPECIFIED")
        }
        guard let wanted = Logger.Level(request.newLevel) else {
            throw RPCError(code: .invalidArgument, message: "unknown log level \(request.newLevel.rawValue)")
        }
        return try await set(wanted, "set", context.caller)
    }

    func resetLogLevel(
        request: Spire_Api_Server_Logger_V1_ResetLogLevelRequest, context: ServerContext
    ) async throws -> Spire_Api_Types_Logger {
        try await set(level.launch, "reset", context.caller)
    }

    private func set(
        _ wanted: Logger.Level, _ action: String, _ caller: AuthorizedCaller
    ) async throws(RPCError) -> Spire_Api_Types_Logger {
        do {
            _ = try await log.record(
                AuditEvent(
                    type: .serverLogLevel, agent: caller.audit,
                    resource: AuditEvent.ResourceField(kind: "log-level", id: wanted.rawValue),
                    decision: AuditEvent.DecisionField(action: action, result: .permit),
                    correlation: AuditEvent.CorrelationField(requestID: caller.requestID)))
        } catch {
            throw RPCError(code: .unavailable, message: "the log level cannot be changed now")
        }
        level.current = wanted
        return Spire_Api_Types_Logger(level)
    }
}

extension Spire_Api_Types_Logger {
    fileprivate init(_ level: LogLevelSwitch) {
        self.init()
        currentLevel = Spire_Api_Types_LogLevel(level.current)
        launchLevel = Spire_Api_Types_LogLevel(level.launch)
    }
}

extension Spire_Api_Types_LogLevel {
    /// The nearest of SPIRE's levels: it has no `notice`.
    fileprivate init(_ level: Logger.Level) {
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
}

extension Logger.Level {
    /// The nearest of our levels; nil for an unknown one.
    fileprivate init?(_ level: Spire_Api_Types_LogLevel) {
        switch level {
        case .trace: self = .trace
        case .debug: self = .debug
        case .info: self = .info
        case .warn: self = .warning
        case .error: self = .error
        case .fatal, .panic: self = .critical
        case .unspecified, .UNRECOGNIZED: return nil
        }
    }
}
