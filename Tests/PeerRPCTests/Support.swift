import Crypto
import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import NIOSSL
import PeerRPC
import SwiftASN1
import X509

/// A self-signed certificate with its key.
struct TestIdentity: Sendable {
    let certificate: [UInt8]
    let key: [UInt8]

    init(_ name: String) throws {
        let key = P256.Signing.PrivateKey()
        let subject = try DistinguishedName { CommonName(name) }
        let certificate = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: .init(key.publicKey),
            notValidBefore: Date() - 60, notValidAfter: Date() + 3600, issuer: subject, subject: subject,
            signatureAlgorithm: .ecdsaWithSHA256, extensions: .init(), issuerPrivateKey: .init(key))
        var serializer = DER.Serializer()
        try serializer.serialize(certificate)
        self.certificate = serializer.serializedBytes
        self.key = Array(key.derRepresentation)
    }
}

/// A directory of our own for one test, removed at the end.
final class TestDirectory: Sendable {
    let path: String

    init() throws {
        path = "/tmp/peerrpc-\(UInt32.random(in: .min ... .max))"
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

typealias Client = GRPCClient<HTTP2ClientTransport.Posix>

/// Runs a server around `body` and shuts it down.
func withServer(_ server: PeerServer, _ body: () async throws -> Void) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await server.run() }
        guard await server.waitUntilListening() else {
            try await group.waitForAll()
            return
        }
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

func withUnixClient<Result: Sendable>(
    _ path: String, _ body: @Sendable (Client) async throws -> Result
) async throws -> Result {
    let transport = try HTTP2ClientTransport.Posix(
        target: .unixDomainSocket(path: path), transportSecurity: .plaintext)
    return try await withGRPCClient(transport: transport) { try await body($0) }
}

/// A TLS client that trusts exactly one server certificate.
func withTLSClient<Result: Sendable>(
    port: Int, server: TestIdentity, identity: TestIdentity? = nil, _ body: @Sendable (Client) async throws -> Result
) async throws -> Result {
    let security = HTTP2ClientTransport.Posix.TransportSecurity.tls { tls in
        tls.serverCertificateVerification = .noHostnameVerification
        tls.trustRoots = .certificates([])
        if let identity {
            tls.certificateChain = [.bytes(identity.certificate, format: .der)]
            tls.privateKey = .bytes(identity.key, format: .der)
        }
        tls.customVerificationCallback = { certificates, promise in
            let isExpected = (try? certificates.first?.toDERBytes()) == server.certificate
            promise.succeed(isExpected ? .certificateVerified(VerificationMetadata(nil)) : .failed)
        }
    }
    let transport = try HTTP2ClientTransport.Posix(
        target: .ipv4(address: "127.0.0.1", port: port), transportSecurity: security)
    return try await withGRPCClient(transport: transport) { try await body($0) }
}

extension CallOptions {
    /// For messages up to 64 MiB, within 20 s.
    static var large: CallOptions {
        var options = CallOptions.defaults
        options.timeout = .seconds(20)
        options.maxRequestMessageBytes = 64 << 20
        options.maxResponseMessageBytes = 64 << 20
        return options
    }
}

extension GRPCClient {
    /// One call of ``PeerService``; throws the server's error.
    func ask(
        _ method: MethodDescriptor = PeerService.whoAmI, message: [UInt8] = [], metadata: Metadata = [:],
        waitForReady: Bool = true
    ) async throws -> String {
        var options = CallOptions.defaults
        options.waitForReady = waitForReady
        options.timeout = .seconds(20)
        options.maxRequestMessageBytes = 64 << 20
        return try await unary(
            request: ClientRequest(message: message, metadata: metadata), descriptor: method,
            serializer: BytesCoder(), deserializer: BytesCoder(), options: options
        ) { String(decoding: try $0.message, as: UTF8.self) }
    }
}

/// Waits until a condition holds; `false` after some seconds.
func eventually(_ condition: () async -> Bool) async -> Bool {
    for _ in 0..<1000 {
        if await condition() { return true }
        try? await Task.sleep(for: .milliseconds(10))
    }
    return await condition()
}

/// How many sockets of this machine have the path as their name, accepted ones included.
func boundSockets(_ path: String) -> Int {
    let table = (try? String(contentsOfFile: "/proc/net/unix", encoding: .utf8)) ?? ""
    return table.split(separator: "\n").count { $0.hasSuffix(" " + path) }
}
