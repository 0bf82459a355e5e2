import Synchronization

/// Lets one task at a time do something that waits; the others follow in the order in which they came.
package final class AsyncLock: Sendable {
    private struct State {
        var isHeld = false
        var waiters: [CheckedContinuation<Void, Never>] = []
        /// Waiters before this index have had their turn.
        var next = 0
    }

    private let state = Mutex(State())

    package init() {}

    /// Runs the closure alone. Waiting does not end with cancellation: the turn always comes, and turns are short.
    package func withLock<Value: Sendable, Failure: Error>(
        _ body: () async throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        await acquire()
        defer { release() }
        return try await body()
    }

    private func acquire() async {
        await withCheckedContinuation { continuation in
            let isMine = state.withLock { state in
                guard state.isHeld else {
                    state.isHeld = true
                    return true
                }
                state.waiters.append(continuation)
                return false
            }
            if isMine { continuation.resume() }
        }
    }

    private func release() {
        let successor = state.withLock { state -> CheckedContinuation<Void, Never>? in
            guard state.next < state.waiters.count else {
                state.isHeld = false
                state.waiters.removeAll()
                state.next = 0
                return nil
            }
            let successor = state.waiters[state.next]
            state.next += 1
            // The used part of the list goes when it outweighs the rest, so that a busy lock does not grow.
            if state.next > 64, state.next * 2 > state.waiters.count {
                state.waiters.removeFirst(state.next)
                state.next = 0
            }
            return successor
        }
        successor?.resume()
    }
}
