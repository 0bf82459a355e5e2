import AgentShield

/// Keeps the agent's identity fresh around `body`, which begins as soon as there is one.
func withIdentity(
    seconds: Int, _ body: @escaping @Sendable (AgentIdentity, AgentSVID) async throws -> Void
) async throws {
    let identity = try AgentIdentity.fromEnvironment()
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await identity.run() }
        group.addTask {
            let own = try await identity.waitUntilReady(within: .seconds(seconds))
            try await body(identity, own)
        }
        defer { group.cancelAll() }
        try await group.next()
    }
}
