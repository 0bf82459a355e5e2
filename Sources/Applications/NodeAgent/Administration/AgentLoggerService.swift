import AuditTrail
import ControlPlaneAPI
import GRPCCore
import Logging
import Observability
import PeerRPC
import SPIFFE

/// `spire.api.agent.logger.v1.Logger`: the level of this process's log. What changes it is recorded first.
struct AgentLoggerService: Spire_Api_Agent_Logger_V1_Logger.SimpleServiceProtocol {
    let level: LogLevelSwitch
    let audit: AgentAudit
    let randomBytes: @Sendable (Int) -> [UInt8]

    func getLogger(
        request: Spire_Api_Agent_Logger_V1_GetLoggerRequest, context: ServerContext
    ) async throws -> Spire_Api_Types_Logger {
        state
    }

    func setLogLevel(
        request: Spire_Api_Agent_Logger_V1_SetLogLevelRequest, context: ServerContext
    ) async throws -> Spire_Api_Types_Logger {
        try await set(request.newLevel.requested(), "set", context)
    }

    func resetLogLevel(
        request: Spire_Api_Agent_Logger_V1_ResetLogLevelRequest, context: ServerContext
    ) async throws -> Spire_Api_Types_Logger {
        try await set(level.launch, "reset", context)
    }

    private var state: Spire_Api_Types_Logger { Spire_Api_Types_Logger(current: level.current, launch: level.launch) }

    private func set(
        _ wanted: Logger.Level, _ action: String, _ context: ServerContext
    ) async throws(RPCError) -> Spire_Api_Types_Logger {
        let process = context.connectionPeer?.process
        let event = AuditEvent(
            type: .agentLogLevel,
            agent: AuditEvent.AgentField(
                authMethod: .unixSocket, peer: process.map { AuditEvent.PeerField(uid: $0.uid, pid: $0.pid) }),
            resource: AuditEvent.ResourceField(kind: "log-level", id: wanted.rawValue),
            decision: AuditEvent.DecisionField(action: action, result: .permit),
            correlation: AuditEvent.CorrelationField(requestID: HexText.encode(randomBytes(16))))
        guard await audit.mayPass(event) else {
            throw RPCError(code: .unavailable, message: "the log level cannot be changed now")
        }
        level.current = wanted
        return state
    }
}
