import Synchronization

/// A request to stop that can be made once, from anywhere, and awaited by one task.
final class StopSignal: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation
    // Guards whether the request was made.
    private let made = Mutex(false)

    init() {
        (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    var isRequested: Bool { made.withLock { $0 } }

    func request() {
        made.withLock { $0 = true }
        continuation.yield()
        continuation.finish()
    }

    /// Returns at the request, or when the task is cancelled.
    func requested() async {
        for await _ in stream { return }
    }
}
