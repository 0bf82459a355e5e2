package import AgentDirectory
package import AuditTrail
package import OAuth
import Registry
package import SPIFFE
import Synchronization

/// Who asked what of people, and what they answered.
///
/// Reads come from memory and never wait. Writes go one after the other: intent recorded, stored, shown, outcome recorded.
/// A token that was used, and an answer that was given, is never taken back by a crash.
package final class ApprovalRegister: Sendable {
    let directory: @Sendable () -> DirectorySnapshot
    let now: @Sendable () -> UnixTime
    let randomBytes: @Sendable (Int) -> [UInt8]

    private let store: any ApprovalStore
    let audit: AuditLog
    private let lock = AsyncLock()
    // Guards what is shown, and when each client asked last.
    private let state: Mutex<State>

    struct State: Sendable {
        var approvals: [String: Approval]
        /// When the client asked last, and how many seconds it has to wait between; of those that wait for an answer.
        var polls: [String: (time: UnixTime, interval: Int64)] = [:]
        var isStale = false
    }

    /// Most approvals that are kept, answered ones included.
    package static let maximum = 20_000
    /// How long one is kept after it is over, in seconds: the limits look back so far. The log keeps it for good.
    static let retention: Int64 = 3600

    package static func open(
        store: any ApprovalStore, directory: @escaping @Sendable () -> DirectorySnapshot, audit: AuditLog,
        now: @escaping @Sendable () -> UnixTime, randomBytes: @escaping @Sendable (Int) -> [UInt8]
    ) async throws(ApprovalError) -> ApprovalRegister {
        let approvals: [Approval]
        do {
            approvals = try await store.load()
        } catch {
            throw .storage(error)
        }
        return ApprovalRegister(approvals, store, directory, audit, now, randomBytes)
    }

    private init(
        _ approvals: [Approval], _ store: any ApprovalStore, _ directory: @escaping @Sendable () -> DirectorySnapshot,
        _ audit: AuditLog, _ now: @escaping @Sendable () -> UnixTime,
        _ randomBytes: @escaping @Sendable (Int) -> [UInt8]
    ) {
        self.store = store
        self.directory = directory
        self.audit = audit
        self.now = now
        self.randomBytes = randomBytes
        state = Mutex(State(approvals: Self.byID(approvals)))
    }

    private static func byID(_ approvals: [Approval]) -> [String: Approval] {
        Dictionary(approvals.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
    }

    /// Newest first.
    package var all: [Approval] {
        state.withLock { Array($0.approvals.values) }.sorted {
            ($1.createdAt, $1.id) < ($0.createdAt, $0.id)
        }
    }

    func first(where isMeant: (Approval) -> Bool) -> Approval? {
        state.withLock { $0.approvals.values.first(where: isMeant) }
    }

    package func approval(_ id: String) -> Approval? { state.withLock { $0.approvals[id] } }

    /// A grant that holds because a person approved it: for the scopes, the subject and the actors that the person saw, and
    /// for a while.
    package struct Activation: Sendable {
        package let subject: String
        package let actors: ActorChain?
        package let scope: Scope
        package let until: UnixTime
    }

    /// What of a grant holds now.
    package func activations(ofGrant id: String, agent clientID: String) -> [Activation] {
        let time = now()
        return state.withLock { state in
            state.approvals.values.compactMap { approval in
                guard let until = approval.activeUntil, time < until,
                    approval.act.clientID.hasSameBytes(as: clientID), approval.act.grantIDs.contains(id)
                else { return nil }
                return Activation(
                    subject: approval.act.subject, actors: approval.act.actors, scope: approval.act.scope,
                    until: until)
            }
        }
    }

    // MARK: writing

    struct Plan<Value: Sendable>: Sendable {
        let changes: [ApprovalChange]
        let value: Value
        var facts: [String: String] = [:]
    }

    /// Plans on the present state, records the refusal or the intent, stores, shows, records the outcome.
    func write<Value: Sendable>(
        _ act: AuditedAct, _ plan: @Sendable ([String: Approval]) throws(ApprovalError) -> Plan<Value>
    ) async throws(ApprovalError) -> Value {
        let done = try await lock.withLock { () async throws(ApprovalError) -> Result<Value, ApprovalError> in
            try await self.refreshIfStale()
            let planned: Plan<Value>
            do throws(ApprovalError) {
                planned = try plan(self.state.withLock(\.approvals))
            } catch {
                return .failure(error)
            }
            guard !planned.changes.isEmpty else { return .success(planned.value) }
            let value: Value = try await self.audit.perform(act) {
                () async throws(AuditedFailure<ApprovalError>) in
                try await self.apply(planned.changes)
                return Written(value: planned.value, facts: planned.facts)
            }
            return .success(value)
        }
        switch done {
        case .success(let value): return value
        // Nobody waits for the record of somebody else's refusal.
        case .failure(let refusal): throw await audit.refuse(act, refusal)
        }
    }

    private func refreshIfStale() async throws(ApprovalError) {
        guard state.withLock({ $0.isStale }) else { return }
        do {
            show(try await store.load())
        } catch {
            throw .storage(error)
        }
    }

    private func apply(_ changes: [ApprovalChange]) async throws(AuditedFailure<ApprovalError>) {
        do {
            try await store.apply(changes)
        } catch {
            throw AuditedFailure(error: .storage(error), observed: await observed(changes))
        }
        state.withLock { state in
            for change in changes {
                switch change {
                case .put(let approval): state.approvals[approval.id] = approval
                case .delete(let id): state.approvals[id] = nil
                }
                state.polls[change.id] = nil
            }
        }
    }

    /// What a write that failed has done after all: what the store says is in force.
    private func observed(_ changes: [ApprovalChange]) async -> AuditEvent.EffectField.Observed {
        let stored: [String: Approval]
        do {
            let approvals = try await store.load()
            show(approvals)
            stored = Self.byID(approvals)
        } catch {
            state.withLock { $0.isStale = true }
            return .unknown
        }
        let hasOccurred = changes.allSatisfy { change in
            switch change {
            case .put(let approval): stored[approval.id] == approval
            case .delete(let id): stored[id] == nil
            }
        }
        return hasOccurred ? .occurred : .none
    }

    private func show(_ approvals: [Approval]) {
        state.withLock { state in
            state.approvals = Self.byID(approvals)
            state.isStale = false
        }
    }

    // MARK: asking too often

    /// Seconds between two questions of a client (CIBA Core 1.0 §7.3).
    package static let interval: Int64 = 5

    /// Whether the client asks sooner than it was told; each time it has to wait longer (CIBA Core 1.0 §11).
    func isTooSoon(_ id: String) -> Bool {
        let time = now()
        return state.withLock { state in
            guard let last = state.polls[id] else {
                state.polls[id] = (time, Self.interval)
                return false
            }
            let isTooSoon = time < last.time + last.interval
            state.polls[id] = (time, last.interval + (isTooSoon ? Self.interval : 0))
            return isTooSoon
        }
    }

    func newIdentifier() -> String { RandomIdentifier.make(randomBytes) }
}
