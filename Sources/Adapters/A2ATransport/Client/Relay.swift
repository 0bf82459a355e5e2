import Synchronization

/// Hands elements from one task to another, one at a time: the sender waits until the reader has taken the one before.
final class Relay<Element: Sendable>: Sendable {
    private struct State {
        var waiting: Element?
        var end: Result<Void, any Error>?
        var reader: CheckedContinuation<Void, Never>?
        var sender: CheckedContinuation<Void, Never>?
    }

    // Guards what waits and who waits; continuations are resumed outside.
    private let state = Mutex(State())

    /// Gives an element away; returns once there is room for it.
    /// - Throws: `CancellationError` when nobody reads any more.
    func send(_ element: Element) async throws {
        while true {
            let (isTaken, reader) = try state.withLock { state throws -> (Bool, CheckedContinuation<Void, Never>?) in
                guard state.end == nil else { throw CancellationError() }
                guard state.waiting == nil else { return (false, nil) }
                state.waiting = element
                return (true, state.reader.take())
            }
            reader?.resume()
            if isTaken { return }
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    guard state.waiting != nil, state.end == nil else { return true }
                    state.sender = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        }
    }

    /// Ends the relay after what waits; what ended it first counts.
    func finish(_ error: (any Error)? = nil) {
        let (reader, sender) = state.withLock { state in
            if state.end == nil { state.end = error.map { .failure($0) } ?? .success(()) }
            return (state.reader.take(), state.sender.take())
        }
        reader?.resume()
        sender?.resume()
    }

    /// The reader goes away: what waits is dropped, and the sender learns it.
    func abandon() {
        state.withLock { $0.waiting = nil }
        finish()
    }

    /// The next element; `nil` at the end, and once the reading task is cancelled.
    func next() async throws -> Element? {
        try await withTaskCancellationHandler {
            while true {
                let (element, end, sender) = state.withLock { state in
                    (state.waiting.take(), state.end, state.sender.take())
                }
                sender?.resume()
                if let element { return element }
                if let end {
                    try end.get()
                    return nil
                }
                await withCheckedContinuation { continuation in
                    let isReady = state.withLock { state in
                        guard state.waiting == nil, state.end == nil else { return true }
                        state.reader = continuation
                        return false
                    }
                    if isReady { continuation.resume() }
                }
            }
        } onCancel: {
            abandon()
        }
    }
}
