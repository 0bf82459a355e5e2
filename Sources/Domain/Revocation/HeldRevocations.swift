package import SPIFFE

/// What one verifier knows of revocations, and when it was last told that this is still so: a state machine without
/// clock and sockets. Node agent and SDK share it.
package struct HeldRevocations: Sendable {
    /// The newest snapshot that was verified; nil before the first.
    package private(set) var snapshot: RevocationSnapshot?
    /// When the control plane last said that this is the newest; nil when it never did to this process.
    package private(set) var confirmedAt: UnixTime?
    /// Whether the other side has revocations at all; false makes every check pass.
    package private(set) var isOffered = true
    /// From when on the verifier has been without news, as long as it has had none.
    private let startedAt: UnixTime
    /// Whether it once knew more than it does, until the control plane has told it anew.
    private var hasForgotten = false

    /// What an earlier run has left.
    package enum Memory: Sendable {
        /// There was none.
        case none
        /// The newest snapshot that it had verified.
        case snapshot(RevocationSnapshot)
        /// Something that cannot be read any more: there was a snapshot, but neither its content nor its number is known.
        case damaged
    }

    package init(startedAt: UnixTime, memory: Memory = .none) {
        self.startedAt = startedAt
        switch memory {
        case .none: break
        case .snapshot(let stored): snapshot = stored
        case .damaged: hasForgotten = true
        }
    }

    /// What an offered snapshot changes.
    package enum Change: Hashable, Sendable {
        /// Other things are revoked now.
        case content
        /// The same content, signed again or confirmed.
        case none
    }

    /// Takes a verified snapshot; refuses an older state than the one held.
    package mutating func take(
        _ offered: RevocationSnapshot, confirmedAt time: UnixTime?
    ) throws(RevocationError) -> Change {
        if let held = snapshot {
            guard
                offered.sequence > held.sequence
                    || offered.sequence == held.sequence && offered.subjects == held.subjects
            else { throw .replayed(held: held.sequence, offered: offered.sequence) }
        }
        let isNews = snapshot?.subjects != offered.subjects
        // Of the same state the one that lasts longer is kept, unless the clock has been set back to before its issue.
        var isHeldFromTheFuture = false
        if let held = snapshot, let time { isHeldFromTheFuture = held.issuedAt > time + SignedRevocations.leeway }
        if isHeldFromTheFuture || snapshot?.sequence != offered.sequence
            || snapshot.map({ $0.expiresAt < offered.expiresAt }) ?? true
        {
            snapshot = offered
        }
        isOffered = true
        if let time { confirm(at: time) }
        return isNews ? .content : .none
    }

    /// The control plane said at this moment that the snapshot held is the newest.
    package mutating func confirm(at time: UnixTime) {
        guard snapshot != nil else { return }
        hasForgotten = false
        // News may be told out of order by a little; a confirmation from much later is from before the clock was set
        // back, and must not count until the clock is there again.
        confirmedAt = confirmedAt.map { $0.milliseconds(since: time) > Self.tolerance ? time : max($0, time) } ?? time
    }

    /// Milliseconds by which a moment may lie in the future without the clock having been set back.
    package static let tolerance: Int64 = 5000

    /// Milliseconds since the last confirmation; nil when there was none, or the clock has been set back since.
    package func age(at time: UnixTime) -> Int64? {
        guard let confirmedAt else { return nil }
        let age = time.milliseconds(since: confirmedAt)
        return age < -Self.tolerance ? nil : max(0, age)
    }

    /// The other side does not know what revocations are (a stock SPIFFE provider, a SPIRE server).
    ///
    /// Only believed as long as there never was a snapshot: nobody gets rid of revocations by taking the service away.
    package mutating func notOffered() {
        guard snapshot == nil, !hasForgotten else { return }
        isOffered = false
    }

    /// Whether decisions may rest on what is held, at this moment.
    /// - Parameter limit: milliseconds without news; nil for no limit.
    package func isFresh(at time: UnixTime, limit: Int64?) -> Bool {
        // Not even without a limit: it is known that something is not known.
        guard !hasForgotten else { return false }
        guard isOffered, let limit else { return true }
        if let snapshot, snapshot.expiresAt <= time { return false }
        // By a clock that was set back nobody can tell how old the news is.
        let age = time.milliseconds(since: confirmedAt ?? startedAt)
        return age >= -Self.tolerance && age <= limit
    }
}
