import Attestation
import AuditTrail
import PeerRPC

/// The audit events of launches.
enum LaunchEvents {
    /// A command runs under a name from now on.
    static func begun(_ launch: Launch, _ launcher: ProcessPeer?, requestID: String) -> AuditEvent {
        event(
            .launchBegin, launch, launcher, AuditEvent.DecisionField(action: "launch", result: .permit), requestID,
            facts: ["tracking": launch.tracking.word, "main_pid": String(launch.mainPID)])
    }

    /// The launch is over: `finished` when none of its processes is left, `released` when some go on without it.
    static func ended(
        _ launch: Launch, _ launcher: ProcessPeer?, isEmpty: Bool, requestID: String
    ) -> AuditEvent {
        event(
            .launchEnd, launch, launcher,
            AuditEvent.DecisionField(action: "end", result: .none, reason: isEmpty ? "finished" : "released"),
            requestID, facts: ["tracking": launch.tracking.word])
    }

    /// A launch was not begun.
    static func refused(
        name: String, _ launcher: ProcessPeer?, _ refusal: LaunchRefusal, requestID: String
    ) -> AuditEvent {
        AuditEvent(
            type: .launchRefuse, agent: agent(launcher),
            // A name that is none may hold anything.
            resource: AuditEvent.ResourceField(kind: "launch", id: (try? LaunchName(name))?.text ?? "none"),
            decision: AuditEvent.DecisionField(action: "launch", result: .deny, reason: refusal.code),
            correlation: AuditEvent.CorrelationField(requestID: requestID))
    }

    private static func event(
        _ type: EventType, _ launch: Launch, _ launcher: ProcessPeer?, _ decision: AuditEvent.DecisionField,
        _ requestID: String, facts: [String: String]
    ) -> AuditEvent {
        AuditEvent(
            type: type, agent: agent(launcher),
            resource: AuditEvent.ResourceField(kind: "launch", id: launch.name.text), decision: decision,
            correlation: AuditEvent.CorrelationField(requestID: requestID),
            effect: AuditEvent.EffectField(observed: .occurred, result: facts))
    }

    private static func agent(_ launcher: ProcessPeer?) -> AuditEvent.AgentField {
        AuditEvent.AgentField(
            authMethod: launcher == nil ? .none : .kernel,
            peer: launcher.map { AuditEvent.PeerField(uid: $0.uid, pid: $0.pid) })
    }
}

extension Launch.Tracking {
    fileprivate var word: String {
        switch self {
        case .cgroup: "cgroup"
        case .lineage: "lineage"
        }
    }
}
