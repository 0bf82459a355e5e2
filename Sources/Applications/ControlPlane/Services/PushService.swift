import ControlPlaneAPI
import GRPCCore
import Issuance
import Registry
import SPIFFE

/// `agentshield.node.v1.Push`: tells a node agent that something changed that concerns it. Only revision numbers travel here; what
/// changed comes through SyncAuthorizedEntries and GetBundle, which check authorization again.
struct PushService: Agentshield_Node_V1_Push.SimpleServiceProtocol {
    let registry: Registry
    let authorities: Authorities
    let revocations: RevocationRegister
    let heartbeat: Duration
    let sleep: @Sendable (Duration) async throws -> Void

    private enum Cause: Sendable { case change, heartbeat, end }

    /// What one stream has told, and so what would be news to it.
    private struct Told {
        /// The registry's numbers when it was last looked at.
        var entriesRevision: Int64
        var federatedRevision: Int64
        /// The entries that the node may serve.
        var mark: Int
        /// What the node is told: the number of the last change that concerned it.
        var entries: Int64
        var bundle: Int64
        var revocations: Int64
    }

    func watch(
        request: Agentshield_Node_V1_WatchRequest, response: RPCWriter<Agentshield_Node_V1_Change>,
        context: ServerContext
    ) async throws {
        let agent = try context.liveAgent
        // One slot: what happens while a message is under way becomes one further message.
        let (causes, continuation) = AsyncStream.makeStream(of: Cause.self, bufferingPolicy: .bufferingNewest(1))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { for await _ in registry.changes() { continuation.yield(.change) } }
            group.addTask { for await _ in authorities.changes() { continuation.yield(.change) } }
            group.addTask { for await _ in revocations.changes() { continuation.yield(.change) } }
            group.addTask {
                while true {
                    try await sleep(heartbeat)
                    continuation.yield(.heartbeat)
                }
            }
            group.addTask {
                // A reset of the stream does not cancel the task by itself.
                try await context.cancellation.cancelled
                continuation.yield(.end)
                continuation.finish()
            }
            defer { group.cancelAll() }
            var told: Told?
            var iterator = causes.makeAsyncIterator()
            var cause = Cause.change
            while cause != .end {
                // A banned or evicted agent must not go on listening.
                guard let node = registry.node(agent.id), !node.isBanned else {
                    throw RPCError(code: .permissionDenied, message: "the agent is banned or evicted")
                }
                guard !revocations.revoked.revokes(agent.id) else {
                    throw RPCError(code: .permissionDenied, message: "the caller's identity is revoked")
                }
                let isNews = look(&told, agent.id)
                if isNews || cause == .heartbeat, let told {
                    try await response.write(
                        .with {
                            $0.entriesRevision = told.entries
                            $0.bundleRevision = told.bundle
                            $0.revocationSequence = told.revocations
                            $0.heartbeat = !isNews
                        })
                }
                guard let next = await iterator.next() else { return }
                cause = next
            }
        }
    }

    /// Brings `told` up to date; whether anything in it is news to the node. Most changes concern few nodes, and were all
    /// of them told of each one, a thousand would ask at once whenever an entry changes or another node renews.
    private func look(_ told: inout Told?, _ node: SPIFFEID) -> Bool {
        // The numbers come first: what changes after them is found the next time.
        let position = registry.position
        let bundle = authorities.bundleRevision
        let sequence = revocations.sequence
        guard let before = told else {
            told = Told(
                entriesRevision: position.entriesRevision, federatedRevision: position.bundlesRevision,
                mark: registry.authorizedEntries(for: node).mark, entries: position.entriesRevision, bundle: bundle,
                revocations: sequence)
            return true
        }
        var now = before
        now.bundle = bundle
        now.revocations = sequence
        if position.entriesRevision != before.entriesRevision {
            now.entriesRevision = position.entriesRevision
            now.mark = registry.authorizedEntries(for: node).mark
        }
        now.federatedRevision = position.bundlesRevision
        if now.mark != before.mark || now.federatedRevision != before.federatedRevision {
            now.entries = max(position.entriesRevision, before.entries + 1)
        }
        told = now
        return now.entries != before.entries || bundle != before.bundle || sequence != before.revocations
    }
}
