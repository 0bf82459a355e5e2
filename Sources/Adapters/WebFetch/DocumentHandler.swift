import NIOCore
import NIOHTTP1
import NIOSSL

/// Sends the one request of a connection and collects its answer within a limit.
///
/// Confined to the connection's event loop, as every channel handler is.
final class DocumentHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let target: FetchTarget
    private let limit: Int
    private let answer: EventLoopPromise<[UInt8]>
    private var body: [UInt8] = []

    init(_ target: FetchTarget, limit: Int, answer: EventLoopPromise<[UInt8]>) {
        self.target = target
        self.limit = limit
        self.answer = answer
    }

    func channelActive(context: ChannelHandlerContext) {
        let head = HTTPRequestHead(
            version: .http1_1, method: .GET, uri: target.path,
            headers: ["host": target.authority, "accept": "application/json", "connection": "close"])
        // TLS keeps the request back until the server has proved itself.
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head) where head.status.code / 100 == 1: break
        case .head(let head):
            guard head.status == .ok else { return fail(context, .status(Int(head.status.code))) }
            if let length = head.headers.first(name: "content-length").flatMap({ Int($0) }), length > limit {
                return fail(context, .tooLarge)
            }
        case .body(let part):
            guard body.count + part.readableBytes <= limit else { return fail(context, .tooLarge) }
            body.append(contentsOf: part.readableBytesView)
        case .end:
            answer.succeed(body)
            context.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let tls = error as? NIOSSLError, case .handshakeFailed = tls {
            fail(context, .unverified("\(error)"))
        } else if error is NIOSSLExtraError {
            fail(context, .unverified("\(error)"))
        } else {
            fail(context, .unreachable("\(error)"))
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        answer.fail(WebFetchError.unreachable("the connection ended early"))
        context.fireChannelInactive()
    }

    private func fail(_ context: ChannelHandlerContext, _ error: WebFetchError) {
        answer.fail(error)
        context.close(promise: nil)
    }
}
