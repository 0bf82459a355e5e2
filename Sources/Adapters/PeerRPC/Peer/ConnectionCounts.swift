import Synchronization

/// Counts a server's connections, in all and by source, and says when there is no room for another.
final class ConnectionCounts: Sendable {
    private let maximum: Int
    private let maximumPerSource: Int

    private struct State {
        var connections = 0
        var bySource: [String: Int] = [:]
    }

    private let state = Mutex(State())

    init(maximum: Int, maximumPerSource: Int) {
        self.maximum = maximum
        self.maximumPerSource = maximumPerSource
    }

    /// Counts a connection in; `false` when there are too many. Pair with ``leave()``.
    func enter() -> Bool {
        state.withLock { state in
            guard state.connections < maximum else { return false }
            state.connections += 1
            return true
        }
    }

    /// Counts a connection out.
    func leave() {
        state.withLock { $0.connections -= 1 }
    }

    /// Counts a connection of one source (a user, an address) in; `false` when that one has too many. Pair with
    /// ``leave(source:)``.
    func enter(source: String) -> Bool {
        state.withLock { state in
            let count = state.bySource[source] ?? 0
            guard count < maximumPerSource else { return false }
            state.bySource[source] = count + 1
            return true
        }
    }

    /// Counts a connection of one source out.
    func leave(source: String) {
        state.withLock { state in
            let count = (state.bySource[source] ?? 1) - 1
            state.bySource[source] = count > 0 ? count : nil
        }
    }

    /// Connections that are open now.
    var total: Int {
        state.withLock { $0.connections }
    }
}
