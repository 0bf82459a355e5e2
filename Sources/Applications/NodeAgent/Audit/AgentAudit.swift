import AuditTrail
import Logging
import Synchronization

/// Writes the agent's events to its spool and answers whether an act may go on.
final class AgentAudit: Sendable {
    let spool: AuditSpool
    private let policy: NodeAgentConfiguration.AuditPolicy
    private let logger: Logger
    private let refusals: Mutex<RefusalLimit>
    private let unrecorded = Mutex<Int64>(0)
    /// Fires when there is something to ship.
    let appended = Signal()

    init(spool: AuditSpool, policy: NodeAgentConfiguration.AuditPolicy, logger: Logger) {
        self.spool = spool
        self.policy = policy
        self.logger = logger
        refusals = Mutex(RefusalLimit())
    }

    /// An identity is about to be handed out. `false` means that it must not be: the record could not be written and
    /// policy says so.
    func mayPass(_ event: AuditEvent) async -> Bool {
        do throws(SpoolError) {
            try await append(event)
            return true
        } catch {
            unrecorded.withLock { $0 += 1 }
            logger.error("audit record not written", metadata: ["reason": "\(error)", "policy": "\(policy)"])
            return policy == .pass
        }
    }

    /// Something was refused; recorded within limits.
    func refused(_ event: AuditEvent, source: String, kind: String) async {
        guard refusals.withLock({ $0.admit(event, source: source, kind: kind) }) else { return }
        await note(event)
    }

    /// Records if it can.
    func note(_ event: AuditEvent) async {
        do throws(SpoolError) {
            try await append(event)
        } catch {
            logger.error("audit record not written", metadata: ["reason": "\(error)"])
        }
    }

    /// Ends an interval of the refusals' limits: the rest of them becomes counted records.
    func endInterval() async {
        for event in refusals.withLock({ $0.endInterval() }) { await note(event) }
    }

    private func append(_ event: AuditEvent) async throws(SpoolError) {
        let missed = unrecorded.withLock { count in
            defer { count = 0 }
            return count
        }
        if missed > 0 {
            do throws(SpoolError) {
                try await spool.append(unrecordedEvent(missed))
            } catch {
                unrecorded.withLock { $0 += missed }
                throw error
            }
        }
        try await spool.append(event)
        appended.fire()
    }

    /// Names what the spool could not take while it was full or broken.
    private func unrecordedEvent(_ count: Int64) -> AuditEvent {
        AuditEvent(
            type: policy == .deny ? .workloadRefuse : .workloadAttest, agent: .internal(),
            resource: AuditEvent.ResourceField(kind: "spool", id: spool.name),
            decision: AuditEvent.DecisionField(
                action: "record", result: policy == .deny ? .deny : .permit, reason: "spool_unavailable"),
            correlation: AuditEvent.CorrelationField(requestID: "several"), counted: count)
    }
}
