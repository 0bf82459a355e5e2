import AgentShieldTesting
import NIOCore
import NIOPosix
import NIOSSL
import SPIFFE
import Testing

@testable import BundleEndpointClient

@Suite("An endpoint that accepts and never answers")
struct FetchTimeoutTests {
    private let clock = ManualClock(UnixTime(seconds: 1_800_000_000))

    private func fetch(port: Int, _ domain: TestTrustDomain, timeout: Duration) async throws -> [UInt8] {
        let client = BundleEndpointClient(timeout: timeout, now: { clock.time }, isRevoked: { _ in false })
        return try await client.fetch(
            try HTTPSURL("https://127.0.0.1:\(port)/bundle"),
            .spiffe(endpointID: try domain.id("/endpoint"), bundle: domain.bundle))
    }

    @Test("ends the fetch at the limit and the connection with it, with TLS or without", arguments: [false, true])
    func silence(speaksTLS: Bool) async throws {
        let domain = try TestTrustDomain("silent.example", clock: clock)
        let server = try await SilentServer.start(speaksTLS ? try domain.svid("/endpoint") : nil)
        let error = await #expect(throws: BundleEndpointError.self) {
            try await fetch(port: server.port, domain, timeout: .milliseconds(500))
        }
        guard case .timeout = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        // The request itself, or the beginning of the handshake.
        #expect(await server.received(untilTheEnd: "GET /bundle") == speaksTLS)
        try await server.stop()
    }

    @Test("ends the fetch when its task is cancelled, long before the limit")
    func cancellation() async throws {
        let domain = try TestTrustDomain("silent.example", clock: clock)
        let server = try await SilentServer.start(nil)
        let fetching = Task { try await fetch(port: server.port, domain, timeout: .seconds(3600)) }
        await server.connected()
        fetching.cancel()
        await #expect(throws: BundleEndpointError.self) { try await fetching.value }
        #expect(await server.received(untilTheEnd: "GET") == false)
        try await server.stop()
    }
}

/// Takes one connection, reads what comes and says nothing; with an identity it does so after the handshake.
private struct SilentServer {
    private enum Event: Sendable {
        case connected
        case read(String)
    }

    private let listener: any Channel
    private let events: AsyncStream<Event>

    static func start(_ identity: X509SVID?) async throws -> SilentServer {
        let (events, continuation) = AsyncStream<Event>.makeStream()
        let context = try identity.map { svid in
            try NIOSSLContext(
                configuration: .makeServerConfiguration(
                    certificateChain: try svid.chain.map {
                        .certificate(try NIOSSLCertificate(bytes: $0, format: .der))
                    },
                    privateKey: .privateKey(try NIOSSLPrivateKey(bytes: svid.pkcs8, format: .der))))
        }
        let listener = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let context {
                        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
                    }
                    try channel.pipeline.syncOperations.addHandler(Listening(continuation))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return SilentServer(listener: listener, events: events)
    }

    var port: Int { listener.localAddress?.port ?? 0 }

    /// Returns once a client is there.
    func connected() async {
        var iterator = events.makeAsyncIterator()
        _ = await iterator.next()
    }

    /// Whether this text came, judged when the client has hung up.
    func received(untilTheEnd text: String) async -> Bool {
        var all = ""
        for await case .read(let part) in events { all += part }
        return all.contains(text)
    }

    func stop() async throws { try await listener.close() }

    private final class Listening: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let continuation: AsyncStream<Event>.Continuation

        init(_ continuation: AsyncStream<Event>.Continuation) { self.continuation = continuation }

        func channelActive(context: ChannelHandlerContext) {
            continuation.yield(.connected)
            context.fireChannelActive()
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            continuation.yield(.read(String(buffer: unwrapInboundIn(data))))
        }

        func channelInactive(context: ChannelHandlerContext) { continuation.finish() }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
