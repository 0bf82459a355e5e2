import NIOCore
import Synchronization

/// What a server has open: its listening channel, its connections and the calls that run.
///
/// INVARIANT: after a shutdown began, nothing is added, and ``drained()`` returns once everything is gone.
final class OpenConnections: Sendable {
    private struct State {
        var listening: (any Channel)?
        var connections: [ObjectIdentifier: any Channel] = [:]
        var calls: [Int: Task<Void, Never>] = [:]
        var nextCall = 0
        var isEnding = false
        var isAborted = false
        var waiter: CheckedContinuation<Void, Never>?

        var isDrained: Bool { isEnding && listening == nil && connections.isEmpty && calls.isEmpty }

        /// Whoever waits, if there is nothing left to wait for.
        mutating func takeWaiter() -> CheckedContinuation<Void, Never>? {
            guard isDrained else { return nil }
            defer { waiter = nil }
            return waiter
        }
    }

    private let state = Mutex(State())

    /// The server accepts on this channel. Its end, for whatever reason, begins a shutdown.
    func listens(_ channel: any Channel) {
        let isEnding = state.withLock { state in
            state.listening = channel
            return state.isEnding
        }
        channel.closeFuture.whenComplete { [self] _ in
            change { $0.listening = nil }
            beginShutdown()
        }
        if isEnding { channel.close(promise: nil) }
    }

    /// Keeps a connection until it closes; `false` when no more are taken.
    func add(_ channel: any Channel) -> Bool {
        let isTaken = state.withLock { state in
            guard !state.isEnding else { return false }
            state.connections[ObjectIdentifier(channel)] = channel
            return true
        }
        guard isTaken else { return false }
        channel.closeFuture.whenComplete { [self] _ in
            change { $0.connections[ObjectIdentifier(channel)] = nil }
        }
        return true
    }

    /// Runs a call. `make` returns its task, which must not have begun to run, and calls ``callEnded(_:)`` at its end.
    func addCall(_ make: (_ number: Int) -> Task<Void, Never>) {
        state.withLock { state in
            let number = state.nextCall
            state.nextCall += 1
            let task = make(number)
            state.calls[number] = task
            if state.isAborted { task.cancel() }
        }
    }

    func callEnded(_ number: Int) {
        change { $0.calls[number] = nil }
    }

    /// Takes no more connections and no more calls; those that run may end.
    func beginShutdown() {
        let (listening, connections) = state.withLock { state in
            let isFirst = !state.isEnding
            state.isEnding = true
            return isFirst ? (state.listening, Array(state.connections.values)) : (nil, [])
        }
        listening?.close(promise: nil)
        for connection in connections { connection.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
        change { _ in }
    }

    /// Ends everything now.
    func abort() {
        let (channels, calls) = state.withLock { state in
            state.isEnding = true
            state.isAborted = true
            return (Array(state.connections.values) + [state.listening].compactMap { $0 }, Array(state.calls.values))
        }
        for channel in channels { channel.close(promise: nil) }
        for call in calls { call.cancel() }
        change { _ in }
    }

    /// Returns when a shutdown has ended everything.
    func drained() async {
        await withCheckedContinuation { waiter in
            let isDrained = state.withLock { state in
                if !state.isDrained { state.waiter = waiter }
                return state.isDrained
            }
            if isDrained { waiter.resume() }
        }
    }

    private func change(_ body: (inout State) -> Void) {
        let waiter = state.withLock { state in
            body(&state)
            return state.takeWaiter()
        }
        waiter?.resume()
    }
}
