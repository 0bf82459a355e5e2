package import A2A
import Synchronization

/// An event that has been stored and goes to every subscriber: its JSON form is made once.
package final class PublishedEvent: Sendable {
    package let event: StreamEvent
    private let text = Mutex<[UInt8]?>(nil)

    package init(_ event: StreamEvent) {
        self.event = event
    }

    /// The event as JSON text.
    package var json: [UInt8] {
        text.withLock { text in
            if let text { return text }
            let made = event.jsonBytes
            text = made
            return made
        }
    }
}

/// The events of a task in their order, for one subscriber.
///
/// A subscriber that does not keep up is dropped: its stream ends with an error, the task goes on.
package final class EventStream: AsyncSequence, Sendable {
    package typealias Element = PublishedEvent

    /// Events that may wait for one subscriber.
    package static let defaultLimit = 1024

    fileprivate struct State {
        var waiting: [PublishedEvent] = []
        var next = 0
        var end: Result<Void, A2AError>?
        var reader: CheckedContinuation<Void, Never>?
        var onEnd: (@Sendable () -> Void)?
        /// Whether the reader shall come back though nothing waits.
        var isNudged = false
    }

    private let state = Mutex(State())
    private let limit: Int

    package init(limit: Int = defaultLimit) {
        self.limit = limit
    }

    deinit { abandon() }

    /// Has `action` done once, when the subscriber goes away.
    func onEnd(_ action: @escaping @Sendable () -> Void) {
        state.withLock { $0.onEnd = action }
    }

    /// Adds events; false once the stream has ended, as for a subscriber that was dropped.
    @discardableResult
    func send(_ events: [PublishedEvent]) -> Bool {
        let (reader, isAlive) = state.withLock { state -> (CheckedContinuation<Void, Never>?, Bool) in
            guard state.end == nil else { return (nil, false) }
            guard state.waiting.count - state.next + events.count <= limit else {
                state.end = .failure(A2AError(.resourceExhausted, "the events were not read fast enough"))
                state.waiting = []
                state.next = 0
                return (state.takeReader(), false)
            }
            state.waiting += events
            return (state.takeReader(), true)
        }
        reader?.resume()
        return isAlive
    }

    /// Ends the stream after what waits.
    func finish(_ error: A2AError? = nil) {
        let reader = state.withLock { state in
            if state.end == nil { state.end = error.map { .failure($0) } ?? .success(()) }
            return state.takeReader()
        }
        reader?.resume()
    }

    /// The subscriber does not read any more.
    package func abandon() {
        let (reader, action) = state.withLock { state in
            state.end = state.end ?? .success(())
            state.waiting = []
            state.next = 0
            defer { state.onEnd = nil }
            return (state.takeReader(), state.onEnd)
        }
        reader?.resume()
        action?()
    }

    /// Has a reader of batches come back with an empty one, to show its own reader that the connection lives.
    package func nudge() {
        let reader = state.withLock { state in
            state.isNudged = true
            return state.takeReader()
        }
        reader?.resume()
    }

    package func makeAsyncIterator() -> Iterator { Iterator(stream: self) }

    package final class Iterator: AsyncIteratorProtocol {
        private let stream: EventStream

        init(stream: EventStream) {
            self.stream = stream
        }

        deinit { stream.abandon() }

        /// The next event; `nil` at the end, and when the reading task is cancelled.
        package func next() async throws(A2AError) -> PublishedEvent? {
            while true {
                switch stream.take() {
                case .event(let event): return event
                case .ended(let end):
                    try end.get()
                    return nil
                case .nothingYet: break
                }
                await stream.waitForMore()
                if Task.isCancelled { return nil }
            }
        }

        /// All that waits, for writers that send several at once; empty after a ``EventStream/nudge()``, `nil` at the end.
        package func nextBatch() async throws(A2AError) -> [PublishedEvent]? {
            while true {
                switch stream.take() {
                case .event(let event): return [event] + stream.takeAll()
                case .ended(let end):
                    try end.get()
                    return nil
                case .nothingYet: if stream.takeNudge() { return [] }
                }
                await stream.waitForMore()
                if Task.isCancelled { return nil }
            }
        }
    }

    private enum Taken {
        case event(PublishedEvent)
        case ended(Result<Void, A2AError>)
        case nothingYet
    }

    private func take() -> Taken {
        state.withLock { state in
            if state.next < state.waiting.count {
                defer {
                    state.next += 1
                    if state.next == state.waiting.count {
                        state.waiting.removeAll(keepingCapacity: true)
                        state.next = 0
                    }
                }
                return .event(state.waiting[state.next])
            }
            return state.end.map(Taken.ended) ?? .nothingYet
        }
    }

    private func takeAll() -> [PublishedEvent] {
        state.withLock { state in
            defer {
                state.waiting.removeAll(keepingCapacity: true)
                state.next = 0
            }
            return Array(state.waiting[state.next...])
        }
    }

    private func takeNudge() -> Bool {
        state.withLock { state in
            defer { state.isNudged = false }
            return state.isNudged
        }
    }

    private func waitForMore() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    guard state.next == state.waiting.count, state.end == nil, !Task.isCancelled else { return true }
                    state.reader = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.takeReader() }?.resume()
        }
    }
}

extension EventStream.State {
    fileprivate mutating func takeReader() -> CheckedContinuation<Void, Never>? {
        defer { reader = nil }
        return reader
    }
}
