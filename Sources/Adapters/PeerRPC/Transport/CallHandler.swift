import GRPCCore
import NIOCore
import NIOHPACK
import NIOHTTP2

/// One call on its HTTP/2 stream: reads a gRPC request, starts the call, writes its response.
///
/// Whatever a peer sends ends in a status, a reset, or nothing; never in a trap. Runs on the event loop alone.
final class CallHandler: ChannelDuplexHandler, SendingSide {
    typealias InboundIn = HTTP2Frame.FramePayload
    typealias OutboundIn = HTTP2Frame.FramePayload
    typealias OutboundOut = HTTP2Frame.FramePayload

    typealias Part = RPCResponsePart<MessageBytes>
    typealias RequestQueue = PartQueue<RPCRequestPart<MessageBytes>>

    /// Starts a call; the transport's part.
    typealias Start = (RequestHead, RequestQueue, CallHandler, any Channel) -> Void

    private enum Request {
        case expected
        case open(RequestQueue)
        /// Complete, refused, or of no interest any more: what still comes is dropped.
        case ended
    }

    private enum Response {
        case none
        case begun
        case ended
    }

    private let methods: [String: MethodDescriptor]
    private let maximumFields: Int
    private let start: Start
    private var messages: MessageReader
    private var request = Request.expected
    private var response = Response.none
    private var context: ChannelHandlerContext?
    private var cancellation: ServerContext.RPCCancellationHandle?
    private var isCancelled = false
    private let sender = StreamSender()
    private var deadline: Scheduled<Void>?

    init(
        methods: [String: MethodDescriptor], maximumFields: Int, maximumMessageBytes: Int, start: @escaping Start
    ) {
        self.methods = methods
        self.maximumFields = maximumFields
        self.start = start
        messages = MessageReader(maximum: maximumMessageBytes)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        sender.attach(context)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        close(RPCError(code: .unavailable, message: "the stream is closed"))
        self.context = nil
        sender.detach()
    }

