import NIOCore
import NIOHTTP2
import NIOTLS

/// The frames that concern the whole connection, on the client's side: SETTINGS, GOAWAY, PING.
final class ClientConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame
    typealias OutboundOut = HTTP2Frame

    private let keepAlive: PeerClientSettings.KeepAlive?
    private var nextPing: Scheduled<Void>?
    private var patience: Scheduled<Void>?
    private var isReady = false
    private var failure: (any Error)?

    /// Whether calls are under way.
    var isInUse: () -> Bool = { false }
    /// The server's first SETTINGS have come.
    var onReady: () -> Void = {}
    /// The server takes no more calls.
    var onGoAway: () -> Void = {}
    /// The connection is closed; with the error that closed it.
    var onEnd: ((any Error)?) -> Void = { _ in }

    init(keepAlive: PeerClientSettings.KeepAlive?) {
        self.keepAlive = keepAlive
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch Self.unwrapInboundIn(data).payload {
        case .settings(.settings) where !isReady:
            isReady = true
            schedulePing(context)
            onReady()
        case .goAway: onGoAway()
        case .ping(_, ack: true):
            patience?.cancel()
            patience = nil
        default: break
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case TLSUserEvent.handshakeCompleted(let negotiated) = event, negotiated != "h2" {
            fail(context, ConnectFailure.wrongProtocol)
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        // A stream's own trouble; also reported here for historical reasons.
        case is NIOHTTP2Errors.StreamError: break
        // A frame of a call that we have given up.
        case is NIOHTTP2Errors.NoSuchStream: break
        default: fail(context, error)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        nextPing?.cancel()
        patience?.cancel()
        onEnd(failure)
        context.fireChannelInactive()
    }

    private func fail(_ context: ChannelHandlerContext, _ error: any Error) {
        if failure == nil { failure = error }
        context.close(promise: nil)
    }

    // MARK: is the server still there?

    private func schedulePing(_ context: ChannelHandlerContext) {
        guard let keepAlive else { return }
        let known = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        nextPing = context.eventLoop.scheduleTask(in: TimeAmount(keepAlive.interval)) {
            let (handler, context) = known.value
            if handler.isInUse(), handler.patience == nil { handler.ping(context, keepAlive) }
            handler.schedulePing(context)
        }
    }

    private func ping(_ context: ChannelHandlerContext, _ keepAlive: PeerClientSettings.KeepAlive) {
        let frame = HTTP2Frame(streamID: .rootStream, payload: .ping(HTTP2PingData(), ack: false))
        context.writeAndFlush(Self.wrapOutboundOut(frame), promise: nil)
        let known = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        patience = context.eventLoop.scheduleTask(in: TimeAmount(keepAlive.patience)) {
            known.value.0.fail(known.value.1, ConnectFailure.timeout)
        }
    }
}
