import AuditTrail
import ControlPlaneAPI
import GRPCCore
import Issuance
import PeerRPC
import Registry

/// Records what is wrong with the request of an authorized caller: as a whole, or one item of a batch.
///
/// Registry and issuer record what they refuse themselves, with more to say; that is not told twice.
struct RequestRefusals: Sendable {
    let recorder: RefusalRecorder
    let method: String
    let caller: AuthorizedCaller

    /// Records `error`, within the limits, if the request is at fault and nobody has recorded it.
    func note(_ error: RPCError) {
        guard error.blamesTheRequest, !error.hasRecord else { return }
        recorder.record(
            .refusal(
                // The word of the code alone: messages quote what was sent.
                of: method, reason: error.code.description, agent: caller.audit, requestID: caller.requestID),
            source: caller.source, kind: method)
    }

    /// The status of one item of a batch, which is recorded as the failure of a whole call would be.
    func status(_ error: RPCError) -> Spire_Api_Types_Status {
        note(error)
        return Spire_Api_Types_Status(error)
    }
}

extension AuditEvent {
    /// A call that got an error instead of an answer.
    static func refusal(of method: String, reason: String, agent: AgentField, requestID: String) -> AuditEvent {
        AuditEvent(
            type: .requestRefuse, agent: agent, resource: ResourceField(kind: "rpc", id: method),
            decision: DecisionField(action: "call", result: .deny, reason: reason),
            correlation: CorrelationField(requestID: requestID))
    }
}

extension RPCError {
    /// Whether registry, issuer or authorities made it, whose refusals are events of their own.
    fileprivate var hasRecord: Bool {
        switch cause {
        case let error as RegistryError: error != .badPageToken
        case is IssuanceError, is AuthoritiesError: true
        default: false
        }
    }
}
