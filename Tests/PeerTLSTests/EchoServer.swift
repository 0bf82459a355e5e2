import NIOCore
import NIOPosix
import NIOSSL
import PeerTLS
import SPIFFE
import Synchronization

/// A server that sends back what it gets and remembers everything else.
final class EchoServer: Sendable {
    let peers = Mutex<[SPIFFEID?]>([])
    /// Certificates that nobody has verified.
    let presented = Mutex<[PresentedCertificate]>([])
    let errors = Mutex<[any Error]>([])
    let receivedBytes = Mutex(0)
    private let listener = Mutex<(any Channel)?>(nil)

    func start(
        _ identity: LiveIdentity, clientCertificate: LiveIdentity.ClientCertificate = .required, verifier: PeerVerifier,
        admitsUnverified: Bool = false
    ) async throws {
        let unverified =
            admitsUnverified
            ? UnverifiedPeers { certificate in self.presented.withLock { $0.append(certificate) } } : nil
        let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.addServerTLS(
                        identity, clientCertificate: clientCertificate, verifier: verifier, unverified: unverified,
                        completed: { peer in self.peers.withLock { $0.append(peer?.id) } })
                    try channel.pipeline.syncOperations.addHandler(Echo(server: self))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        listener.withLock { $0 = channel }
    }

    var port: Int { listener.withLock { $0?.localAddress?.port ?? 0 } }

    func stop() async {
        try? await listener.withLock { $0 }?.close()
    }

    private final class Echo: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let server: EchoServer

        init(server: EchoServer) { self.server = server }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let count = unwrapInboundIn(data).readableBytes
            server.receivedBytes.withLock { $0 += count }
            context.writeAndFlush(data, promise: nil)
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            server.errors.withLock { $0.append(error) }
            context.close(promise: nil)
        }
    }
}

/// A client's connection to an ``EchoServer``.
struct EchoClient: Sendable {
    private let channel: any Channel
    private let answers: AsyncThrowingStream<String, any Error>

    static func connect(
        port: Int, _ addTLS: @escaping @Sendable (any Channel) throws -> Void
    ) async throws -> EchoClient {
        let (answers, continuation) = AsyncThrowingStream<String, any Error>.makeStream()
        let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try addTLS(channel)
                    try channel.pipeline.syncOperations.addHandler(Collector(continuation))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        return EchoClient(channel: channel, answers: answers)
    }

    static func connect(port: Int, _ identity: LiveIdentity, verifier: PeerVerifier) async throws -> EchoClient {
        try await connect(port: port) { try $0.addClientTLS(identity, http2: false, verifier: verifier) }
    }

    /// What comes back; `nil` when the connection ended first. Throws what the client's own side refuses.
    func say(_ text: String) async throws -> String? {
        channel.writeAndFlush(ByteBuffer(string: text), promise: nil)
        var iterator = answers.makeAsyncIterator()
        return try await iterator.next()
    }

    func close() async {
        try? await channel.close()
    }

    private final class Collector: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let continuation: AsyncThrowingStream<String, any Error>.Continuation

        init(_ continuation: AsyncThrowingStream<String, any Error>.Continuation) { self.continuation = continuation }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            continuation.yield(String(buffer: unwrapInboundIn(data)))
        }

        func channelInactive(context: ChannelHandlerContext) {
            continuation.finish()
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            continuation.finish(throwing: error)
            context.close(promise: nil)
        }
    }
}

/// Waits until a condition holds; `false` after some seconds.
func eventually(_ condition: () -> Bool) async -> Bool {
    for _ in 0..<1000 {
        if condition() { return true }
        try? await Task.sleep(for: .milliseconds(10))
    }
    return condition()
}
