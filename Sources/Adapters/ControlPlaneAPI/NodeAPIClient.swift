package import GRPCCore
package import PeerRPC

/// A node agent's client of the node API: TLS with h2, with or without a certificate of its own.
///
/// One client has one identity for its whole life: an agent makes another one when its SVID changes. Calls need
/// ``run()`` to be running, or the scope of ``with(endpoint:identity:verifyServer:_:)``.
package struct NodeAPIClient: Sendable {
    package typealias Transport = PeerClientTransport

    /// Where a server listens.
    package struct Endpoint: Sendable, Hashable, CustomStringConvertible {
        /// A DNS name or an IP address, without brackets.
        package let host: String
        package let port: Int

        package init(host: String, port: Int) {
            self.host = host
            self.port = port
        }

        package var description: String {
            host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }

    /// What the client shows of itself.
    package struct Identity: Sendable {
        /// DER, leaf first.
        package let chain: [[UInt8]]
        /// PKCS #8 DER.
        package let privateKey: [UInt8]

        package init(chain: [[UInt8]], privateKey: [UInt8]) {
            self.chain = chain
            self.privateKey = privateKey
        }
    }

    /// Longest response, in bytes: a page of 500 entries has room.
    package static let maximumResponseBytes = 16 * 1024 * 1024

    /// For services that have no property here.
    package let client: GRPCClient<Transport>

    /// A client of one server; connects on ``run()``.
    /// - Parameters:
    ///   - identity: `nil` for the calls that need none: attestation and the bundle.
    ///   - verifyServer: judges the chain that the server shows (DER, leaf first). It alone decides, names of hosts count
    ///     for nothing; it runs on the event loop and must not wait.
    package init(
        endpoint: Endpoint, identity: Identity? = nil,
        verifyServer: @escaping @Sendable (_ chain: [[UInt8]]) -> Bool
    ) throws {
        let context = try PeerClientSettings.makeTLSContext(
            chain: identity?.chain ?? [], privateKey: identity?.privateKey ?? [])
        client = GRPCClient(
            transport: PeerClientTransport(
                PeerClientSettings(
                    target: .host(endpoint.host, port: endpoint.port),
                    security: .tls(context, verify: verifyServer), pauses: .controlPlane,
                    // Tells within a minute that the server is gone, also while only the push stream is open.
                    keepAlive: .init(interval: .seconds(40), patience: .seconds(20)))))
    }

    /// Runs `body` with a client that is connected for that long.
    package static func with<Result: Sendable>(
        endpoint: Endpoint, identity: Identity? = nil,
        verifyServer: @escaping @Sendable (_ chain: [[UInt8]]) -> Bool,
        _ body: @Sendable (NodeAPIClient) async throws -> Result
    ) async throws -> Result {
        let node = try NodeAPIClient(endpoint: endpoint, identity: identity, verifyServer: verifyServer)
        return try await node.client.running { try await body(node) }
    }

    /// Keeps the connection until ``shutDown()`` or cancellation.
    package func run() async throws { try await client.runConnections() }

    /// Ends ``run()`` when the calls under way are done.
    package func shutDown() { client.beginGracefulShutdown() }

    /// Attestation, renewal and status.
    package var agent: Spire_Api_Server_Agent_V1_Agent.Client<Transport> { .init(wrapping: client) }
    /// The entries this node may serve.
    package var entries: Spire_Api_Server_Entry_V1_Entry.Client<Transport> { .init(wrapping: client) }
    /// Signing.
    package var svids: Spire_Api_Server_Svid_V1_SVID.Client<Transport> { .init(wrapping: client) }
    /// Trust bundles.
    package var bundles: Spire_Api_Server_Bundle_V1_Bundle.Client<Transport> { .init(wrapping: client) }
    /// News of changes; Unimplemented on a SPIRE server.
    package var push: Agentshield_Node_V1_Push.Client<Transport> { .init(wrapping: client) }
    /// What is revoked; Unimplemented on a SPIRE server.
    package var revocations: Agentshield_Node_V1_Revocations.Client<Transport> { .init(wrapping: client) }
    /// Delivery of spooled audit records; Unimplemented on a SPIRE server.
    package var spool: Agentshield_Node_V1_AuditSpool.Client<Transport> { .init(wrapping: client) }

    /// Options for one call: fails at once when the server cannot be reached, and ends after `timeout`.
    package static func options(timeout: Duration?) -> CallOptions {
        var options = CallOptions.defaults
        options.timeout = timeout
        options.waitForReady = false
        options.maxResponseMessageBytes = maximumResponseBytes
        return options
    }
}
