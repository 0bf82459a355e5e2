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
        Spire_Api_Types_Logger(current: level.current, launch: level.launch)
    }

    func setLogLevel(
        request: Spire_Api_Server_Logger_V1_SetLogLevelRequest, context: ServerContext
    ) async throws -> Spire_Api_Types_Logger {
        try await set(request.newLevel.requested(), "set", context.caller)
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
        return Spire_Api_Types_Logger(current: level.current, launch: level.launch)
    }
}
