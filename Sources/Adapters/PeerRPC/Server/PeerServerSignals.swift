import Synchronization

/// The few facts about a server that other tasks wait for.
final class PeerServerSignals: Sendable {
    /// Where the server listens.
    struct Listening: Sendable {
        /// `nil` on a Unix socket.
        var port: Int?
    }

    private struct State {
        var hasStarted = false
        var waiters: [CheckedContinuation<Listening?, Never>] = []
        /// Outer `nil`: not known yet; inner `nil`: it will never listen.
        var listening: Listening??
    }

    private let state = Mutex(State())
    private let shutdown = AsyncStream.makeStream(of: Never.self)
    private let end = AsyncStream.makeStream(of: Never.self)

    /// `false` the second time.
    func start() -> Bool {
        state.withLock { state in
            defer { state.hasStarted = true }
            return !state.hasStarted
        }
    }

    /// The server listens now, or never will.
    func listens(_ listening: Listening?) {
        let waiters = state.withLock { state in
            guard state.listening == nil else { return [CheckedContinuation<Listening?, Never>]() }
            state.listening = .some(listening)
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume(returning: listening) }
    }

    /// The server has ended.
    func stop() {
        listens(nil)
        end.continuation.finish()
    }

    /// Asks the server to end.
    func requestShutdown() {
        shutdown.continuation.finish()
    }

    /// Waits for the server to listen.
    func listening() async -> Listening? {
        await withCheckedContinuation { continuation in
            let known = state.withLock { state -> Listening?? in
                if state.listening == nil { state.waiters.append(continuation) }
                return state.listening
            }
            if let known { continuation.resume(returning: known) }
        }
    }

    /// Waits until somebody asks the server to end, or until cancellation.
    func shutdownRequested() async {
        for await _ in shutdown.stream {}
    }

    /// Waits until the server has ended, or until cancellation.
    func stopped() async {
        for await _ in end.stream {}
    }
}
