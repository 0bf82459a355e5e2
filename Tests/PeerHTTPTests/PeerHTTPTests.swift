import AgentShieldTesting
import Hummingbird
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import PeerHTTP
import PeerTLS
import SPIFFE
import TestPKI
import Testing

/// Knows the event loop of its connection.
private struct LoopContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let loop: any EventLoop

    init(source: Source) {
        coreContext = CoreRequestContextStorage(source: source)
        loop = source.channel.eventLoop
    }
}

struct PeerHTTPTests {
    let clock = ManualClock(UnixTime(seconds: 1_800_000_000))
    let own: TestTrustDomain

    init() throws {
        own = try TestTrustDomain("own.example", clock: clock)
    }

    /// Serves `GET /`, which answers with the caller's ID, around `body`.
    private func serving(
        _ clientCertificate: LiveIdentity.ClientCertificate, admitsUnverified: Bool = false, onEventLoop: Bool = true,
        _ body: @escaping @Sendable (Int) async throws -> Void
    ) async throws {
        let identity = try LiveIdentity(TLSIdentity(svid: own.svid("/server"), bundles: own.bundles))
        let verifier = PeerVerifier(identity: identity, authorizer: .anyVerified, now: clock.now)
        let router = Router(context: LoopContext.self)
        router.get("/") { _, context in
            // Also after a wait.
            #expect(context.loop.inEventLoop == onEventLoop)
            await Task.yield()
            #expect(context.loop.inEventLoop == onEventLoop)
            guard let certificate = HTTPPeer.unverifiedCertificate else {
                return HTTPPeer.current?.id.string ?? "nobody"
            }
            return "\(HTTPPeer.current == nil ? "nobody" : "somebody") with \(certificate.leaf.sha256.prefix(8))"
        }
        let (ports, port) = AsyncStream<Int>.makeStream()
        let app = Application(
            router: router,
            server: .peerTLS(
                identity, clientCertificate: clientCertificate, verifier: verifier, admitsUnverified: admitsUnverified,
                handlesOnEventLoop: onEventLoop),
            configuration: .init(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { port.yield($0.localAddress?.port ?? 0) },
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await app.run() }
            group.addTask {
                for await number in ports {
                    try await body(number)
                    return
                }
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// Sends two requests on one connection and gives all that comes back.
    private func ask(_ port: Int, _ addTLS: @escaping @Sendable (any Channel) throws -> Void) async throws -> String {
        let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .channelInitializer { channel in channel.eventLoop.makeCompletedFuture { try addTLS(channel) } }
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            try await outbound.write(
                ByteBuffer(
                    string: "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
            var text = ""
            for try await part in inbound { text += String(buffer: part) }
            return text
        }
    }

    private func ask(_ port: Int, as svid: X509SVID) async throws -> String {
        let identity = try LiveIdentity(TLSIdentity(svid: svid, bundles: own.bundles))
        let verifier = PeerVerifier(identity: identity, authorizer: .anyVerified, now: clock.now)
        return try await ask(port) { try $0.addClientTLS(identity, http2: false, verifier: verifier) }
    }

    @Test(arguments: [LiveIdentity.ClientCertificate.required, .requested], [true, false])
    func `every request of a connection knows its own caller, on the event loop and off it`(
        mode: LiveIdentity.ClientCertificate, onEventLoop: Bool
    ) async throws {
        try await serving(mode, onEventLoop: onEventLoop) { port in
            async let one = ask(port, as: own.svid("/one"))
            async let two = ask(port, as: own.svid("/two"))
            for (text, id) in [
                (try await one, "spiffe://own.example/one"), (try await two, "spiffe://own.example/two"),
            ] {
                #expect(text.split(separator: id, omittingEmptySubsequences: false).count == 3)
            }
        }
    }

    @Test func `a caller without a certificate is nobody`() async throws {
        try await serving(.requested) { port in
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.certificateVerification = .none
            let context = try NIOSSLContext(configuration: configuration)
            let text = try await ask(port) { channel in
                try channel.pipeline.syncOperations.addHandler(
                    NIOSSLClientHandler(context: context, serverHostname: nil))
            }
            #expect(text.split(separator: "nobody", omittingEmptySubsequences: false).count == 3)
        }
    }

    /// A client with any certificate, which looks at nothing of the server's.
    private func ask(_ port: Int, with chain: [TestPKI.Holder], key: TestPKI.Holder? = nil) async throws -> String {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = .none
        configuration.certificateChain = try chain.map {
            .certificate(try NIOSSLCertificate(bytes: $0.der, format: .der))
        }
        configuration.privateKey = .privateKey(
            try NIOSSLPrivateKey(bytes: Array((key ?? chain[0]).key.derRepresentation), format: .der))
        let context = try NIOSSLContext(configuration: configuration)
        return try await ask(port) { channel in
            try channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: context, serverHostname: nil))
        }
    }

    @Test func `a certificate that is no SVID is nobody's, and shown only where it is asked for`() async throws {
        let pki = TestPKI(now: clock.time)
        let holder = try pki.make(.client())
        let text = "nobody with \(try presented(holder).leaf.sha256.prefix(8))"
        try await serving(.requested, admitsUnverified: true) { port in
            let answer = try await ask(port, with: [holder])
            #expect(answer.split(separator: text, omittingEmptySubsequences: false).count == 3)
            let own = try await ask(port, as: own.svid("/one"))
            #expect(own.split(separator: "spiffe://own.example/one", omittingEmptySubsequences: false).count == 3)
        }
        for mode in [LiveIdentity.ClientCertificate.requested, .required] {
            try await serving(mode) { port in
                let answer = try? await ask(port, with: [holder])
                #expect(answer?.contains("200") != true)
            }
        }
        try await serving(.required, admitsUnverified: true) { port in
            let answer = try? await ask(port, with: [holder])
            #expect(answer?.contains("200") != true)
        }
    }

    @Test func `a certificate within limits, and an SVID that does not verify in no way`() async throws {
        let pki = TestPKI(now: clock.time)
        let root = try pki.make(.authority("root"))
        let stranger = try TestTrustDomain("own.example", clock: clock)
        let refused: [(String, [TestPKI.Holder])] = [
            ("too long", try [pki.make(.client(), by: root)] + Array(repeating: root, count: 5)),
            (
                "too large",
                [
                    try pki.make(
                        .client { $0.names = (0..<2000).map { .dnsName("name-\($0).example.org") } }, by: root)
                ]
            ),
            (
                "an ID from elsewhere",
                [
                    try pki.make(
                        .client { $0.names = [.uniformResourceIdentifier("spiffe://own.example/one")] }, by: root)
                ]
            ),
            (
                "an ID of no trust domain",
                [
                    try pki.make(
                        .client { $0.names = [.uniformResourceIdentifier("SPIFFE:x"), .dnsName("a")] }, by: root)
                ]
            ),
        ]
        try await serving(.requested, admitsUnverified: true) { port in
            for (name, chain) in refused {
                let answer = try? await ask(port, with: chain)
                #expect(answer?.contains("200") != true, "\(name)")
            }
            let svid = try? await ask(port, as: stranger.svid("/one"))
            #expect(svid?.contains("200") != true)
            let long = try await ask(port, with: [pki.make(.client(), by: root)] + Array(repeating: root, count: 4))
            #expect(long.contains("nobody with"))
        }
    }

    @Test func `a caller that does not verify gets no answer`() async throws {
        let other = try TestTrustDomain("own.example", clock: clock)
        try await serving(.requested) { port in
            let text = try? await ask(port, as: other.svid("/one"))
            #expect(text?.contains("200") != true)
        }
    }
}
