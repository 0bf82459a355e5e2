import GRPCCore
import NIOCore
import NIOHTTP2
import Synchronization

/// gRPC over HTTP/2 for connections whose peer is known: the server half that ``PeerServer`` runs on.
///
/// A call runs as one task on the event loop of its connection and writes what it has in one go; the peer travels in the
/// call's context. Why it exists beside the stock transport: docs/decisions/14-own-grpc-transport.md.
final class PeerTransport: ServerTransport {
    typealias Bytes = MessageBytes
    typealias Serve = @Sendable (RPCStream<Inbound, Outbound>, ServerContext) async -> Void

    private let listener: PeerListener
    private let limits: PeerServerLimits
    private let listens: @Sendable (_ port: Int?) -> Void
    private let methods = Mutex<[String: MethodDescriptor]>([:])
    private let open = OpenConnections()

    /// - Parameter listens: called once the server accepts, with its TCP port if it has one.
    init(
        listener: PeerListener, limits: PeerServerLimits, listens: @escaping @Sendable (_ port: Int?) -> Void
    ) {
        self.listener = listener
        self.limits = limits
        self.listens = listens
    }

    func configure(context: GRPCServerContext) {
        let byPath = Dictionary(
            context.methods.map { ("/" + $0.fullyQualifiedMethod, $0) }, uniquingKeysWith: { first, _ in first })
        methods.withLock { $0 = byPath }
    }

    func listen(streamHandler serve: @escaping Serve) async throws {
        let connection = ConnectionPipeline(
            limits: limits, methods: methods.withLock { $0 },
            start: { [open] head, queue, handler, stream, peer, executor in
                let loop = stream.eventLoop
                let call = NIOLoopBound(handler, eventLoop: loop)
                open.addCall { number in
                    // The event loop begins with it in a later turn: it cannot end before it is known.
                    Task(executorPreference: executor) {
                        await Self.run(head, queue, call, loop, peer, serve)
                        open.callEnded(number)
                    }
                }
            })
        let channel = try await listener.listen { [open] channel, peer in
            guard open.add(channel) else { throw PeerServerError.ending }
            try connection.configure(channel, peer)
        }
        open.listens(channel)
        listens(channel.localAddress?.port)
        await withTaskCancellationHandler {
            await open.drained()
        } onCancel: {
            open.abort()
        }
    }

    func beginGracefulShutdown() {
        open.beginShutdown()
    }

    private static func run(
        _ head: RequestHead, _ queue: CallHandler.RequestQueue, _ call: NIOLoopBound<CallHandler>,
        _ loop: any EventLoop,
        _ peer: ConnectionPeer, _ serve: Serve
    ) async {
        await withServerContextRPCCancellationHandle { cancellation in
            if loop.inEventLoop {
                call.value.attach(cancellation)
            } else {
                loop.execute { call.value.attach(cancellation) }
            }
            var context = ServerContext(
                descriptor: head.method, remotePeer: peer.remoteAddress, localPeer: "", cancellation: cancellation)
            context.transportSpecific = PeerContext(peer: peer)
            await serve(
                RPCStream(
                    descriptor: head.method, inbound: RPCAsyncSequence(wrapping: queue),
                    outbound: RPCWriter.Closable(wrapping: CallWriter(call, loop))),
                context)
        }
    }
}
