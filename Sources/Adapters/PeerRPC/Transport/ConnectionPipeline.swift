import GRPCCore
import NIOCore
import NIOHTTP2

/// Puts HTTP/2 and, on each of its streams, a ``CallHandler`` on a connection.
struct ConnectionPipeline: Sendable {
    /// Starts a call, on the event loop of its connection.
    typealias Start =
        @Sendable (
            RequestHead, CallHandler.RequestQueue, CallHandler, any Channel, ConnectionPeer, EventLoopExecutor
        ) -> Void

    let limits: PeerServerLimits
    let methods: [String: MethodDescriptor]
    let start: Start

    /// How long a connection may be quiet before the server asks whether its client is still there.
    private static let keepAlive = TimeAmount.seconds(60)
    /// How long the client has to answer that.
    private static let keepAlivePatience = TimeAmount.seconds(20)
    /// Largest list of header fields, in bytes (RFC 9113 §6.5.2).
    private static let maximumHeaderBytes = 16 * 1024
    /// Bytes of requests that may be on their way, of one call and of one connection.
    private static let window = 256 * 1024
    /// Streams that a client may reset, or have refused while it still sends, in 30 s; then its connection ends. Clients
    /// that fetch and cancel, or whose calls are refused at once, come to some hundreds.
    private static let resets = 2000

    /// Runs on the event loop of the channel.
    func configure(_ channel: any Channel, _ connection: PeerConnectionHandler) throws {
        let loop = channel.eventLoop
        let management = NIOHTTP2ServerConnectionManagementHandler(
            eventLoop: loop,
            configuration: .init(
                maxIdleTime: TimeAmount(limits.maximumIdleTime), maxAge: limits.maximumAge.map { TimeAmount($0) },
                maxGraceTime: TimeAmount(limits.grace),
                keepalive: .init(pingInterval: Self.keepAlive, ackTimeout: Self.keepAlivePatience)))
        let executor = EventLoopExecutor(loop)
        let known = NIOLoopBound(connection, eventLoop: loop)
        let http2 = NIOHTTP2Handler(
            mode: .server, eventLoop: loop, connectionConfiguration: connectionConfiguration,
            streamConfiguration: streamConfiguration, streamDelegate: management.http2StreamDelegate
        ) { [limits, methods, start] stream in
            stream.eventLoop.makeCompletedFuture {
                let handler = CallHandler(
                    methods: methods, maximumFields: limits.maximumHeaderFields,
                    maximumMessageBytes: limits.maximumRequestBytes
                ) { head, queue, handler, stream in
                    // Gone only together with its connection, whose streams then end.
                    guard let peer = known.value.peer else { return stream.close(promise: nil) }
                    start(head, queue, handler, stream, peer, executor)
                }
                try stream.pipeline.syncOperations.addHandler(handler)
            }
        }
        try channel.pipeline.syncOperations.addHandlers([http2, management, ConnectionErrors()])
    }

    private var connectionConfiguration: NIOHTTP2Handler.ConnectionConfiguration {
        var configuration = NIOHTTP2Handler.ConnectionConfiguration()
        configuration.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: limits.maximumStreamsPerConnection),
            HTTP2Setting(parameter: .initialWindowSize, value: Self.window),
            HTTP2Setting(parameter: .maxHeaderListSize, value: Self.maximumHeaderBytes),
        ]
        configuration.targetWindowSize = Self.window
        configuration.maximumRecentlyResetStreams = Self.resets
        return configuration
    }

    private var streamConfiguration: NIOHTTP2Handler.StreamConfiguration {
        var configuration = NIOHTTP2Handler.StreamConfiguration()
        configuration.targetWindowSize = Self.window
        configuration.outboundBufferSizeHighWatermark = 64 * 1024
        configuration.outboundBufferSizeLowWatermark = 32 * 1024
        configuration.streamResetFrameRateLimit.maximumCount = Self.resets
        configuration.streamErrorRateLimit.maximumCount = Self.resets
        return configuration
    }
}

/// Closes a connection at its first error that is not one stream's alone.
private final class ConnectionErrors: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        // A stream's own trouble; also reported here for historical reasons.
        case is NIOHTTP2Errors.StreamError: break
        // A call that crossed with our GOAWAY.
        case is NIOHTTP2Errors.NoSuchStream: break
        default: context.close(promise: nil)
        }
    }
}
