import Synchronization

/// Where the registry stands. Numbers only grow, also over a restart; subscribers compare them with what they have seen.
package struct RegistryChange: Hashable, Sendable {
    /// Grows when what nodes may serve may have changed.
    package var entriesRevision: Int64
    /// Grows with every change of a node agent's record.
    package var nodesRevision: Int64
    /// Grows with every change of a federated bundle.
    package var bundlesRevision: Int64
    /// Grows with every change of a federation relationship.
    package var federationRevision: Int64
}

/// Tells subscribers where the registry stands. A slow one finds only the latest news: nothing piles up.
final class ChangeFeed: Sendable {
    private struct State {
        var nextID = 0
        var subscribers: [Int: AsyncStream<RegistryChange>.Continuation] = [:]
    }

    private let state = Mutex(State())

    /// A stream that begins with `current` and ends with its consumer.
    func subscribe(current: RegistryChange) -> (stream: AsyncStream<RegistryChange>, id: Int) {
        let (stream, continuation) = AsyncStream.makeStream(
            of: RegistryChange.self, bufferingPolicy: .bufferingNewest(1))
        let id = state.withLock { state in
            let id = state.nextID
            state.nextID += 1
            state.subscribers[id] = continuation
            return id
        }
        continuation.onTermination = { [weak self] _ in
            _ = self?.state.withLock { $0.subscribers.removeValue(forKey: id) }
        }
        continuation.yield(current)
        return (stream, id)
    }

    /// Tells one subscriber.
    func publish(_ change: RegistryChange, to id: Int) {
        _ = state.withLock { $0.subscribers[id] }?.yield(change)
    }

    /// Tells everybody.
    func publish(_ change: RegistryChange) {
        let subscribers = state.withLock { Array($0.subscribers.values) }
        for subscriber in subscribers { subscriber.yield(change) }
    }
}
