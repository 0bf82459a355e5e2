package import AgentDirectory
package import AuditTrail
import Crypto
package import SPIFFE

/// Who asks for an act, and as what.
package struct RegistryCaller: Sendable {
    package enum Right: Sendable, Equatable {
        /// It proved this SPIFFE ID, and acts on its own listing.
        case agent(SPIFFEID)
        /// An administrator; nil where nobody has said which person that is.
        case administrator(Person?)
    }

    package let right: Right
    package let agent: AuditEvent.AgentField
    package let requestID: String

    package init(_ right: Right, _ agent: AuditEvent.AgentField, requestID: String) {
        self.right = right
        self.agent = agent
        self.requestID = requestID
    }
}

/// One act on the registry, before anybody knows what it will change.
struct RegistryAct: Sendable {
    let type: EventType
    let action: String
    let name: String
    let caller: RegistryCaller
    var reason = ""

    init(_ type: EventType, _ action: String, _ name: String, _ caller: RegistryCaller, reason: String = "") {
        self.type = type
        self.action = action
        self.name = name
        self.caller = caller
        self.reason = reason
    }

    /// The act with a hash over the records that it writes, if it does.
    func audited(_ changes: [AgentRegistryChange] = []) -> AuditedAct {
        var hash = SHA256()
        var hasRecords = false
        for case .put(let agent) in changes {
            hash.update(data: agent.storedBytes)
            hasRecords = true
        }
        return AuditedAct(
            type: type, action: action,
            resource: AuditEvent.ResourceField(
                kind: "registered-agent", id: name, argsHash: hasRecords ? HexText.encode(Array(hash.finalize())) : nil),
            agent: caller.agent, requestID: caller.requestID,
            remediation: reason.isEmpty || reason.utf8.count > AgentRegistryRules.maximumReasonLength
                ? nil : AuditEvent.RemediationField(cause: reason, action: action))
    }
}
