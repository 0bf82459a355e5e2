import ControlPlane
import ControlPlaneAPI
import SPIFFE
import Testing

@testable import NodeAgent

extension Lab {
    /// Runs `body` with a connection that has the identity of an agent that has stopped.
    func withConnection(
        sleep: @escaping @Sendable (Duration) async throws -> Void = Lab.sleep,
        _ body: @escaping @Sendable (ServerConnection, NodeIdentity, Serving) async throws -> Void
    ) async throws {
        let (plane, agent) = try await startBoth()
        try await agent.stop()
        let store = IdentityStore(directory: try AgentDirectory(path: agentDirectory), trustDomain: Self.trustDomain)
        let identity = try #require(try store.loadIdentity())
        let connection = try ServerConnection(
            endpoint: NodeAPIClient.Endpoint(host: "127.0.0.1", port: plane.value.nodePort), identity: identity,
            trust: ServerTrust(
                serverID: SPIFFEID("spiffe://lab.example/spire/server"), bundle: plane.value.bundle, now: Lab.now),
            sleep: sleep)
        try await within(.seconds(60)) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await connection.run() }
                defer { group.cancelAll() }
                try await body(connection, identity, plane.value)
            }
        }
        try await plane.stop()
    }
}
