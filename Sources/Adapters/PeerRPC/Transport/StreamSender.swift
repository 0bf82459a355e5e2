import NIOCore
import NIOHPACK
import NIOHTTP2

/// What a side of a call sends on its stream: parts of one turn of the loop go out together, and who sends waits while the
/// stream is full. Runs on the event loop alone.
final class StreamSender {
    private var context: ChannelHandlerContext?
    private var isFlushScheduled = false
    private var isFinished = false
    /// Writers that wait for room.
    private var waiting: [EventLoopPromise<Void>] = []

    func attach(_ context: ChannelHandlerContext) {
        self.context = context
    }

    func detach() {
        context = nil
    }

    /// Headers that more follows.
    func send(_ headers: HPACKHeaders) {
        guard let context else { return }
        context.write(NIOAny(HTTP2Frame.FramePayload.headers(.init(headers: headers))), promise: nil)
        scheduleFlush(context)
    }

    /// A message. If it returns a future, the stream is full and the next one waits for it.
    func send(_ message: MessageBytes) -> EventLoopFuture<Void>? {
        guard let context else { return nil }
        let frame = message.prefixed(allocator: context.channel.allocator)
        context.write(NIOAny(HTTP2Frame.FramePayload.data(.init(data: .byteBuffer(frame)))), promise: nil)
        guard context.channel.isWritable else {
            context.flush()
            // The flush made room, or ended the stream.
            guard !context.channel.isWritable, !isFinished else { return nil }
            let promise = context.eventLoop.makePromise(of: Void.self)
            waiting.append(promise)
            return promise.futureResult
        }
        scheduleFlush(context)
        return nil
    }

    /// Sends what is written.
    func flush() {
        context?.flush()
    }

    /// The stream may have room again.
    func writabilityChanged() {
        if context?.channel.isWritable == true { wake(.success(())) }
    }

    /// Nothing is sent any more; who waits learns of it.
    func finish(_ result: Result<Void, any Error>) {
        isFinished = true
        wake(result)
    }

    private func wake(_ result: Result<Void, any Error>) {
        let promises = waiting
        waiting = []
        for promise in promises { promise.completeWith(result) }
    }

    private func scheduleFlush(_ context: ChannelHandlerContext) {
        guard !isFlushScheduled else { return }
        isFlushScheduled = true
        let sender = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.execute {
            sender.value.isFlushScheduled = false
            sender.value.flush()
        }
    }
}
