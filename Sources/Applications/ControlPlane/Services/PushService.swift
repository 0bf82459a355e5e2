import ControlPlaneAPI
import GRPCCore
import Issuance
import Registry

/// `agentshield.node.v1.Push`: tells a node agent that something changed. Only revision numbers travel here; what
/// changed comes through SyncAuthorizedEntries and GetBundle, which check authorization again.
struct PushService: Agentshield_Node_V1_Push.SimpleServiceProtocol {
    let registry: Registry
    let authorities: Authorities
    let revocations: RevocationRegister
    let heartbeat: Duration
    let sleep: @Sendable (Duration) async throws -> Void

    private enum Cause: Sendable { case change, heartbeat, end }

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
            var cause = Cause.change
            var iterator = causes.makeAsyncIterator()
            while true {
                // A banned or evicted agent must not go on listening.
                guard let node = registry.node(agent.id), !node.isBanned else {
                    throw RPCError(code: .permissionDenied, message: "the agent is banned or evicted")
                }
                guard !revocations.revoked.revokes(agent.id) else {
                    throw RPCError(code: .permissionDenied, message: "the caller's identity is revoked")
                }
                try await response.write(
                    .with {
                        $0.entriesRevision = registry.entriesRevision
                        $0.bundleRevision = authorities.bundleRevision
                        $0.revocationSequence = revocations.sequence
                        $0.heartbeat = cause == .heartbeat
                    })
                guard let next = await iterator.next(), next != .end else { return }
                cause = next
            }
        }
    }
}
