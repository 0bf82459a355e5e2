package import AgentDirectory
package import AuditTrail
import Registry
package import SPIFFE
import Synchronization

/// Whether an identity is revoked, disabled or retired elsewhere.
package typealias Barred = @Sendable (SPIFFEID) -> Bool

/// Which agents there are, with the cards that somebody approved.
///
/// Reads come from an immutable snapshot and never wait. Writes go one after the other: intent recorded, stored, shown in
/// the snapshot, outcome recorded. After a failed write the snapshot is what the store then has.
package final class AgentRegistry: Sendable {
    let judge: @Sendable ([UInt8]) -> CardSignature
    /// What is barred elsewhere, as of now: asked once for each look, so that a search does not see two states.
    let barred: @Sendable () -> Barred
    /// Whose name it is in the agent directory.
    let nameHolder: @Sendable (AgentName) -> SPIFFEID?
    let bounds: AgentRegistryBounds
    let now: @Sendable () -> UnixTime
    let randomBytes: @Sendable (Int) -> [UInt8]

    private let store: any AgentRegistryStore
    let audit: AuditLog
    /// Where the numbers of this process begin.
    let startRevision: Int64
    /// Held by the one write that is under way.
    private let lock = AsyncLock()
    // Guards the present state; readers copy it and leave.
    private let state: Mutex<State>

    struct State: Sendable {
        var snapshot: AgentRegistrySnapshot
        /// A write failed and the store could not be read after it: the next write reads everything first.
        var isStale = false
        /// Grows with every change that somebody could see.
        var revision: Int64
        var history = ChangeHistory()
        /// Identities that were barred when somebody looked last.
        var barred: Set<SPIFFEID> = []
        /// By agent; kept in memory only.
        var health: [String: AgentHealth] = [:]
        var subscribers: [UInt64: AsyncStream<Int64>.Continuation] = [:]
        var nextSubscriber: UInt64 = 0
    }

    /// Loads everything from the store.
    /// - Parameters:
    ///   - judge: what the signatures of a card's bytes say to the keys that are trusted now.
    ///   - barred: which identities are revoked, disabled or retired elsewhere. Asked with every look.
    ///   - nameHolder: the identity that has a name in the agent directory.
    package static func open(
        store: any AgentRegistryStore, audit: AuditLog, judge: @escaping @Sendable ([UInt8]) -> CardSignature,
        barred: @escaping @Sendable () -> Barred, nameHolder: @escaping @Sendable (AgentName) -> SPIFFEID?,
        now: @escaping @Sendable () -> UnixTime, randomBytes: @escaping @Sendable (Int) -> [UInt8],
        bounds: AgentRegistryBounds = AgentRegistryBounds()
    ) async throws(AgentRegistryError) -> AgentRegistry {
        let snapshot: AgentRegistrySnapshot
        do {
            snapshot = try AgentRegistrySnapshot(stored: try await store.load())
        } catch {
            throw .storage(error)
        }
        return AgentRegistry(
            snapshot: snapshot, store: store, audit: audit, judge: judge, barred: barred, nameHolder: nameHolder,
            now: now, randomBytes: randomBytes, bounds: bounds)
    }

    private init(
        snapshot: AgentRegistrySnapshot, store: any AgentRegistryStore, audit: AuditLog,
        judge: @escaping @Sendable ([UInt8]) -> CardSignature, barred: @escaping @Sendable () -> Barred,
        nameHolder: @escaping @Sendable (AgentName) -> SPIFFEID?, now: @escaping @Sendable () -> UnixTime,
        randomBytes: @escaping @Sendable (Int) -> [UInt8], bounds: AgentRegistryBounds
    ) {
        self.store = store
        self.audit = audit
        self.judge = judge
        self.barred = barred
        self.nameHolder = nameHolder
        self.now = now
        self.randomBytes = randomBytes
        self.bounds = bounds
        // From the clock, so that a restart does not repeat numbers that watchers have seen already.
        startRevision = max(now().milliseconds, 1)
        state = Mutex(State(snapshot: snapshot, revision: startRevision))
    }

    /// The registry as it is now.
    package var snapshot: AgentRegistrySnapshot { state.withLock { $0.snapshot } }

    func withState<Result>(_ body: (inout sending State) -> sending Result) -> sending Result {
        state.withLock(body)
    }

    /// Whether the agent is revoked, disabled or retired elsewhere.
    package func isBarred(_ agent: RegisteredAgent) -> Bool { agent.identity.map(barred()) ?? false }

    // MARK: writing

    /// What an act would do, found out before anything is tried.
    struct Plan: Sendable {
        /// Empty for nothing to do.
        var changes: [AgentRegistryChange] = []
        /// The agent as it will be.
        let agent: RegisteredAgent
        var cards: [HeldCard] = []
        /// Small facts for the outcome record.
        var facts: [String: String] = [:]
    }

    /// Plans on the present state, records the refusal or the intent, stores, shows, records the outcome.
    func write(
        _ act: RegistryAct, _ plan: @Sendable (AgentRegistrySnapshot) throws(AgentRegistryError) -> Plan
    ) async throws(AgentRegistryError) -> Listing {
        let done = try await lock.withLock {
            () async throws(AgentRegistryError) -> Result<Listing, AgentRegistryError> in
            try await self.refreshIfStale()
            let planned: Plan
            do throws(AgentRegistryError) {
                planned = try plan(self.snapshot)
            } catch {
                return .failure(error)
            }
            if !planned.changes.isEmpty {
                try await self.audit.perform(act.audited(planned.changes)) {
                    () async throws(AuditedFailure<AgentRegistryError>) in
                    try await self.apply(planned)
                    return Written(value: (), facts: planned.facts)
                }
            }
            guard let listing = self.snapshot.listing(planned.agent.id) else { return .failure(.notFound) }
            return .success(listing)
        }
        switch done {
        case .success(let listing): return listing
        // Nobody waits for the record of somebody else's refusal.
        case .failure(let refusal): throw await audit.refuse(act.audited(), refusal)
        }
    }

    private func refreshIfStale() async throws(AgentRegistryError) {
        guard state.withLock({ $0.isStale }) else { return }
        do {
            show(try AgentRegistrySnapshot(stored: try await store.load()))
        } catch {
            throw .storage(error)
        }
    }

    /// Stores the changes and shows them. INVARIANT: the lock is held.
    private func apply(_ plan: Plan) async throws(AuditedFailure<AgentRegistryError>) {
        do {
            try await store.apply(plan.changes)
        } catch {
            throw AuditedFailure(error: .storage(error), observed: await observed(plan.changes))
        }
        var next = snapshot
        for change in plan.changes {
            switch change {
            case .put(let agent): next.put(agent, cards: plan.cards)
            case .delete(let id): next.remove(id)
            // The bytes that are needed came with the plan.
            case .putCard, .deleteCard: break
            }
        }
        show(
            next,
            changed: Set(
                plan.changes.map { change in
                    switch change {
                    case .put(let agent): agent.id
                    case .delete(let id), .putCard(let id, _, _), .deleteCard(let id, _): id
                    }
                }))
    }

    /// What a write that failed has done after all: the store is asked at once, and what it says is in force.
    private func observed(_ changes: [AgentRegistryChange]) async -> AuditEvent.EffectField.Observed {
        let stored: AgentRegistrySnapshot
        do {
            stored = try AgentRegistrySnapshot(stored: try await store.load())
        } catch {
            state.withLock { $0.isStale = true }
            return .unknown
        }
        show(stored)
        let hasOccurred = changes.allSatisfy { change in
            switch change {
            case .put(let agent): stored.listing(agent.id)?.agent == agent
            case .delete(let id): stored.listing(id) == nil
            case .putCard, .deleteCard: true
            }
        }
        return hasOccurred ? .occurred : .none
    }

    private func show(_ snapshot: AgentRegistrySnapshot, changed: Set<String>? = nil) {
        let barred = barred()
        state.withLock { state in
            let before = state.snapshot
            state.snapshot = snapshot
            state.isStale = false
            state.noteDifferences(from: before, among: changed, isBarred: barred)
        }
    }

    /// The bytes of a version that is not served any more.
    package func card(_ agent: RegisteredAgent, digest: String) async throws(AgentRegistryError) -> [UInt8]? {
        if let held = snapshot.listing(agent.id)?.card(digest) { return held.bytes }
        guard agent.versions.contains(where: { $0.digest == digest }) else { return nil }
        let bytes: [UInt8]?
        do {
            bytes = try await store.card(agentID: agent.id, digest: digest)
        } catch {
            throw .storage(error)
        }
        guard let bytes else { return nil }
        guard AgentRegistryRules.digest(bytes) == digest else {
            throw .storage(.failed("a stored card of the agent `\(agent.id)` is damaged"))
        }
        return bytes
    }
}
