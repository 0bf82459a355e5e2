package import AuditTrail
import Crypto
import SPIFFE

/// Who asked for an act, for the audit log.
package struct DirectoryCaller: Sendable {
    package let agent: AuditEvent.AgentField
    package let requestID: String

    package init(_ agent: AuditEvent.AgentField, requestID: String) {
        self.agent = agent
        self.requestID = requestID
    }
}

/// One act on the directory, before anybody knows what it will change.
struct DirectoryAct: Sendable {
    let type: EventType
    let action: String
    let kind: String
    let id: String
    let caller: DirectoryCaller
    /// Why, and what it ends; for acts that take something away.
    var remediation: AuditEvent.RemediationField?
    var counted: Int64?

    init(
        _ type: EventType, _ action: String, _ kind: String, _ id: String, _ caller: DirectoryCaller,
        remediation: AuditEvent.RemediationField? = nil, counted: Int64? = nil
    ) {
        self.type = type
        self.action = action
        self.kind = kind
        self.id = id
        self.caller = caller
        self.remediation = remediation
        self.counted = counted
    }

    /// The act with a hash over the records that it writes, if it does.
    func audited(_ changes: [DirectoryChange] = []) -> AuditedAct {
        var hash = SHA256()
        var hasRecords = false
        for case .put(let record) in changes {
            hash.update(data: record.storedBytes)
            hasRecords = true
        }
        return AuditedAct(
            type: type, action: action,
            resource: AuditEvent.ResourceField(
                kind: kind, id: id, argsHash: hasRecords ? HexText.encode(hash.finalize()) : nil),
            agent: caller.agent, requestID: caller.requestID, remediation: remediation, counted: counted)
    }
}
