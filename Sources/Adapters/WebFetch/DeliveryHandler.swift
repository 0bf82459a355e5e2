import NIOCore
import NIOHTTP1

/// Sends the one request with a body of a connection and learns the status of its answer.
///
/// Confined to the connection's event loop, as every channel handler is.
final class DeliveryHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    /// How long the rest of an answer is waited for once its status is known.
    private static let patience = TimeAmount.seconds(1)

    private let content: WebContent
    private let target: FetchTarget
    private let limit: Int
    private let answer: EventLoopPromise<Int>
    private var status: Int?
    private var length = 0

    init(_ content: WebContent, _ target: FetchTarget, limit: Int, answer: EventLoopPromise<Int>) {
        self.content = content
        self.target = target
        self.limit = limit
        self.answer = answer
    }

    func channelActive(context: ChannelHandlerContext) {
        var headers: HTTPHeaders = [
            "host": target.authority, "content-type": content.type,
            "content-length": String(content.body.readableBytes), "connection": "close",
        ]
        for (name, value) in content.headers { headers.add(name: name, value: value) }
        let head = HTTPRequestHead(version: .http1_1, method: .POST, uri: target.path, headers: headers)
        // TLS keeps the request back until the server has proved itself.
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(content.body))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head) where head.status.code / 100 == 1: break
        case .head(let head):
            let status = Int(head.status.code)
            self.status = status
            // The status is what counts; a server that says much more, or nothing more, is not listened to for long.
            context.eventLoop.scheduleTask(in: Self.patience) { [answer] in answer.succeed(status) }
        case .body(let part):
            length += part.readableBytes
            if length > limit { end(context) }
        case .end: end(context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let status { answer.succeed(status) } else { answer.fail(WebFetchError(connection: error)) }
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        end(context)
        context.fireChannelInactive()
    }

    private func end(_ context: ChannelHandlerContext) {
        if let status {
            answer.succeed(status)
        } else {
            answer.fail(WebFetchError.unreachable("the connection ended early"))
        }
        context.close(promise: nil)
    }
}
