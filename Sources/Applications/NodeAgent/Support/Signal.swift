import Synchronization

/// Wakes one waiting task; what happens while nobody waits is remembered as one wake-up.
final class Signal: Sendable {
    /// Why the waiter was woken; a change outweighs a check.
    enum Reason: Int, Sendable {
        /// Only time has passed.
        case check
        /// Something changed.
        case change
    }

    private struct State {
        var pending: Reason?
        var waiter: CheckedContinuation<Reason?, Never>?
        var isCancelled = false
    }

    private let state = Mutex(State())

    /// Wakes the waiter, or the next one.
    func fire(_ reason: Reason = .change) {
        let waiter = state.withLock { state -> CheckedContinuation<Reason?, Never>? in
            guard let waiter = state.waiter else {
                if state.pending != .change { state.pending = reason }
                return nil
            }
            state.waiter = nil
            return waiter
        }
        waiter?.resume(returning: reason)
    }

    /// Waits for ``fire(_:)``. INVARIANT: one task waits at a time.
    func wait() async throws(CancellationError) -> Reason {
        let reason = await withTaskCancellationHandler {
            await withCheckedContinuation { (waiter: CheckedContinuation<Reason?, Never>) in
                let known = state.withLock { state -> Reason?? in
                    if state.isCancelled {
                        state.isCancelled = false
                        return .some(nil)
                    }
                    if let pending = state.pending {
                        state.pending = nil
                        return pending
                    }
                    state.waiter = waiter
                    return nil
                }
                if let known { waiter.resume(returning: known) }
            }
        } onCancel: {
            let waiter = state.withLock { state -> CheckedContinuation<Reason?, Never>? in
                if state.waiter == nil { state.isCancelled = true }
                defer { state.waiter = nil }
                return state.waiter
            }
            waiter?.resume(returning: nil)
        }
        guard let reason else { throw CancellationError() }
        // A cancellation that came after the wake-up must not hit the next waiter.
        state.withLock { $0.isCancelled = false }
        return reason
    }

    /// Waits for ``fire(_:)`` or until the time is over; `nil` then.
    func wait(
        upTo limit: Duration, sleep: @escaping @Sendable (Duration) async throws -> Void
    ) async throws(CancellationError) -> Reason? {
        let reason = await withTaskGroup(of: Reason?.self) { group in
            group.addTask { try? await self.wait() }
            group.addTask {
                try? await sleep(limit)
                return nil
            }
            var reason = await group.next() ?? nil
            group.cancelAll()
            // A wake-up at the very end of the wait must not get lost.
            for await other in group { reason = reason ?? other }
            return reason
        }
        if reason == nil, Task.isCancelled { throw CancellationError() }
        return reason
    }
}
