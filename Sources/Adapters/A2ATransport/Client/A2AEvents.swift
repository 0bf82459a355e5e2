public import A2A
import Synchronization

/// The events of a stream, each once and in order. Can be walked through once; whoever stops reading ends the exchange.
///
/// When the connection breaks the stream is taken up again by itself, first by a subscription, else by asking. What was missed
/// meanwhile comes as one ``StreamEvent/task(_:)``, which stands for all events before it.
public final class A2AEvents: AsyncSequence, Sendable {
    /// An event.
    public typealias Element = StreamEvent

    private let relay = Relay<StreamEvent>()
    private let work: Task<Void, Never>
    // Guards the event that was there when the stream began, until it is read.
    private let first = Mutex<StreamEvent?>(nil)

    /// Hands an event out; returns once the reader has room for it.
    typealias Emit = @Sendable (StreamEvent) async throws -> Void

    /// - Parameter produce: hands out events until the stream has ended.
    init(_ produce: @escaping @Sendable (_ emit: @escaping Emit) async throws -> Void) {
        work = Task { [relay] in
            do {
                try await produce { event in try await relay.send(event) }
                relay.finish()
            } catch {
                relay.finish(error)
            }
        }
    }

    /// Waits for the first event, or for the refusal that comes in its place.
    func begin() async throws {
        let event = try await relay.next()
        try Task.checkCancellation()
        first.withLock { $0 = event }
    }

    deinit {
        relay.abandon()
        work.cancel()
    }

    /// Walks through the events.
    public struct Iterator: AsyncIteratorProtocol {
        let events: A2AEvents

        /// The next event; `nil` when the agent has ended the stream.
        /// - Throws: ``A2AClientError``.
        public mutating func next() async throws -> StreamEvent? {
            if let event = events.first.withLock({ $0.take() }) { return event }
            return try await events.relay.next()
        }
    }

    /// Walks through the events, once.
    public func makeAsyncIterator() -> Iterator { Iterator(events: self) }
}
