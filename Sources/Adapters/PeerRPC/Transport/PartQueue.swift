import GRPCCore
import NIOCore
import Synchronization

/// What a side of a call has received and its user has not taken yet: filled on the event loop, emptied by one consumer.
///
/// It stops the reading of the stream while too much waits, so that a sender cannot fill the memory.
final class PartQueue<Part: CallPart>: Sendable {
    private typealias Consumer = UnsafeContinuation<Result<Part?, any Error>, Never>

    private struct State {
        var parts: CircularBuffer<Part> = []
        var bytes = 0
        var end: Result<Void, any Error>?
        var consumer: Consumer?
        var isHeldBack = false
    }

    private enum Step {
        case part(Part, readsOn: Bool)
        case end(Result<Void, any Error>)
        case wait
    }

    /// Bytes of messages from which on no more is read.
    private static var highWater: Int { 256 * 1024 }

    private let state = Mutex(State())
    /// Reads on; may be called on any thread.
    private let readOn: @Sendable () -> Void

    init(readOn: @escaping @Sendable () -> Void) {
        self.readOn = readOn
    }

    /// Whether the stream must not read on now; if so ``readOn`` is called when it may.
    func holdsBack() -> Bool {
        state.withLock { state in
            state.isHeldBack = state.bytes >= Self.highWater
            return state.isHeldBack
        }
    }

    func add(_ part: Part) {
        let consumer = state.withLock { state -> Consumer? in
            guard state.end == nil else { return nil }
            if let consumer = state.consumer {
                state.consumer = nil
                return consumer
            }
            state.parts.append(part)
            state.bytes += part.byteCount
            return nil
        }
        consumer?.resume(returning: .success(part))
    }

    /// All parts are there, or no more can come; what was received before is still handed out. Counts once.
    func finish(throwing error: RPCError? = nil) {
        let consumer = state.withLock { state -> Consumer? in
            guard state.end == nil else { return nil }
            state.end = error.map { .failure($0) } ?? .success(())
            defer { state.consumer = nil }
            return state.consumer
        }
        consumer?.resume(returning: error.map { .failure($0) } ?? .success(nil))
    }

    private func next() async throws -> Part? {
        let step = state.withLock { state -> Step in
            if let part = state.parts.popFirst() {
                state.bytes -= part.byteCount
                let readsOn = state.isHeldBack && state.bytes < Self.highWater
                if readsOn { state.isHeldBack = false }
                return .part(part, readsOn: readsOn)
            }
            return state.end.map { .end($0) } ?? .wait
        }
        switch step {
        case .part(let part, let readsOn):
            if readsOn { readOn() }
            return part
        case .end(let result):
            try result.get()
            return nil
        case .wait:
            return try await wait()
        }
    }

    /// Waits for the next part, for the end, or until the task is cancelled: a handler that ends otherwise cancels its
    /// reader.
    private func wait() async throws -> Part? {
        try await withTaskCancellationHandler {
            try await withUnsafeContinuation { (consumer: Consumer) in
                let known = state.withLock { state -> Result<Part?, any Error>? in
                    if let part = state.parts.popFirst() {
                        state.bytes -= part.byteCount
                        return .success(part)
                    }
                    if let end = state.end { return end.map { nil } }
                    // Looked at under the lock: a cancellation after this finds the consumer.
                    guard !Task.isCancelled else { return .failure(CancellationError()) }
                    // INVARIANT: one consumer; a second one at the same time would never be answered.
                    state.consumer = consumer
                    return nil
                }
                if let known { consumer.resume(returning: known) }
            }.get()
        } onCancel: {
            let consumer = state.withLock { state in
                defer { state.consumer = nil }
                return state.consumer
            }
            consumer?.resume(returning: .failure(CancellationError()))
        }
    }
}

extension PartQueue: AsyncSequence {
    struct AsyncIterator: AsyncIteratorProtocol {
        let queue: PartQueue

        mutating func next() async throws -> Part? {
            try await queue.next()
        }
    }

    func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(queue: self)
    }
}

/// A part of a request or a response.
protocol CallPart: Sendable {
    /// Bytes of the message, if it is one.
    var byteCount: Int { get }
}

extension RPCRequestPart: CallPart where Bytes == MessageBytes {
    var byteCount: Int {
        if case .message(let bytes) = self { bytes.count } else { 0 }
    }
}

extension RPCResponsePart: CallPart where Bytes == MessageBytes {
    var byteCount: Int {
        if case .message(let bytes) = self { bytes.count } else { 0 }
    }
}
