import JOSE
import NIOCore
import NIOHTTP1
import NIOSSL
import OAuth

/// Sends the one request of a connection and collects its answer within a limit.
///
/// Confined to the connection's event loop, as every channel handler is.
final class DocumentHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let target: FetchTarget
    private let limit: Int
    private let answer: EventLoopPromise<WebDocument>
    private var body: [UInt8] = []
    private var cacheControl: String?

    init(_ target: FetchTarget, limit: Int, answer: EventLoopPromise<WebDocument>) {
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
            guard head.status == .ok else { return fail(context, Self.refusal(head)) }
            let directives = head.headers[canonicalForm: "cache-control"]
            cacheControl = directives.isEmpty ? nil : directives.joined(separator: ",")
            if let length = head.headers.first(name: "content-length").flatMap({ Int($0) }), length > limit {
                return fail(context, .tooLarge)
            }
        case .body(let part):
            guard body.count + part.readableBytes <= limit else { return fail(context, .tooLarge) }
            body.append(contentsOf: part.readableBytesView)
        case .end:
            answer.succeed(WebDocument(bytes: body, cacheControl: cacheControl))
            context.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(context, WebFetchError(connection: error))
    }

    func channelInactive(context: ChannelHandlerContext) {
        answer.fail(WebFetchError.unreachable("the connection ended early"))
        context.fireChannelInactive()
    }

    /// Of a redirect only the host is kept: the rest of the place may be made for the log's reader.
    private static func refusal(_ head: HTTPResponseHead) -> WebFetchError {
        let code = Int(head.status.code)
        guard code / 100 == 3 else { return .status(code) }
        let place = head.headers.first(name: "location").flatMap { try? WebURL($0) }
        return .redirect(code, host: place.map(\.host.truncatedForMessage))
    }

    private func fail(_ context: ChannelHandlerContext, _ error: WebFetchError) {
        answer.fail(error)
        context.close(promise: nil)
    }
}

extension WebFetchError {
    /// What an error of a connection means.
    init(connection error: any Error) {
        if let tls = error as? NIOSSLError, case .handshakeFailed = tls {
            self = .unverified("\(error)")
        } else if error is NIOSSLExtraError {
            self = .unverified("\(error)")
        } else {
            self = .unreachable("\(error)")
        }
    }
}
