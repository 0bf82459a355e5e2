import JOSE
import SPIFFE

/// WIT-SVIDs at hand, one per entry, each with the key that it names: at most so many, the longest unused one goes
/// first.
struct WITCache: Sendable {
    struct Token: Sendable {
        let entryID: String
        let id: SPIFFEID
        let text: String
        /// The holder's private key as JWK.
        let privateJWK: String
        /// The public half, which revocations can name.
        let holder: JWSVerificationKey
        let jwtID: String?
        /// The `kid` of the authority.
        let keyID: String
        var obtainedAt: UnixTime
        let expiresAt: UnixTime
        /// From here on it is replaced.
        var rotatesAt: UnixTime
        /// Revision of the entry that it was signed for.
        let revision: Int64

        /// Whether it is to be replaced: its time has come, or the clock has been set back to before it was issued.
        func isDue(at time: UnixTime) -> Bool {
            rotatesAt <= time || RotationSchedule.isFromTheFuture(obtained: obtainedAt, at: time)
        }
    }

    private struct Slot {
        var token: Token
        var use: UInt64
    }

    let limit: Int
    private var slots: [String: Slot] = [:]
    private var clock: UInt64 = 0
    /// Counts how often the keys have been looked through: what was asked for in an earlier turn may be of a key that has
    /// gone since.
    private(set) var turn: UInt64 = 0

    init(limit: Int) {
        self.limit = limit
    }

    /// The token of an entry, unless it has expired or the entry has another ID by now.
    mutating func token(for entry: AuthorizedEntry, at time: UnixTime) -> Token? {
        guard let token = slots[entry.id]?.token else { return nil }
        guard token.id == entry.spiffeID, RotationSchedule.isUsable(expires: token.expiresAt, at: time) else {
            slots[entry.id] = nil
            return nil
        }
        clock += 1
        slots[entry.id]?.use = clock
        return token
    }

    /// Keeps a token that was asked for in this turn, and returns the one that counts: of two that were asked for at once
    /// the first.
    mutating func store(_ token: Token, asked: UInt64, at time: UnixTime) -> Token {
        if let other = slots[token.entryID]?.token, other.id == token.id, other.revision == token.revision,
            !other.isDue(at: time)
        {
            return other
        }
        guard limit > 0, asked == turn else { return token }
        clock += 1
        slots[token.entryID] = Slot(token: token, use: clock)
        if slots.count > limit, let oldest = slots.min(by: { $0.value.use < $1.value.use }) {
            slots[oldest.key] = nil
        }
        return token
    }

    /// Puts off the replacement of tokens that could not be replaced.
    mutating func postpone(_ entries: some Sequence<String>, to time: UnixTime) {
        for id in entries {
            guard var slot = slots[id] else { continue }
            slot.token.rotatesAt = time
            // Else a token from before the clock was set back would be due all the same.
            slot.token.obtainedAt = min(slot.token.obtainedAt, time)
            slots[id] = slot
        }
    }

    /// The entries whose tokens are to be replaced.
    func due(at time: UnixTime) -> Set<String> {
        Set(slots.values.filter { $0.token.isDue(at: time) }.map(\.token.entryID))
    }

    /// Forgets the tokens of entries that are gone or changed.
    mutating func remove(entries: Set<String>) {
        for id in entries { slots[id] = nil }
    }

    /// Forgets tokens that are revoked; they are signed anew, with new keys.
    mutating func discard(where isRevoked: (Token) -> Bool) {
        slots = slots.filter { !isRevoked($0.value.token) }
    }

    /// Forgets the tokens whose key is tainted or not in the bundle any more.
    mutating func keep(signedBy bundle: TrustBundle) {
        turn += 1
        let good = Set(bundle.witAuthorities.filter { !$0.isTainted }.map(\.keyID))
        slots = slots.filter { good.contains($0.value.token.keyID) }
    }
}
