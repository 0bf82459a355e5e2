package import AuditTrail
import Registry
package import SPIFFE
import Synchronization

/// Everything that the token service decides by: blueprints, agents with their credentials, resources and grants.
///
/// Reads come from an immutable snapshot and never wait. Writes go one after the other: intent recorded, stored, shown in
/// the snapshot, outcome recorded. After a failed write the snapshot is what the store then has.
package final class AgentDirectory: Sendable {
    package let trustDomain: TrustDomain

    let rules: DirectoryRules
    let now: @Sendable () -> UnixTime
    let randomBytes: @Sendable (Int) -> [UInt8]

    private let store: any DirectoryStore
    private let audit: AuditLog
    /// Held by the one write that is under way.
    private let lock = AsyncLock()
    // Guards the present state; readers copy it and leave.
    private let state: Mutex<State>

    private struct State: Sendable {
        var snapshot: DirectorySnapshot
        /// A write failed and the store could not be read after it: the next write reads everything first.
        var isStale = false
        var subscribers: [UInt64: AsyncStream<DirectorySnapshot>.Continuation] = [:]
        var nextSubscriber: UInt64 = 0
    }

    /// Loads everything from the store.
    /// - Parameter jwtIssuer: the issuer of this trust domain's own JWT-SVIDs, which need not be a URL.
    package static func open(
        trustDomain: TrustDomain, jwtIssuer: String? = nil, store: any DirectoryStore, audit: AuditLog,
        now: @escaping @Sendable () -> UnixTime, randomBytes: @escaping @Sendable (Int) -> [UInt8],
        bounds: DirectoryBounds = DirectoryBounds()
    ) async throws(DirectoryError) -> AgentDirectory {
        let snapshot: DirectorySnapshot
        do {
            snapshot = try await store.load()
        } catch {
            throw .storage(error)
        }
        return AgentDirectory(
            snapshot: snapshot, rules: DirectoryRules(trustDomain: trustDomain, jwtIssuer: jwtIssuer, bounds: bounds),
            store: store, audit: audit, now: now, randomBytes: randomBytes)
    }

    private init(
        snapshot: DirectorySnapshot, rules: DirectoryRules, store: any DirectoryStore, audit: AuditLog,
        now: @escaping @Sendable () -> UnixTime, randomBytes: @escaping @Sendable (Int) -> [UInt8]
    ) {
        trustDomain = rules.trustDomain
        self.rules = rules
        self.store = store
        self.audit = audit
        self.now = now
        self.randomBytes = randomBytes
        state = Mutex(State(snapshot: snapshot))
    }

    /// The directory as it is now.
    package var snapshot: DirectorySnapshot { state.withLock { $0.snapshot } }

    /// The directory as it is now, and again after every change; a slow reader gets only the latest.
    ///
    /// ``DirectorySnapshot/agentsBarred(since:)`` says who was disabled or retired between two of them, so that nobody is
    /// missed, also not over a restart.
    package func changes() -> AsyncStream<DirectorySnapshot> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: DirectorySnapshot.self, bufferingPolicy: .bufferingNewest(1))
        let number = state.withLock { state in
            let number = state.nextSubscriber
            state.nextSubscriber += 1
            state.subscribers[number] = continuation
            continuation.yield(state.snapshot)
            return number
        }
        continuation.onTermination = { [weak self] _ in self?.state.withLock { $0.subscribers[number] = nil } }
        return stream
    }

    // MARK: writing

    /// What an act would do, found out before anything is tried.
    struct Plan<Value: Sendable>: Sendable {
        let changes: [DirectoryChange]
        let value: Value
        /// Small facts for the outcome record.
        var facts: [String: String] = [:]
    }

    /// Plans on the present state, records the refusal or the intent, stores, shows, records the outcome.
    func write<Value: Sendable>(
        _ act: DirectoryAct, _ plan: @Sendable (DirectorySnapshot) throws(DirectoryError) -> Plan<Value>
    ) async throws(DirectoryError) -> Value {
        try await lock.withLock { () async throws(DirectoryError) in
            try await self.refreshIfStale()
            let planned: Plan<Value>
            do throws(DirectoryError) {
                planned = try plan(self.snapshot)
            } catch {
                throw await self.audit.refuse(act.audited(), error)
            }
            // Nothing to do is no event.
            guard !planned.changes.isEmpty else { return planned.value }
            return try await self.audit.perform(act.audited(planned.changes)) {
                () async throws(AuditedFailure<DirectoryError>) in
                try await self.apply(planned.changes)
                return Written(value: planned.value, facts: planned.facts)
            }
        }
    }

    private func refreshIfStale() async throws(DirectoryError) {
        guard state.withLock({ $0.isStale }) else { return }
        do {
            show(try await store.load())
        } catch {
            throw .storage(error)
        }
    }

    /// Stores the changes and shows them. INVARIANT: the lock is held.
    private func apply(_ changes: [DirectoryChange]) async throws(AuditedFailure<DirectoryError>) {
        do {
            try await store.apply(changes)
        } catch {
            throw AuditedFailure(error: .storage(error), observed: await observed(changes))
        }
        var next = snapshot
        next.apply(changes)
        show(next)
    }

    /// What a write that failed has done after all: the store is asked at once, and what it says is in force.
    private func observed(_ changes: [DirectoryChange]) async -> AuditEvent.EffectField.Observed {
        let stored: DirectorySnapshot
        do {
            stored = try await store.load()
        } catch {
            state.withLock { $0.isStale = true }
            return .unknown
        }
        show(stored)
        let hasOccurred = changes.allSatisfy { change in
            switch change {
            case .put(let record): stored.record(record.kind, record.id) == record
            case .delete(let kind, let id): stored.record(kind, id) == nil
            }
        }
        return hasOccurred ? .occurred : .none
    }

    private func show(_ snapshot: DirectorySnapshot) {
        state.withLock { state in
            state.snapshot = snapshot
            state.isStale = false
            for subscriber in state.subscribers.values { subscriber.yield(snapshot) }
        }
    }

    func newIdentifier() -> String { RandomIdentifier.make(randomBytes) }
}
