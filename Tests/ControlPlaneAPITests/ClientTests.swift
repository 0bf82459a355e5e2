import ControlPlaneAPI
import Foundation
import GRPCCore
import PeerRPC
import Testing

/// Says who calls.
struct CallerService: Agentshield_Admin_V1_Server.SimpleServiceProtocol {
    func getInfo(
        request: Agentshield_Admin_V1_GetServerInfoRequest, context: ServerContext
    ) async throws -> Agentshield_Admin_V1_ServerInfo {
        .with {
            switch context.connectionPeer?.identity {
            case .process(let process): $0.version = "process \(process.pid)"
            case .certificate(let chain): $0.version = "certificate \(chain.count)"
            case .anonymous: $0.version = "anonymous"
            case nil: $0.version = "nobody"
            }
        }
    }
}

@Suite(.serialized) struct ClientTests {
    private func serving(_ server: PeerServer, _ body: () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            try #require(await server.waitUntilListening())
            do {
                try await body()
            } catch {
                group.cancelAll()
                throw error
            }
            server.beginGracefulShutdown()
            try await group.waitForAll()
        }
    }

    @Test func `the admin client calls through its socket`() async throws {
        let directory = "/tmp/adminclient-\(UInt32.random(in: .min ... .max))"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let server = PeerServer.unixSocket(
            path: directory + "/admin.sock", access: .owner, services: [CallerService()])
        try await serving(server) {
            let version = try await AdminClient.with(socketPath: directory + "/admin.sock") {
                try await $0.server.getInfo(.init()).version
            }
            #expect(version == "process \(getpid())")
        }
    }

    @Test func `the node client shows its identity, and judges the server's`() async throws {
        let server = try TestIdentity("server")
        let node = try TestIdentity("node")
        let context = try PeerServer.makeTLSContext(chain: [server.certificate], privateKey: server.key)
        let peer = PeerServer.tls(
            host: "127.0.0.1", port: 0, context: { context }, verifyClient: { $0 == [node.certificate] },
            services: [CallerService()])
        try await serving(peer) {
            let port = try #require(await peer.listeningPort)
            // An address and a name take different ways through the resolver and TLS.
            for host in ["127.0.0.1", "localhost"] {
                let endpoint = NodeAPIClient.Endpoint(host: host, port: port)
                let anonymous = try await NodeAPIClient.with(
                    endpoint: endpoint, verifyServer: { $0 == [server.certificate] }
                ) { try await Self.ask($0) }
                #expect(anonymous == "anonymous")
                let known = try await NodeAPIClient.with(
                    endpoint: endpoint, identity: .init(chain: [node.certificate], privateKey: node.key),
                    verifyServer: { $0 == [server.certificate] }
                ) { try await Self.ask($0) }
                #expect(known == "certificate 1")
                let error = await #expect(throws: RPCError.self) {
                    try await NodeAPIClient.with(endpoint: endpoint, verifyServer: { _ in false }) {
                        try await Self.ask($0)
                    }
                }
                #expect(error?.code == .unavailable)
            }
        }
    }

    private static func ask(_ node: NodeAPIClient) async throws -> String {
        try await Agentshield_Admin_V1_Server.Client(wrapping: node.client)
            .getInfo(.init(), options: NodeAPIClient.options(timeout: .seconds(20))).version
    }
}
