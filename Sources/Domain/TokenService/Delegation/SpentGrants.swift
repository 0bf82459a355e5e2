import OAuth
import Synchronization

/// Which grants of other authorization servers were redeemed here, each issuer's apart: one that floods us locks out nobody but
/// itself.
///
/// It lives in memory. So that no grant counts twice over a restart, those that were made before it do not count at all.
final class SpentGrants: Sendable {
    /// Of one issuer at a time: a thousand a second that last as long as they may.
    static let defaultCapacity = 300_000

    private let capacity: Int
    // Guards the memories by issuer. Only issuers on the operator's list get one.
    private let memories = Mutex<[String: ReplayCache]>([:])

    init(capacity: Int = defaultCapacity) { self.capacity = capacity }

    /// Takes a grant for the first time, or says why not.
    func spend(_ claims: AuthorizationGrantClaims, now: Int64) -> ReplayCache.Outcome {
        memories.withLock {
            $0[claims.issuer, default: ReplayCache(capacity: capacity)].insert(
                claims.tokenID, of: Array(claims.issuer.utf8), until: claims.expiresAt, now: now)
        }
    }
}
