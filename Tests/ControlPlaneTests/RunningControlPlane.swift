import ControlPlane
import ControlPlaneAPI
import Crypto
import Foundation
import GRPCCore
import Logging
import Observability
import SPIFFE

/// A control plane on loopback and in a temporary directory, for the time of one test.
struct RunningControlPlane: Sendable {
    static let trustDomain = try! TrustDomain("test.example")

    let serving: Serving
    let directory: String

    static func with<Result: Sendable>(
        _ change: (inout ControlPlaneConfiguration) -> Void = { _ in },
        _ body: @escaping @Sendable (RunningControlPlane) async throws -> Result
    ) async throws -> Result {
        // Short, because a Unix socket's path has at most 107 bytes.
        let directory = "/tmp/as-\(UInt32.random(in: .min ... .max))"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        var configuration = ControlPlaneConfiguration(trustDomain: trustDomain, dataDirectory: directory)
        configuration.nodeAPIPort = 0
        configuration.httpsPort = 0
        // Every node of a test has the same address.
        configuration.rateLimits = .off
        change(&configuration)
        let controlPlane = ControlPlane(
            configuration: configuration, version: "test",
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            logLevel: LogLevelSwitch(.info),
            world: ControlPlane.World(
                now: { UnixTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1000)) },
                randomBytes: { count in (0..<count).map { _ in UInt8.random(in: .min ... .max) } },
                sleep: { try await Task.sleep(for: $0) }))
        let (results, continuation) = AsyncStream.makeStream(of: Swift.Result<Result, any Error>.self)
        try await controlPlane.run { serving in
            do {
                continuation.yield(
                    .success(try await body(RunningControlPlane(serving: serving, directory: directory))))
            } catch {
                continuation.yield(.failure(error))
            }
            continuation.finish()
            controlPlane.shutDown()
        }
        for await result in results { return try result.get() }
        throw CancellationError()
    }

    var endpoint: NodeAPIClient.Endpoint {
        let parts = serving.nodeAPI.split(separator: ":")
        return NodeAPIClient.Endpoint(host: String(parts[0]), port: Int(parts[1])!)
    }

    /// Judges the server as a node agent does: its chain verifies and names `/spire/server`.
    func verifyServer(_ chain: [[UInt8]]) -> Bool {
        let verified = try? X509SVIDVerifier.verify(
            chain: chain, bundle: { $0 == Self.trustDomain ? serving.bundle.x509Bundle : nil },
            at: UnixTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1000)))
        return verified?.id.path == "/spire/server"
    }

    func withNodeAPI<Result: Sendable>(
        _ identity: NodeAPIClient.Identity? = nil, _ body: @Sendable (NodeAPIClient) async throws -> Result
    ) async throws -> Result {
        try await NodeAPIClient.with(endpoint: endpoint, identity: identity, verifyServer: verifyServer, body)
    }

    func withAdmin<Result: Sendable>(_ body: @Sendable (AdminClient) async throws -> Result) async throws -> Result {
        try await AdminClient.with(socketPath: serving.adminSocketPath, body)
    }

    /// Attests a node agent by a fresh join token.
    func attest() async throws -> (id: SPIFFEID, identity: NodeAPIClient.Identity) {
        let token = try await serving.makeJoinToken(requestID: "test")
        let key = P256.Signing.PrivateKey()
        let csr = try CSRBuilder.make(privateKey: key, uri: nil, dnsNames: [])
        let svid = try await withNodeAPI { api in
            try await api.agent.attestAgent { writer in
                try await writer.write(
                    .with {
                        $0.params.data.type = "join_token"
                        $0.params.data.payload = Data(token.utf8)
                        $0.params.params.csr = Data(csr)
                    })
            } onResponse: { response in
                for try await message in response.messages { return message.result.svid }
                throw CancellationError()
            }
        }
        return (
            try SPIFFEID(svid.id),
            NodeAPIClient.Identity(chain: svid.certChain.map { Array($0) }, privateKey: Array(key.derRepresentation))
        )
    }

    /// An identity minted by an administrator, for an ID that may have an entry with flags.
    func mint(_ path: String, admin: Bool = false, downstream: Bool = false) async throws -> NodeAPIClient.Identity {
        let id = try SPIFFEID(trustDomain: Self.trustDomain, path: path)
        let key = P256.Signing.PrivateKey()
        let csr = try CSRBuilder.make(privateKey: key, uri: id.string, dnsNames: [])
        let chain = try await withAdmin { client in
            if admin || downstream {
                let created = try await client.entries.batchCreateEntry(
                    .with {
                        $0.entries = [
                            .with {
                                $0.spiffeID = id.message
                                $0.selectors = [
                                    .with {
                                        $0.type = "unix"; $0.value = "uid:1"
                                    }
                                ]
                                $0.admin = admin
                                $0.downstream = downstream
                            }
                        ]
                    })
                guard created.results.first?.status.code == 0 else { throw CancellationError() }
            }
            return try await client.svids.mintX509SVID(.with { $0.csr = Data(csr) }).svid.certChain
        }
        return NodeAPIClient.Identity(chain: chain.map { Array($0) }, privateKey: Array(key.derRepresentation))
    }
}
