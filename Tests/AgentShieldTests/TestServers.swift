import AgentShield
import AsyncHTTPClient
import Hummingbird
import NIOCore
import NIOPosix
import Synchronization

/// A TLS server that answers every request alike and counts what it has read.
final class CountingServer: Sendable {
    let receivedBytes = Mutex(0)
    let callers = Mutex<[AgentCaller]>([])
    private let listener = Mutex<(any Channel)?>(nil)

    func start(_ identity: AgentIdentity, allow rule: PeerRule = .anyVerified) async throws {
        let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.addAgentShieldServer(identity: identity, allow: rule) { caller in
                        self.callers.withLock { $0.append(caller) }
                    }
                    try channel.pipeline.syncOperations.addHandler(Answer(server: self))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        listener.withLock { $0 = channel }
    }

    var url: String { "https://127.0.0.1:\(listener.withLock { $0?.localAddress?.port ?? 0 })/" }

    func stop() async { try? await listener.withLock { $0 }?.close() }

    private final class Answer: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let server: CountingServer

        init(server: CountingServer) { self.server = server }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let count = unwrapInboundIn(data).readableBytes
            server.receivedBytes.withLock { $0 += count }
            let answer = ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}

/// Runs a Hummingbird server with mutual TLS around `body`, which gets the URL of its root.
func withHummingbird(
    _ identity: AgentIdentity, allow rule: PeerRule, _ router: @Sendable () -> Router<BasicRequestContext>,
    _ body: @escaping @Sendable (String) async throws -> Void
) async throws {
    let (ports, port) = AsyncStream<Int>.makeStream()
    let app = Application(
        router: router(), server: .agentShield(identity: identity, allow: rule),
        configuration: .init(address: .hostname("127.0.0.1", port: 0)),
        onServerRunning: { port.yield($0.localAddress?.port ?? 0) }, logger: AgentIdentity.silentLogger)
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await app.run() }
        group.addTask {
            for await number in ports { return try await body("https://127.0.0.1:\(number)") }
        }
        defer { group.cancelAll() }
        try await group.next()
    }
}

extension AgentHTTPResponse {
    var text: String {
        get async throws { String(buffer: try await body.collect(upTo: 65_536)) }
    }
}
