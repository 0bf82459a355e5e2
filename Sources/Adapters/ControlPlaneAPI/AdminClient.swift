package import GRPCCore
package import PeerRPC

/// A client of the control plane's admin socket; the kernel tells the server who calls.
///
/// Calls need ``run()`` to be running, or the scope of ``with(socketPath:_:)``.
package struct AdminClient: Sendable {
    package typealias Transport = PeerClientTransport

    /// For services that have no property here.
    package let client: GRPCClient<Transport>

    /// A client of the Unix socket at `socketPath`; connects on ``run()``.
    package init(socketPath: String) {
        client = GRPCClient(
            transport: PeerClientTransport(
                PeerClientSettings(
                    target: .unixSocket(path: socketPath), security: .plaintext, pauses: .controlPlane)))
    }

    /// Runs `body` with a client that is connected for that long.
    package static func with<Result: Sendable>(
        socketPath: String, _ body: @Sendable (AdminClient) async throws -> Result
    ) async throws -> Result {
        let admin = AdminClient(socketPath: socketPath)
        return try await admin.client.running { try await body(admin) }
    }

    /// Keeps the connection until ``shutDown()`` or cancellation.
    package func run() async throws { try await client.runConnections() }

    /// Ends ``run()`` when the calls under way are done.
    package func shutDown() { client.beginGracefulShutdown() }

    /// Node agents.
    package var agents: Spire_Api_Server_Agent_V1_Agent.Client<Transport> { .init(wrapping: client) }
    /// Registration entries.
    package var entries: Spire_Api_Server_Entry_V1_Entry.Client<Transport> { .init(wrapping: client) }
    /// One-off SVIDs.
    package var svids: Spire_Api_Server_Svid_V1_SVID.Client<Transport> { .init(wrapping: client) }
    /// Trust bundles.
    package var bundles: Spire_Api_Server_Bundle_V1_Bundle.Client<Transport> { .init(wrapping: client) }
    /// Federation relationships.
    package var trustDomains: Spire_Api_Server_Trustdomain_V1_TrustDomain.Client<Transport> { .init(wrapping: client) }
    /// Signing authorities.
    package var localAuthorities: Spire_Api_Server_Localauthority_V1_LocalAuthority.Client<Transport> {
        .init(wrapping: client)
    }
    /// Signatures on agent cards.
    package var agentCards: Agentshield_Admin_V1_AgentCards.Client<Transport> { .init(wrapping: client) }
    /// Keys that sign access tokens and agent cards.
    package var tokenAuthorities: Agentshield_Admin_V1_TokenAuthority.Client<Transport> { .init(wrapping: client) }
    /// Revocations.
    package var revocations: Agentshield_Admin_V1_Revocation.Client<Transport> { .init(wrapping: client) }
    /// Questions to people.
    package var approvals: Agentshield_Admin_V1_Approvals.Client<Transport> { .init(wrapping: client) }
    /// Blueprints, agents, their credentials, resources and grants.
    package var directory: Agentshield_Admin_V1_AgentDirectory.Client<Transport> { .init(wrapping: client) }
    /// Agents and their cards.
    package var agentRegistry: Agentshield_Admin_V1_AgentRegistry.Client<Transport> { .init(wrapping: client) }
    /// The level of the server's log.
    package var logger: Spire_Api_Server_Logger_V1_Logger.Client<Transport> { .init(wrapping: client) }
    /// How the server is doing.
    package var debug: Spire_Api_Server_Debug_V1_Debug.Client<Transport> { .init(wrapping: client) }
    /// The level of a node agent's log; on the node agent's admin socket.
    package var agentLogger: Spire_Api_Agent_Logger_V1_Logger.Client<Transport> { .init(wrapping: client) }
    /// How a node agent is doing; on the node agent's admin socket.
    package var agentDebug: Spire_Agent_Debug_V1_Debug.Client<Transport> { .init(wrapping: client) }
    /// The audit log.
    package var log: Agentshield_Admin_V1_Log.Client<Transport> { .init(wrapping: client) }
    /// The server itself.
    package var server: Agentshield_Admin_V1_Server.Client<Transport> { .init(wrapping: client) }
}
