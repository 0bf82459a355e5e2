import GRPCCore
import NIOCore
import NIOHPACK
import NIOHTTP2

/// What the headers of all calls of a connection have in common.
struct CallHead {
    let authority: String
    let scheme: String
}

/// One call on its HTTP/2 stream, on the client's side: writes a gRPC request, reads its response.
///
/// Whatever a server sends ends in a response or a failure; never in a trap. Runs on the event loop alone.
final class ClientCallHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTP2Frame.FramePayload
    typealias OutboundIn = HTTP2Frame.FramePayload
    typealias OutboundOut = HTTP2Frame.FramePayload

    typealias ResponseQueue = ClientCall.ResponseQueue

    private enum Half {
        case none
        case begun
        case ended
    }

    private enum Response {
        case expected(ResponseQueue)
        case begun(ResponseQueue)
        case ended
    }

    private let head: CallHead
    private let path: String
    private var messages: MessageReader
    private var request = Half.none
    private var response: Response
    private var context: ChannelHandlerContext?
    private let sender = StreamSender()
    /// Asked when the server did not look at the call; `true` if somebody else brings its response.
    var onRefusal: () -> Bool = { false }

    init(_ head: CallHead, _ request: CallRequest, _ queue: ResponseQueue) {
        self.head = head
        path = request.path
        messages = MessageReader(maximum: request.maximumResponseBytes)
        response = .expected(queue)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        sender.attach(context)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        fail(RPCError(code: .unavailable, message: "the stream is closed"))
        self.context = nil
        sender.detach()
    }

    // MARK: the response

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch Self.unwrapInboundIn(data) {
        case .headers(let payload): receive(context, payload)
        case .data(let payload): receive(context, payload)
        case .rstStream(let code): fail(reset: code)
        default: break
        }
    }

    private func receive(_ context: ChannelHandlerContext, _ payload: HTTP2Frame.FramePayload.Headers) {
        switch response {
        case .expected(let queue) where payload.endStream:
            complete(context, queue, ResponseHead.status(payload.headers, isAll: true))
        case .expected(let queue):
            guard !ResponseHead.isInformational(payload.headers) else { return }
            do throws(RPCError) {
                queue.add(.metadata(try ResponseHead.metadata(payload.headers)))
                response = .begun(queue)
            } catch {
                giveUp(context, error)
            }
        case .begun(let queue):
            guard payload.endStream else { return }
            guard !messages.hasPart else {
                return giveUp(
                    context, RPCError(code: .internalError, message: "the response ends within a message"))
            }
            complete(context, queue, ResponseHead.status(payload.headers, isAll: false))
        case .ended: return
        }
    }

    private func receive(_ context: ChannelHandlerContext, _ payload: HTTP2Frame.FramePayload.Data) {
        guard case .byteBuffer(let bytes) = payload.data else { return }
        switch response {
        case .expected:
            giveUp(context, RPCError(code: .internalError, message: "the response has no headers"))
        case .begun(let queue):
            messages.append(bytes)
            do throws(MessageReader.Failure) {
                while let message = try messages.next() { queue.add(.message(MessageBytes(message))) }
            } catch {
                return giveUp(context, RPCError(error, maximum: messages.maximum))
            }
            if payload.endStream {
                giveUp(context, RPCError(code: .internalError, message: "the response ends without a status"))
            }
        case .ended: return
        }
    }

    private func complete(
        _ context: ChannelHandlerContext, _ queue: ResponseQueue, _ end: (status: Status, metadata: Metadata)
    ) {
        queue.add(.status(end.status, end.metadata))
        queue.finish()
        response = .ended
        // The server does not want the rest; a stream that is half open would stay for ever.
        if request != .ended { reset(context) }
    }

    /// There is room for more of the response.
    func readOn() {
        context?.read()
    }

    func read(context: ChannelHandlerContext) {
        switch response {
        case .expected(let queue), .begun(let queue): if queue.holdsBack() { return }
        case .ended: break
        }
        context.read()
    }

    // MARK: the end

    func channelInactive(context: ChannelHandlerContext) {
        fail(RPCError(code: .unavailable, message: "the connection was closed during the call"))
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let closed = error as? NIOHTTP2Errors.StreamClosed {
            fail(reset: closed.errorCode)
        } else {
            fail(RPCError(code: .unavailable, message: "the connection failed during the call", cause: error))
        }
        context.close(promise: nil)
    }

    /// The caller is not interested any more.
    func end() {
        guard let context else { return }
        if case .ended = response, request == .ended { return }
        giveUp(context, RPCError(code: .cancelled, message: "the call was cancelled"))
    }

    private func giveUp(_ context: ChannelHandlerContext, _ error: RPCError) {
        fail(error)
        reset(context)
    }

    private func fail(reset code: HTTP2ErrorCode) {
        if code == .refusedStream, case .expected = response, onRefusal() { response = .ended }
        fail(RPCError(reset: code))
    }

    private func fail(_ error: RPCError) {
        switch response {
        case .expected(let queue), .begun(let queue): queue.finish(throwing: error)
        case .ended: break
        }
        response = .ended
        endRequest(error)
    }

    private func endRequest(_ error: RPCError) {
        request = .ended
        sender.finish(.failure(error))
    }

    private func reset(_ context: ChannelHandlerContext) {
        endRequest(RPCError(code: .unavailable, message: "the call has ended"))
        context.writeAndFlush(Self.wrapOutboundOut(.rstStream(.cancel)), promise: nil)
    }

    // MARK: the request

    func send(_ part: ClientCall.Part) throws -> EventLoopFuture<Void>? {
        guard request != .ended else { throw RPCError(code: .unavailable, message: "the call has ended") }
        switch part {
        case .metadata(let metadata):
            guard request == .none else { return nil }
            request = .begun
            sender.send(headers(metadata))
            return nil
        case .message(let bytes): return sender.send(bytes)
        }
    }

    private func headers(_ metadata: Metadata) -> HPACKHeaders {
        var headers: HPACKHeaders = [
            ":method": "POST", ":scheme": head.scheme, ":path": path, ":authority": head.authority,
            "content-type": "application/grpc", "te": "trailers",
        ]
        headers.add(metadata)
        return headers
    }

    func finishSending() {
        guard request != .ended, let context else { return }
        request = .ended
        context.writeAndFlush(
            Self.wrapOutboundOut(.data(.init(data: .byteBuffer(ByteBuffer()), endStream: true))), promise: nil)
    }

    /// The server must not take a part of a request for the whole.
    func abandonSending() {
        guard request != .ended, let context else { return }
        giveUp(context, RPCError(code: .cancelled, message: "the request was not completed"))
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        sender.writabilityChanged()
        context.fireChannelWritabilityChanged()
    }

    /// Sends what is written.
    func flush() {
        sender.flush()
    }
}

extension RPCError {
    /// A stream that the server reset (gRPC over HTTP/2, "Errors").
    fileprivate init(reset code: HTTP2ErrorCode) {
        let meaning: Code =
            switch code {
            case .refusedStream: .unavailable
            case .cancel: .cancelled
            case .enhanceYourCalm: .resourceExhausted
            case .inadequateSecurity: .permissionDenied
            default: .internalError
            }
        self.init(code: meaning, message: "the server reset the call: \(code)")
    }
}
