import AgentShieldTesting
import NIOCore
import NIOPosix
import NIOSSL
import PeerTLS
import SPIFFE
import Testing

/// The moment that all tests begin at; the TLS library's own clock has no part in verification.
let start = UnixTime(seconds: 1_800_000_000)

struct HandshakeTests {
    let clock = ManualClock(start)
    let own: TestTrustDomain
    let other: TestTrustDomain
    let server: EchoServer
    let serverIdentity: LiveIdentity

    init() async throws {
        own = try TestTrustDomain("own.example", clock: clock)
        other = try TestTrustDomain("other.example", clock: clock)
        server = EchoServer()
        serverIdentity = try LiveIdentity(TLSIdentity(svid: own.svid("/server"), bundles: own.bundles))
    }

    func serve(
        _ authorizer: PeerAuthorizer = .anyVerified, clientCertificate: LiveIdentity.ClientCertificate = .required
    ) async throws {
        try await server.start(
            serverIdentity, clientCertificate: clientCertificate,
            verifier: PeerVerifier(identity: serverIdentity, authorizer: authorizer, now: clock.now))
    }

    func connect(
        _ svid: X509SVID, trusting bundles: [TrustDomain: X509Bundle]? = nil,
        allowing rule: PeerAuthorizer = .anyVerified
    ) async throws -> EchoClient {
        let identity = try LiveIdentity(TLSIdentity(svid: svid, bundles: bundles ?? own.bundles))
        return try await EchoClient.connect(
            port: server.port, identity, verifier: PeerVerifier(identity: identity, authorizer: rule, now: clock.now))
    }

    /// Whether the server closed the connection without having read a byte.
    func isRefused(_ client: EchoClient) async -> Bool {
        // TLS 1.3: the client's side of the handshake is over before the server judges; it sees an alert or the end.
        let answer = try? await client.say("hello")
        return answer == nil && server.receivedBytes.withLock { $0 } == 0
    }

    @Test func `the right ID gets through, and both sides know each other`() async throws {
        try await serve(.oneOf([try own.id("/client")]))
        let client = try await connect(own.svid("/client"), allowing: .oneOf([try own.id("/server")]))
        #expect(try await client.say("hello") == "hello")
        #expect(server.peers.withLock { $0 } == [try own.id("/client")])
        await client.close()
        await server.stop()
    }

    @Test func `a chain with an intermediate authority gets through`() async throws {
        try await serve()
        let client = try await connect(own.nestedSVID("/nested"))
        #expect(try await client.say("hello") == "hello")
        #expect(server.peers.withLock { $0 } == [try own.id("/nested")])
        await client.close()
        await server.stop()
    }

    enum Impostor: CaseIterable {
        case unauthorizedID, otherAuthorityClaimingOurs, unknownTrustDomain, expired, notYetValid
    }

    @Test(arguments: Impostor.allCases) func `an impostor gets no byte through`(_ impostor: Impostor) async throws {
        try await serve(.oneOf([try own.id("/client")]))
        let svid: X509SVID
        switch impostor {
        case .unauthorizedID: svid = try own.svid("/somebody")
        case .otherAuthorityClaimingOurs: svid = try other.svid("/client", claiming: own.trustDomain)
        case .unknownTrustDomain: svid = try other.svid("/client")
        case .expired: svid = try own.svid("/client", lifetime: -1)
        case .notYetValid:
            clock.advance(seconds: 7200)
            svid = try own.svid("/client")
            clock.advance(seconds: -7200)
        }
        #expect(try await isRefused(connect(svid)))
        #expect(await eventually { !server.errors.withLock { $0.isEmpty } })
        let refusal = try #require(server.errors.withLock { $0.first } as? PeerVerifier.Refusal)
        switch (impostor, refusal) {
        case (.unauthorizedID, .unauthorized(let id)): #expect(id == (try own.id("/somebody")))
        case (.otherAuthorityClaimingOurs, .unverified(.noAuthority)): break
        case (.unknownTrustDomain, .unverified(.unknownTrustDomain(let name))): #expect(name == other.trustDomain)
        case (.expired, .unverified(.expired)): break
        case (.notYetValid, .unverified(.notYetValid)): break
        default: Issue.record("\(refusal)")
        }
        #expect(server.peers.withLock { $0.isEmpty })
        await server.stop()
    }

    @Test(arguments: [true, false])
    func `a key of one trust domain never proves an ID of another, though both are trusted`(
        isSwapped: Bool
    ) async throws {
        serverIdentity.replaceBundles([own.trustDomain: own.bundle, other.trustDomain: other.bundle])
        try await serve()
        let svid =
            isSwapped
            ? try own.svid("/client", claiming: other.trustDomain)
            : try other.svid("/client", claiming: own.trustDomain)
        #expect(try await isRefused(connect(svid)))
        await server.stop()
    }

