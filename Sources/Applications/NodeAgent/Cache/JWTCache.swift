import SPIFFE

/// JWT-SVIDs at hand: at most so many, the longest unused one goes first.
struct JWTCache: Sendable {
    /// An identity and the set of receivers that its token is for.
    struct Key: Hashable, Sendable {
        let entryID: String
        /// Sorted, each once.
        let audience: [String]

        init(entryID: String, audience: [String]) {
            self.entryID = entryID
            self.audience = audience.count == 1 ? audience : Set(audience).sorted()
        }
    }

    struct Token: Sendable {
        let text: String
        let id: SPIFFEID
        let keyID: String
        let obtainedAt: UnixTime
        let expiresAt: UnixTime
        /// Revision of the entry that it was signed for.
        let revision: Int64

        /// Whether more than half of its life is left, and the clock has not been set back to before it was issued.
        func isFresh(at time: UnixTime) -> Bool {
            !RotationSchedule.isFromTheFuture(obtained: obtainedAt, at: time)
                && expiresAt.milliseconds(since: time) > expiresAt.milliseconds(since: obtainedAt) / 2
        }
    }

    private struct Slot {
        var token: Token
        var use: UInt64
    }

    let limit: Int
    private var slots: [Key: Slot] = [:]
    private var clock: UInt64 = 0
    /// Counts how often the keys have been looked through: what was asked for in an earlier turn may be of a key that has
    /// gone since.
    private(set) var turn: UInt64 = 0

    init(limit: Int) {
        self.limit = limit
    }

    var count: Int { slots.count }

    /// The token for a key unless it has expired or the entry has changed since.
    mutating func token(for key: Key, revision: Int64, at time: UnixTime) -> Token? {
        guard let token = slots[key]?.token else { return nil }
        guard token.revision == revision, RotationSchedule.isUsable(expires: token.expiresAt, at: time) else {
            slots[key] = nil
            return nil
        }
        clock += 1
        slots[key]?.use = clock
        return token
    }

    /// Keeps a token that was asked for in this turn.
    mutating func store(_ token: Token, for key: Key, asked: UInt64) {
        guard limit > 0, asked == turn else { return }
        clock += 1
        slots[key] = Slot(token: token, use: clock)
        guard slots.count > limit else { return }
        // INVARIANT: one at most is too many.
        if let oldest = slots.min(by: { $0.value.use < $1.value.use }) { slots[oldest.key] = nil }
    }

    /// Forgets the tokens of entries that are gone or changed.
    mutating func remove(entries: Set<String>) {
        guard !entries.isEmpty else { return }
        slots = slots.filter { !entries.contains($0.key.entryID) }
    }

    /// Forgets the tokens whose key is tainted or not in the bundle any more.
    mutating func keep(signedBy bundle: TrustBundle) {
        turn += 1
        let good = Set(bundle.jwtAuthorities.filter { !$0.isTainted }.map(\.keyID))
        slots = slots.filter { good.contains($0.value.token.keyID) }
    }
}