    // MARK: the request

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch Self.unwrapInboundIn(data) {
        case .headers(let payload): receive(context, payload)
        case .data(let payload): receive(context, payload)
        default: break
        }
    }

    private func receive(_ context: ChannelHandlerContext, _ payload: HTTP2Frame.FramePayload.Headers) {
        guard case .expected = request else {
            // A request has no trailers; swift-nio-http2 refuses them unless they end the stream, which then counts.
            if payload.endStream { finishRequest() }
            return
        }
        let head: RequestHead
        do throws(RequestHead.Refusal) {
            head = try RequestHead(payload.headers, methods: methods, maximumFields: maximumFields)
        } catch {
            request = .ended
            return end(context, error.headers, isRequestComplete: payload.endStream)
        }
        let loop = NIOLoopBound(self, eventLoop: context.eventLoop)
        let eventLoop = context.eventLoop
        let queue = RequestQueue { eventLoop.execute { loop.value.context?.read() } }
        request = .open(queue)
        queue.add(.metadata(head.metadata))
        if payload.endStream { finishRequest() }
        deadline = head.timeout.map { eventLoop.scheduleTask(in: $0) { loop.value.expire() } }
        start(head, queue, self, context.channel)
    }

    private func receive(_ context: ChannelHandlerContext, _ payload: HTTP2Frame.FramePayload.Data) {
        guard case .open(let queue) = request, case .byteBuffer(let bytes) = payload.data else { return }
        messages.append(bytes)
        do throws(MessageReader.Failure) {
            while let message = try messages.next() { queue.add(.message(MessageBytes(message))) }
        } catch {
            let refusal = RPCError(error, maximum: messages.maximum)
            return refuse(context, queue, refusal, isRequestComplete: payload.endStream)
        }
        guard payload.endStream else { return }
        if messages.hasPart {
            let refusal = RPCError(code: .internalError, message: "the request ends within a message")
            return refuse(context, queue, refusal, isRequestComplete: true)
        }
        finishRequest()
    }

    /// Ends the call from here: its handler, which may be waiting for something else, learns of it as well.
    private func refuse(
        _ context: ChannelHandlerContext, _ queue: RequestQueue, _ error: RPCError, isRequestComplete: Bool
    ) {
        queue.finish(throwing: error)
        request = .ended
        let status = Status(code: Status.Code(error.code), message: error.message)
        if response != .ended {
            end(
                context, .trailers(status, afterHeaders: response == .begun), isRequestComplete: isRequestComplete)
        }
        cancel()
    }

    /// The caller no longer waits. A handler that does not look goes on to its end.
    private func expire() {
        guard let context, response != .ended else { return cancel() }
        let error = RPCError(code: .deadlineExceeded, message: "the caller's time is over")
        switch request {
        case .open(let queue): refuse(context, queue, error, isRequestComplete: false)
        case .expected, .ended:
            end(
                context,
                .trailers(Status(code: .deadlineExceeded, message: error.message), afterHeaders: response == .begun),
                isRequestComplete: true)
            cancel()
        }
    }

    private func finishRequest() {
        if case .open(let queue) = request { queue.finish() }
        request = .ended
    }

    func read(context: ChannelHandlerContext) {
        if case .open(let queue) = request, queue.holdsBack() { return }
        context.read()
    }

    // MARK: the end

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent { cancel() }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        close(RPCError(code: .cancelled, message: "the caller has gone"))
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        close(RPCError(code: .cancelled, message: "the caller has gone", cause: error))
        context.close(promise: nil)
    }

    private func close(_ error: RPCError) {
        if case .open(let queue) = request { queue.finish(throwing: error) }
        request = .ended
        response = .ended
        sender.finish(.failure(error))
        cancel()
    }

    /// Lets the call be cancelled, at once if it is already.
    func attach(_ cancellation: ServerContext.RPCCancellationHandle) {
        if isCancelled { cancellation.cancel() } else { self.cancellation = cancellation }
    }

    private func cancel() {
        deadline?.cancel()
        deadline = nil
        isCancelled = true
        cancellation?.cancel()
        cancellation = nil
    }

    // MARK: the response

    /// Writes a part. If it returns a future, the stream is full and the next part waits for it.
    func send(_ part: Part) throws -> EventLoopFuture<Void>? {
        guard response != .ended, let context else {
            throw RPCError(code: .unavailable, message: "the call has ended")
        }
        switch part {
        case .metadata(let metadata):
            guard response == .none else { return nil }
            response = .begun
            sender.send(.response(metadata))
            return nil
        case .message(let bytes): return sender.send(bytes)
        case .status(let status, let metadata):
            let isComplete = if case .ended = request { true } else { false }
            end(
                context, .trailers(status, metadata, afterHeaders: response == .begun), isRequestComplete: isComplete)
            if case .open(let queue) = request { queue.finish() }
            request = .ended
            return nil
        }
    }

    func finishSending() {
        abandonSending()
    }

    /// Ends a response whose handler returned without a status.
    func abandonSending() {
        guard response != .ended, let context else { return }
        close(RPCError(code: .internalError, message: "the call ended without a status"))
        context.writeAndFlush(Self.wrapOutboundOut(.rstStream(.internalError)), promise: nil)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        sender.writabilityChanged()
        context.fireChannelWritabilityChanged()
    }

    /// Ends the response; a client that is still sending is told to stop (RFC 9113 §8.1).
    private func end(_ context: ChannelHandlerContext, _ trailers: HPACKHeaders, isRequestComplete: Bool) {
        response = .ended
        deadline?.cancel()
        deadline = nil
        sender.finish(.success(()))
        let headers = Self.wrapOutboundOut(.headers(.init(headers: trailers, endStream: true)))
        guard !isRequestComplete else { return context.writeAndFlush(headers, promise: nil) }
        // A reset overtakes what flow control holds back: it waits until the response has gone out.
        let sent = context.eventLoop.makePromise(of: Void.self)
        let loop = NIOLoopBound(self, eventLoop: context.eventLoop)
        sent.futureResult.whenSuccess {
            loop.value.context?.writeAndFlush(Self.wrapOutboundOut(.rstStream(.noError)), promise: nil)
        }
        context.writeAndFlush(headers, promise: sent)
    }
}
