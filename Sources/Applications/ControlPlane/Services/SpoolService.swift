import AuditTrail
import ControlPlaneAPI
import FoundationEssentials
import GRPCCore

/// `agentshield.node.v1.AuditSpool`: takes the events that a node agent has spooled into the log, at least once each.
struct SpoolService: Agentshield_Node_V1_AuditSpool.SimpleServiceProtocol {
    let intake: SpoolIntake

    func ship(
        request: Agentshield_Node_V1_ShipRequest, context: ServerContext
    ) async throws -> Agentshield_Node_V1_ShipResponse {
        let agent = try context.liveAgent
        let records = request.records.map { message in
            SpoolRecord(
                sequence: message.sequence, previousHash: Array(message.previousHash), event: Array(message.event))
        }
        do throws(SpoolIntakeError) {
            let acknowledged = try await intake.accept(records, fromSpool: request.source, node: agent.id)
            return .with { $0.acknowledgedSequence = acknowledged }
        } catch {
            throw RPCError(error)
        }
    }
}

extension RPCError {
    /// What a node agent is told of a shipment that was not taken; it ships again but for its own mistakes.
    init(_ error: SpoolIntakeError) {
        let code: RPCError.Code =
            switch error {
            case .tooMany, .badSpoolName, .badRecord: .invalidArgument
            case .busy: .aborted
            case .log(.storageFull): .resourceExhausted
            case .log: .unavailable
            }
        self.init(code: code, message: "the shipment was not taken")
    }
}
