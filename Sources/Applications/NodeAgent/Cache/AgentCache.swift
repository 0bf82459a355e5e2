import Attestation
import Revocation
import SPIFFE
import Synchronization

/// The cache that everything in the agent shares, and those who follow it.
final class AgentCache: Sendable {
    private struct State {
        var entries: EntryCache
        var tokens: JWTCache
        var wits: WITCache
        var isReady = false
        var lastSync: UnixTime?
        var followers: [UInt64: (selectors: Set<Selector>, signal: Signal)] = [:]
        var nextFollower: UInt64 = 0
    }

    /// Most streams at once.
    static let maximumFollowers = 20_000

    private let state: Mutex<State>
    /// Fires when the next expiry may be another one.
    let expiries = Signal()

    init(bundle: TrustBundle, x509Limit: Int, jwtLimit: Int) {
        state = Mutex(
            State(
                entries: EntryCache(bundle: bundle, limit: x509Limit), tokens: JWTCache(limit: jwtLimit),
                wits: WITCache(limit: x509Limit)))
    }

    /// Whether the entries have been fetched once: before that nobody can be told that there is no identity.
    var isReady: Bool { state.withLock { $0.isReady } }

    func setReady() { state.withLock { $0.isReady = true } }

    /// When the server last answered with entries and bundles.
    var lastSync: UnixTime? { state.withLock { $0.lastSync } }

    func noteSync(at time: UnixTime) { state.withLock { $0.lastSync = time } }

    /// Reads and small changes; nothing that others follow may change here.
    func withEntries<Result: Sendable, Failure: Error>(
        _ body: (inout EntryCache) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try state.withLock { state throws(Failure) in try body(&state.entries) }
    }

    /// Reads and changes of the tokens.
    func withTokens<Result: Sendable>(_ body: (inout JWTCache) -> Result) -> Result {
        state.withLock { body(&$0.tokens) }
    }

    /// Reads and changes of the WIT-SVIDs.
    func withWITs<Result: Sendable>(_ body: (inout WITCache) -> Result) -> Result {
        state.withLock { body(&$0.wits) }
    }

    /// Wakes those who follow an entry whose WIT-SVID is to be replaced.
    func remindOfWITs(at time: UnixTime) {
        state.withLock { state in
            let due = state.wits.due(at: time)
            guard !due.isEmpty else { return }
            let entries = state.entries.entries
            Self.tell(state, of: due.compactMap { entries[$0] })
        }
    }

    // MARK: changes that others follow

    /// Makes those that have not ended the entries.
    func replace(entries: [AuthorizedEntry], at time: UnixTime) -> EntryCache.Difference {
        let difference = change { $0.replace(entries: entries.filter { !$0.isExpired(at: time) }) }
        if !difference.touched.isEmpty { expiries.fire() }
        return difference
    }

    /// Ends entries whose time is over, for those who follow them too; when the next one ends.
    func endExpired(at time: UnixTime) -> UnixTime? {
        _ = change { $0.removeExpired(at: time) }
        return withEntries { $0.nextExpiry }
    }

    private func change(_ body: (inout EntryCache) -> EntryCache.Difference) -> EntryCache.Difference {
        state.withLock { state in
            let difference = body(&state.entries)
            state.tokens.remove(entries: difference.invalidated)
            state.wits.remove(entries: difference.invalidated)
            Self.tell(state, of: difference.touched)
            return difference
        }
    }

    func replace(bundle: TrustBundle, federated: [TrustDomain: TrustBundle]) -> Bool {
        state.withLock { state in
            guard state.entries.replace(bundle: bundle, federated: federated) else { return false }
            state.tokens.keep(signedBy: bundle)
            state.wits.keep(signedBy: bundle)
            for follower in state.followers.values { follower.signal.fire() }
            return true
        }
    }

