import GRPCCore
import NIOCore

/// What a call needs of its stream before it begins.
struct CallRequest: Sendable {
    /// `/package.Service/Method`.
    let path: String
    /// Whether it waits while the server cannot be reached.
    let waitsForReady: Bool
    /// Longest message of the response, in bytes.
    let maximumResponseBytes: Int
}

/// One call of a client. Runs on the event loop alone.
///
/// What it sends in its first turn of the loop is gathered; in the next it takes its stream, on whatever connection there is,
/// and sends it all at once. So a unary call goes out in one write, and a call is never on a connection that has been told
/// meanwhile to take no more (GOAWAY). A stream that the server refuses, because the call crossed with its GOAWAY, was not
/// looked at (RFC 9113 §8.7): such a call is made once more, unless it has sent more than it had gathered.
final class ClientCall: SendingSide {
    typealias Part = RPCRequestPart<MessageBytes>
    typealias ResponseQueue = PartQueue<RPCResponsePart<MessageBytes>>

    private enum State {
        case new
        /// For the next turn, then for a connection.
        case waiting(EventLoopPromise<Void>)
        case open(ClientCallHandler)
        case ended
    }

    let response: ResponseQueue
    private let request: CallRequest
    private let keeper: ConnectionKeeper
    private let loop: any EventLoop
    private let reading: Reading
    private var state = State.new
    /// Headers and at most a first message, sent before there was a stream.
    private var gathered: [Part] = []
    private var isComplete = false
    private var mayBeRepeated = true

    /// Of what the queue needs to read on: not the call, which holds the queue.
    private final class Reading {
        weak var handler: ClientCallHandler?
    }

    init(_ request: CallRequest, _ keeper: ConnectionKeeper, _ loop: any EventLoop) {
        self.request = request
        self.keeper = keeper
        self.loop = loop
        reading = Reading()
        let reading = NIOLoopBound(reading, eventLoop: loop)
        response = ResponseQueue { loop.execute { reading.value.handler?.readOn() } }
    }

    func send(_ part: Part) throws -> EventLoopFuture<Void>? {
        switch (state, part) {
        case (.new, .metadata):
            gathered = [part]
            begin()
            return nil
        case (.waiting(let begun), .message):
            guard gathered.count == 1 else {
                let call = NIOLoopBound(self, eventLoop: loop)
                return begun.futureResult.flatMap { call.value.forward(part) }
            }
            gathered.append(part)
            return nil
        case (.open(let handler), _):
            mayBeRepeated = false
            return try handler.send(part)
        case (.new, _), (.waiting, _), (.ended, _):
            throw RPCError(code: .unavailable, message: "the call has ended")
        }
    }

    private var handler: ClientCallHandler? { if case .open(let handler) = state { handler } else { nil } }

    private func forward(_ part: Part) -> EventLoopFuture<Void> {
        do {
            return try send(part) ?? loop.makeSucceededVoidFuture()
        } catch {
            return loop.makeFailedFuture(error)
        }
    }

    private func begin() {
        let begun = loop.makePromise(of: Void.self)
        state = .waiting(begun)
        let call = NIOLoopBound(self, eventLoop: loop)
        begun.futureResult.whenFailure { error in
            call.value.finish(
                error as? RPCError ?? RPCError(code: .unavailable, message: "no connection", cause: error))
        }
        loop.execute {
            guard case .waiting = call.value.state else { return }
            call.value.keeper.open(call.value, call.value.request, begun)
        }
    }

    /// The server has not looked at it. Whether it is made once more.
    private func isRepeated() -> Bool {
        guard case .open = state, mayBeRepeated else { return false }
        mayBeRepeated = false
        begin()
        return true
    }

    /// There is a stream for it; `false` if it is not wanted any more.
    func open(_ handler: ClientCallHandler) -> Bool {
        guard case .waiting = state else { return false }
        reading.handler = handler
        state = .open(handler)
        handler.onRefusal = { [weak self] in self?.isRepeated() ?? false }
        for part in gathered { _ = try? handler.send(part) }
        if isComplete { handler.finishSending() } else { handler.flush() }
        return true
    }

    func finishSending() {
        isComplete = true
        handler?.finishSending()
    }

    func abandonSending() {
        if let handler { handler.abandonSending() } else { end() }
    }

    /// The caller is not interested any more.
    func end() {
        switch state {
        case .new: break
        case .waiting(let begun):
            keeper.giveUp(self)
            begun.fail(RPCError(code: .cancelled, message: "the call was cancelled"))
        case .open(let handler): handler.end()
        case .ended: return
        }
        finish(RPCError(code: .cancelled, message: "the call was cancelled"))
    }

    private func finish(_ error: RPCError) {
        state = .ended
        gathered = []
        response.finish(throwing: error)
    }
}
