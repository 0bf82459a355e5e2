import Attestation
import AuditTrail
import Crypto
import PeerRPC
import SPIFFE

/// The agent's audit events.
enum WorkloadEvents {
    /// Identities go to a process.
    static func handedOut(
        _ entries: [AuthorizedEntry], kind: String, to workload: AttestedWorkload, method: String, requestID: String,
        audience: [String] = [], at time: UnixTime
    ) -> AuditEvent {
        let ids = Set(entries.map(\.spiffeID)).sorted()
        var facts = [
            "entries": list(entries.map(\.id)),
            "spiffe_ids": list(ids.map(\.string)),
            "count": String(entries.count),
        ]
        if !audience.isEmpty { facts["audience"] = list(audience) }
        return AuditEvent(
            type: .workloadAttest,
            agent: AuditEvent.AgentField(
                id: entries.first?.spiffeID.string, authMethod: .kernel,
                peer: AuditEvent.PeerField(uid: workload.uid, pid: workload.pid)),
            resource: AuditEvent.ResourceField(kind: kind, id: entries.first?.spiffeID.string ?? "none"),
            decision: AuditEvent.DecisionField(action: method, result: .permit),
            correlation: AuditEvent.CorrelationField(requestID: requestID),
            posture: AuditEvent.PostureField(
                level: "attested", evidenceHash: evidenceHash(workload.selectors), assessedAt: time,
                selectorCount: Int64(workload.selectors.count)),
            effect: AuditEvent.EffectField(observed: .occurred, result: facts))
    }

    /// A process gets nothing.
    static func refused(_ process: ProcessPeer?, method: String, reason: String, requestID: String) -> AuditEvent {
        AuditEvent(
            type: .workloadRefuse,
            agent: AuditEvent.AgentField(
                authMethod: process == nil ? .none : .kernel,
                peer: process.map { AuditEvent.PeerField(uid: $0.uid, pid: $0.pid) }),
            resource: AuditEvent.ResourceField(kind: "workload-api", id: method),
            decision: AuditEvent.DecisionField(action: method, result: .deny, reason: reason),
            correlation: AuditEvent.CorrelationField(requestID: requestID))
    }

    /// Whom refusals are counted by.
    static func source(_ process: ProcessPeer?) -> String {
        process.map { "uid:\($0.uid)" } ?? "unknown"
    }

    /// The agent itself started or stopped.
    static func life(_ type: EventType, id: SPIFFEID?, requestID: String, reason: String? = nil) -> AuditEvent {
        AuditEvent(
            type: type, agent: .internal(id?.string),
            resource: AuditEvent.ResourceField(kind: "node", id: id?.string ?? "none"),
            decision: AuditEvent.DecisionField(action: type.rawValue, result: .none, reason: reason),
            correlation: AuditEvent.CorrelationField(requestID: requestID))
    }

    /// SHA-256 over the sorted selectors, each on its line: comparable without telling what they are.
    private static func evidenceHash(_ selectors: Set<Selector>) -> String {
        var hash = SHA256()
        for selector in selectors.sorted() { hash.update(data: Array("\(selector)\n".utf8)) }
        return HexText.encode(hash.finalize())
    }

    /// A short list; the rest is left out and the count tells how many there were.
    private static func list(_ items: [String]) -> String {
        var text = ""
        for item in items {
            guard text.utf8.count + item.utf8.count < AuditLimits.resultBytes - 8 else { return text + ",…" }
            text += text.isEmpty ? item : "," + item
        }
        return text
    }
}