    @Test func `a client sends nothing to a server that is somebody else`() async throws {
        try await serve()
        let client = try await connect(own.svid("/client"), allowing: .oneOf([try own.id("/another")]))
        let refusal = await #expect(throws: PeerVerifier.Refusal.self) { try await client.say("secret") }
        guard case .unauthorized(let id) = refusal else {
            Issue.record("\(String(describing: refusal))")
            return
        }
        #expect(id == (try own.id("/server")))
        #expect(server.receivedBytes.withLock { $0 } == 0)
        await server.stop()
    }

    private func plainClient(_ change: (inout TLSConfiguration) throws -> Void) async throws -> EchoClient {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = .noHostnameVerification
        configuration.trustRoots = .certificates([
            try NIOSSLCertificate(bytes: own.authority.certificate.der, format: .der)
        ])
        try change(&configuration)
        let context = try NIOSSLContext(configuration: configuration)
        return try await EchoClient.connect(port: server.port) { channel in
            let tls = try NIOSSLClientHandler(
                context: context, serverHostname: nil,
                customVerificationCallback: { _, promise in promise.succeed(.certificateVerified) })
            try channel.pipeline.syncOperations.addHandler(tls)
        }
    }

    @Test func `no certificate is refused where one is required`() async throws {
        try await serve()
        let client = try await plainClient { _ in }
        #expect(await isRefused(client))
        #expect(server.peers.withLock { $0.isEmpty })
        await server.stop()
    }

    @Test func `no certificate is nobody where one is requested`() async throws {
        try await serve(clientCertificate: .requested)
        let client = try await plainClient { _ in }
        #expect(try await client.say("hello") == "hello")
        #expect(server.peers.withLock { $0 } == [nil])
        await client.close()
        await server.stop()
    }

    @Test func `a bad certificate is refused also where one is only requested`() async throws {
        try await serve(clientCertificate: .requested)
        #expect(try await isRefused(connect(other.svid("/client"))))
        await server.stop()
    }

    @Test func `TLS 1·2 is refused`() async throws {
        try await serve()
        let svid = try own.svid("/client")
        let client = try await plainClient { configuration in
            configuration.maximumTLSVersion = .tlsv12
            configuration.certificateChain = [.certificate(try NIOSSLCertificate(bytes: svid.chain[0], format: .der))]
            configuration.privateKey = .privateKey(try NIOSSLPrivateKey(bytes: svid.pkcs8, format: .der))
        }
        #expect(await isRefused(client))
        await server.stop()
    }

    @Test func `a held connection outlives a rotation, new ones use the new identity`() async throws {
        try await serve()
        let identity = try LiveIdentity(TLSIdentity(svid: own.svid("/client"), bundles: own.bundles))
        let verifier = PeerVerifier(identity: identity, authorizer: .anyVerified, now: clock.now)
        let held = try await EchoClient.connect(port: server.port, identity, verifier: verifier)
        #expect(try await held.say("one") == "one")
        try identity.replace(TLSIdentity(svid: own.svid("/client-2"), bundles: own.bundles))
        try serverIdentity.replace(TLSIdentity(svid: own.svid("/server-2"), bundles: own.bundles))
        #expect(try await held.say("two") == "two")
        let fresh = try await EchoClient.connect(
            port: server.port, identity,
            verifier: PeerVerifier(identity: identity, authorizer: .oneOf([try own.id("/server-2")]), now: clock.now))
        #expect(try await fresh.say("three") == "three")
        #expect(server.peers.withLock { $0 } == [try own.id("/client"), try own.id("/client-2")])
        #expect(try await held.say("four") == "four")
        await held.close()
        await fresh.close()
        await server.stop()
    }

    @Test func `a bundle counts from the moment it comes to the moment it goes`() async throws {
        try await serve()
        let svid = try other.svid("/client")
        #expect(try await isRefused(connect(svid)))
        serverIdentity.replaceBundles([own.trustDomain: own.bundle, other.trustDomain: other.bundle])
        let held = try await connect(svid)
        #expect(try await held.say("hello") == "hello")
        serverIdentity.replaceBundles(own.bundles)
        let late = try await connect(svid)
        #expect((try? await late.say("hello")) == nil)
        #expect(try await held.say("still") == "still")
        await held.close()
        await server.stop()
    }

    @Test func `nothing begins without an identity`() async throws {
        try await serve()
        let identity = LiveIdentity()
        let verifier = PeerVerifier(identity: identity, authorizer: .anyVerified, now: clock.now)
        await #expect(throws: NIOConnectionError.self) {
            try await EchoClient.connect(port: server.port, identity, verifier: verifier)
        }
        try identity.replace(TLSIdentity(svid: own.svid("/client"), bundles: own.bundles))
        let held = try await EchoClient.connect(port: server.port, identity, verifier: verifier)
        #expect(try await held.say("hello") == "hello")
        serverIdentity.withdraw()
        let refused = try? await EchoClient.connect(port: server.port, identity, verifier: verifier)
        #expect((try? await refused?.say("hello")) == nil)
        #expect(try await held.say("still") == "still")
        await held.close()
        await server.stop()
    }
}
