import SPIFFE

/// The life of the authorities: which stand prepared, which one signs, which are over.
///
/// A value without effects. `nextAction` names the one act that is due; the caller does it (keys, certificate, audit,
/// store) and reports it back by the method of the same name, which returns what is to be stored.
/// INVARIANT: at most one active and one prepared authority per kind.
struct AuthorityStateMachine: Sendable {
    private(set) var stored: StoredAuthorities
    /// Authorities of ours whose private key the key store does not hold: they can verify but never sign.
    private(set) var keyless: Set<String>

    init(stored: StoredAuthorities, keyless: Set<String> = []) {
        self.stored = stored
        self.keyless = keyless
    }

    /// Why an authority is prepared, activated or removed; the audit log names it.
    enum Cause: String, Sendable {
        /// The kind has no authority that can sign.
        case missing
        /// The signing one's private key is gone.
        case keyLost = "key lost"
        /// The schedule of the signing one.
        case schedule
        /// A day has passed since its end, or it ended without ever signing.
        case ended
        /// An administrator's call.
        case request
    }

    /// One act that is due.
    enum Action: Sendable, Equatable {
        case prepare(AuthorityRecord.Kind, Cause)
        case activate(AuthorityRecord, Cause)
        case prune(AuthorityRecord, Cause)
    }

    /// The act that is due now, the most urgent one first; nil when there is nothing to do. Only for these kinds are
    /// keys made or activated.
    func nextAction(now: UnixTime, of kinds: [AuthorityRecord.Kind] = AuthorityRecord.Kind.allCases) -> Action? {
        for kind in kinds {
            if let action = nextAction(of: kind, now: now) { return action }
        }
        return stored.records.lazy
            .filter { $0.status != .active && now >= AuthoritySchedule.pruning(of: $0) }
            .map { .prune($0, .ended) }.first
    }

    private func nextAction(of kind: AuthorityRecord.Kind, now: UnixTime) -> Action? {
        let prepared = record(kind, .prepared)
        if let prepared {
            if keyless.contains(prepared.id) { return .prune(prepared, .keyLost) }
            if prepared.notAfter <= now { return .prune(prepared, .ended) }
        }
        guard let active = record(kind, .active) else { return next(kind, prepared, .missing) }
        if keyless.contains(active.id) { return next(kind, prepared, .keyLost) }
        if now >= AuthoritySchedule.activation(of: active) { return next(kind, prepared, .schedule) }
        if prepared == nil, now >= AuthoritySchedule.preparation(of: active) { return .prepare(kind, .schedule) }
        return nil
    }

    /// Activation wants a prepared authority: so a missing one is prepared first, and the next call activates it.
    private func next(_ kind: AuthorityRecord.Kind, _ prepared: AuthorityRecord?, _ cause: Cause) -> Action {
        prepared.map { .activate($0, cause) } ?? .prepare(kind, cause)
    }

    /// The authority of this kind in this state, of which there is at most one.
    func record(_ kind: AuthorityRecord.Kind, _ status: AuthorityRecord.Status) -> AuthorityRecord? {
        stored.records.last { $0.kind == kind && $0.status == status }
    }

    /// Takes a fresh authority in as the prepared one; an older prepared one gives way.
    mutating func prepare(_ record: AuthorityRecord) -> StoredAuthorities {
        stored.records.removeAll { $0.kind == record.kind && ($0.status == .prepared || $0.id == record.id) }
        stored.records.append(record)
        return changed(record.kind)
    }

    /// Lets a prepared authority sign. The set of keys stays the same, so the bundle's revision does too.
    mutating func activate(_ record: AuthorityRecord) -> StoredAuthorities {
        for index in stored.records.indices where stored.records[index].kind == record.kind {
            if stored.records[index].id == record.id {
                stored.records[index].status = .active
            } else if stored.records[index].status == .active {
                stored.records[index].status = .old
            }
        }
        return stored
    }

    /// Takes an authority out of what is published for good.
    mutating func prune(_ record: AuthorityRecord) -> StoredAuthorities {
        stored.records.removeAll { $0.kind == record.kind && $0.id == record.id }
        keyless.remove(record.id)
        return changed(record.kind)
    }

    /// Marks an authority: the bundle, if it is in it, says so, and what it signed is to be replaced.
    mutating func taint(_ record: AuthorityRecord) -> StoredAuthorities {
        for index in stored.records.indices
        where stored.records[index].kind == record.kind && stored.records[index].id == record.id {
            stored.records[index].isTainted = true
        }
        return changed(record.kind)
    }

    /// Takes in an authority that somebody else published.
    mutating func append(_ record: AuthorityRecord) -> StoredAuthorities {
        stored.records.append(record)
        return changed(record.kind)
    }

    /// What is to be stored after a change of this kind's keys: the bundle has another revision if they are in it.
    private mutating func changed(_ kind: AuthorityRecord.Kind) -> StoredAuthorities {
        // Saturates: a damaged store must not bring the server down.
        if kind.isInBundle, stored.bundleRevision < .max { stored.bundleRevision += 1 }
        return stored
    }
}
