import Synchronization

/// Events on their way to the receivers of their tasks: one task's events stay in their order, though whom they go to is looked up
/// meanwhile.
final class PushOutbox: Sendable {
    // INVARIANT: a task is here exactly as long as somebody takes its events.
    private let waiting = Mutex<[TaskKey: [PublishedEvent]]>([:])

    /// Adds events; true when the caller has to take them with ``next(of:)`` until there are none.
    func add(_ events: [PublishedEvent], of key: TaskKey) -> Bool {
        waiting.withLock { waiting in
            let begins = waiting[key] == nil
            waiting[key, default: []] += events
            return begins
        }
    }

    /// All that waits; `nil` when nothing does, which ends the taking.
    func next(of key: TaskKey) -> [PublishedEvent]? {
        waiting.withLock { waiting in
            guard let events = waiting[key], !events.isEmpty else {
                waiting[key] = nil
                return nil
            }
            waiting[key] = []
            return events
        }
    }
}