    /// Other things are revoked now: certificates and tokens among them are not handed out again, and every stream looks
    /// anew.
    func revocationsChanged(_ revoked: RevokedSubjects) {
        state.withLock { state in
            state.entries.discard { revoked.revokes($0) }
            state.wits.discard { revoked.revokes($0) }
            // What a revoked key has signed is signed anew by the one that signs now.
            var bundle = state.entries.bundle
            bundle.jwtAuthorities.removeAll { revoked.revokes($0.publicKey) }
            bundle.witAuthorities.removeAll { revoked.revokes($0.publicKey) }
            state.tokens.keep(signedBy: bundle)
            state.wits.keep(signedBy: bundle)
            for follower in state.followers.values { follower.signal.fire() }
        }
    }

    /// The outcome of one call for signatures. Of `missing` entries the next exchange with the server tells more: who
    /// waits for one of them is not told yet.
    func store(
        _ svids: [(entryID: String, svid: CachedSVID)], failed: [String], missing: [String] = [], at time: UnixTime
    ) {
        state.withLock { state in
            var touched: [AuthorizedEntry] = []
            for (id, svid) in svids {
                if let entry = state.entries.store(svid, for: id) { touched.append(entry) }
            }
            let entries = state.entries.entries
            touched += failed.compactMap { entries[$0] }
            state.entries.failed(failed, at: time)
            state.entries.postpone(missing, at: time)
            let followers = state.followers
            state.entries.evict(followed: { Self.isFollowed($0, followers) }, at: time)
            Self.tell(state, of: touched)
        }
    }

    /// What needs signing now.
    func due(at time: UnixTime) -> [AuthorizedEntry] {
        state.withLock { state in
            let followers = state.followers
            return state.entries.due(at: time) { Self.isFollowed($0, followers) }
        }
    }

    /// What was asked for and needs signing now.
    func demanded(at time: UnixTime) -> [AuthorizedEntry] {
        withEntries { $0.demanded(at: time) }
    }

    // MARK: followers

    /// Follows what concerns a process with these selectors; `nil` when too many do.
    func follow(_ selectors: Set<Selector>) -> Follower? {
        let signal = Signal()
        let number: UInt64? = state.withLock { state in
            guard state.followers.count < Self.maximumFollowers else { return nil }
            let number = state.nextFollower
            state.nextFollower += 1
            state.followers[number] = (selectors, signal)
            return number
        }
        return number.map { Follower(cache: self, number: $0, signal: signal) }
    }

    /// Lets every follower look whether its process is still there.
    func remindFollowers() {
        let followers = state.withLock { Array($0.followers.values) }
        for follower in followers { follower.signal.fire(.check) }
    }

    /// Lets everybody with this selector be attested anew.
    func tell(selectedBy selector: Selector) {
        let followers = state.withLock { $0.followers.values.filter { $0.selectors.contains(selector) } }
        for follower in followers { follower.signal.fire() }
    }

    /// How many streams are open.
    var followerCount: Int { state.withLock { $0.followers.count } }

    fileprivate func update(_ number: UInt64, selectors: Set<Selector>) {
        state.withLock { $0.followers[number]?.selectors = selectors }
    }

    fileprivate func unfollow(_ number: UInt64) {
        state.withLock { _ = $0.followers.removeValue(forKey: number) }
    }

    private static func tell(_ state: State, of touched: [AuthorizedEntry]) {
        guard !touched.isEmpty else { return }
        for follower in state.followers.values where touched.contains(where: { $0.applies(to: follower.selectors) }) {
            follower.signal.fire()
        }
    }

    private static func isFollowed(
        _ entry: AuthorizedEntry, _ followers: [UInt64: (selectors: Set<Selector>, signal: Signal)]
    ) -> Bool {
        followers.values.contains { entry.applies(to: $0.selectors) }
    }
}

/// One stream's place among the followers; gone with its last reference.
final class Follower: Sendable {
    /// Fires when something changed that concerns the process.
    let signal: Signal
    private let cache: AgentCache
    private let number: UInt64

    fileprivate init(cache: AgentCache, number: UInt64, signal: Signal) {
        self.cache = cache
        self.number = number
        self.signal = signal
    }

    deinit { cache.unfollow(number) }

    /// The process has these selectors now.
    func update(selectors: Set<Selector>) { cache.update(number, selectors: selectors) }
}
