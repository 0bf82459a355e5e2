import Attestation
import SPIFFE

/// The entries that this node may serve, their X509-SVIDs, and the bundles: a state machine without clock and sockets.
struct EntryCache: Sendable {
    private struct Record {
        var entry: AuthorizedEntry
        var svid: CachedSVID?
        /// When a workload last got it, for eviction.
        var usedAt = UnixTime(milliseconds: 0)
        /// A workload waits for it.
        var isDemanded = false
        /// The server refused it, or could not be asked.
        var failures = 0
        var retryAt = UnixTime(milliseconds: 0)
    }

    /// SVIDs kept beside those that somebody follows.
    let limit: Int
    private(set) var bundle: TrustBundle
    private(set) var federatedBundles: [TrustDomain: TrustBundle] = [:]
    private var records: [String: Record] = [:]
    /// Entry IDs by the smallest of their selectors: every entry that applies to a process is found under one of the
    /// process's selectors.
    private var index: [Selector: Set<String>] = [:]

    /// The first wait after a failed signature, in milliseconds; grows by half each time.
    static let firstRetry = 2000.0
    /// The longest wait after a failed signature, in milliseconds.
    static let longestRetry = 60_000.0
    /// The shortest wait between two looks at the same entry, in milliseconds.
    static let pause: Int64 = 1000

    init(bundle: TrustBundle, limit: Int) {
        self.bundle = bundle
        self.limit = limit
    }

    /// What came of an update, for those who follow.
    struct Difference: Equatable {
        /// New, changed (old and new form) and removed entries.
        var touched: [AuthorizedEntry] = []
        /// IDs of entries whose credentials are no longer good for any use.
        var invalidated: Set<String> = []
    }

    var entries: [String: AuthorizedEntry] { records.mapValues(\.entry) }

    /// SVIDs at hand.
    var svidCount: Int { records.values.reduce(0) { $0 + ($1.svid == nil ? 0 : 1) } }

    /// The other trust domains whose bundles the entries need.
    var neededTrustDomains: Set<TrustDomain> {
        Set(records.values.flatMap(\.entry.federatesWith)).subtracting([bundle.trustDomain])
    }

    // MARK: updates

    /// Makes these the entries; all others are gone.
    mutating func replace(entries: [AuthorizedEntry]) -> Difference {
        var difference = Difference()
        var gone = Set(records.keys)
        for entry in entries {
            gone.remove(entry.id)
            guard let old = records[entry.id] else {
                add(entry)
                difference.touched.append(entry)
                continue
            }
            guard old.entry != entry else { continue }
            remove(entry.id)
            add(entry)
            difference.touched += [old.entry, entry]
            difference.invalidated.insert(entry.id)
            // An SVID for a former ID must not be given out; another change keeps it until the new one is there.
            if old.entry.spiffeID == entry.spiffeID { records[entry.id]?.svid = old.svid }
            records[entry.id]?.usedAt = old.usedAt
            records[entry.id]?.isDemanded = old.isDemanded
        }
        for id in gone {
            if let entry = remove(id) { difference.touched.append(entry) }
            difference.invalidated.insert(id)
        }
        return difference
    }

    /// Removes entries that have ended by the node's own clock.
    mutating func removeExpired(at time: UnixTime) -> Difference {
        var difference = Difference()
        for entry in records.values.map(\.entry) where entry.isExpired(at: time) {
            remove(entry.id)
            difference.touched.append(entry)
            difference.invalidated.insert(entry.id)
        }
        return difference
    }

    /// When the next entry ends.
    var nextExpiry: UnixTime? { records.values.compactMap(\.entry.expiresAt).min() }

    /// Returns whether anything changed.
    mutating func replace(bundle: TrustBundle, federated: [TrustDomain: TrustBundle]) -> Bool {
        guard bundle != self.bundle || federated != federatedBundles else { return false }
        self.bundle = bundle
        federatedBundles = federated
        return true
    }

    /// A workload waits for these entries' SVIDs.
    mutating func demand(_ ids: some Sequence<String>, at time: UnixTime) {
        for id in ids {
            guard let record = records[id] else { continue }
            records[id]?.isDemanded = true
            records[id]?.retryAt = min(record.retryAt, time)
        }
    }

    /// Forgets SVIDs that are revoked; they are signed anew, with new keys.
    mutating func discard(where isRevoked: (CachedSVID) -> Bool) {
        for (id, record) in records {
            guard let svid = record.svid, isRevoked(svid) else { continue }
            records[id]?.svid = nil
        }
    }

    /// Takes an SVID that was signed for an entry; drops it when the entry has another ID by now.
    mutating func store(_ svid: CachedSVID, for id: String) -> AuthorizedEntry? {
        guard let entry = records[id]?.entry, entry.spiffeID == svid.id else { return nil }
        records[id]?.svid = svid
        records[id]?.isDemanded = false
        records[id]?.failures = 0
        return entry
    }

    /// Signing did not work: not tried again at once, and nobody waits for it.
    mutating func failed(_ ids: some Sequence<String>, at time: UnixTime) {
        postpone(ids, at: time)
        for id in ids { records[id]?.isDemanded = false }
    }

    /// Not tried again at once; those who wait go on waiting.
    mutating func postpone(_ ids: some Sequence<String>, at time: UnixTime) {
        for id in ids {
            guard let failures = records[id]?.failures else { continue }
            var wait = Self.firstRetry
            for _ in 0..<min(failures, 16) { wait = min(wait * 1.5, Self.longestRetry) }
            records[id]?.failures = min(failures + 1, 16)
            records[id]?.retryAt = time.adding(milliseconds: Int64(wait))
        }
    }

    /// Drops expired SVIDs, and beyond the limit the longest unused ones that nobody follows.
    mutating func evict(followed: (AuthorizedEntry) -> Bool, at time: UnixTime) {
        for (id, record) in records {
            guard let svid = record.svid, !RotationSchedule.isUsable(expires: svid.expiresAt, at: time) else {
                continue
            }
            records[id]?.svid = nil
        }
        let excess = svidCount - limit
        guard excess > 0 else { return }
        let victims = records.values
            .filter { $0.svid != nil && !followed($0.entry) }
            .sorted { ($0.usedAt, $0.entry.id) < ($1.usedAt, $1.entry.id) }
        for record in victims.prefix(excess) { records[record.entry.id]?.svid = nil }
    }

    // MARK: what to sign

    /// Entries that need a new SVID now: those asked for first, then rotations, then what is signed ahead.
    func due(at time: UnixTime, followed: (AuthorizedEntry) -> Bool) -> [AuthorizedEntry] {
        var due: [(rank: Int, entry: AuthorizedEntry)] = []
        var room = limit - svidCount
        for record in records.values.sorted(by: { AuthorizedEntry.precedes($0.entry, $1.entry) }) {
            guard !record.entry.storesSVID, !isResting(record, at: time) else { continue }
            if record.isDemanded, needsSigning(record, at: time) {
                due.append((0, record.entry))
            } else if record.svid != nil {
                if needsSigning(record, at: time) { due.append((1, record.entry)) }
            } else if !record.entry.isOnDemand || followed(record.entry) {
                guard room > 0 || followed(record.entry) else { continue }
                room -= 1
                due.append((2, record.entry))
            }
        }
        return due.sorted { $0.rank < $1.rank }.map(\.entry)
    }

    /// Entries that need a new SVID now and were asked for.
    func demanded(at time: UnixTime) -> [AuthorizedEntry] {
        records.values.filter {
            $0.isDemanded && !$0.entry.storesSVID && !isResting($0, at: time) && needsSigning($0, at: time)
        }.map(\.entry)
    }

    /// The next time that ``due(at:followed:)`` can have something new by itself.
    func nextDue(after time: UnixTime) -> UnixTime? {
        var next: UnixTime?
        for record in records.values where !record.entry.storesSVID {
            let at: UnixTime
            if let svid = record.svid {
                // What should have been replaced already was tried just now: not again at once, whatever the reason.
                at =
                    needsSigning(record, at: time)
                    ? max(record.retryAt, time.adding(milliseconds: Self.pause)) : max(svid.rotatesAt, record.retryAt)
            } else if record.failures > 0 {
                at = record.retryAt
            } else {
                continue
            }
            next = min(next ?? at, at)
        }
        return next.map { max($0, time) }
    }

    private func needsSigning(_ record: Record, at time: UnixTime) -> Bool {
        guard let svid = record.svid else { return true }
        return svid.revision != record.entry.revision || svid.rotatesAt <= time || svid.notBefore > time
            || bundle.demandsRotation(authorityKeyID: svid.authorityKeyID)
    }

    /// Whether it is too early to try again. No wait is longer than the longest: what seems so is from before the clock
    /// was set back.
    private func isResting(_ record: Record, at time: UnixTime) -> Bool {
        let wait = record.retryAt.milliseconds(since: time)
        return wait > 0 && wait <= Int64(Self.longestRetry)
    }

    // MARK: what to serve

    /// The entries that apply to a process, in the order of responses, hints made unique.
    func entries(for selectors: Set<Selector>) -> (kept: [AuthorizedEntry], dropped: [AuthorizedEntry]) {
        var matching: [AuthorizedEntry] = []
        for selector in selectors {
            for id in index[selector] ?? [] {
                guard let entry = records[id]?.entry, !entry.storesSVID, entry.applies(to: selectors) else { continue }
                matching.append(entry)
            }
        }
        return HintRule.apply(to: matching)
    }

    /// The SVID of an entry, if there is one that may be handed out.
    mutating func svid(of id: String, at time: UnixTime) -> CachedSVID? {
        guard let svid = records[id]?.svid, RotationSchedule.isUsable(expires: svid.expiresAt, at: time) else {
            return nil
        }
        records[id]?.usedAt = time
        return svid
    }

    /// Whether signing for this entry is worth waiting for.
    func isAwaited(_ id: String) -> Bool { records[id]?.isDemanded ?? false }

    /// The bundles of the trust domains that these entries federate with.
    func federatedBundles(of entries: [AuthorizedEntry]) -> [TrustDomain: TrustBundle] {
        let wanted = Set(entries.flatMap(\.federatesWith))
        return federatedBundles.filter { wanted.contains($0.key) }
    }

    // MARK: records and index

    private mutating func add(_ entry: AuthorizedEntry) {
        records[entry.id] = Record(entry: entry)
        if let first = entry.selectors.min() { index[first, default: []].insert(entry.id) }
    }

    @discardableResult
    private mutating func remove(_ id: String) -> AuthorizedEntry? {
        guard let entry = records.removeValue(forKey: id)?.entry else { return nil }
        if let first = entry.selectors.min() {
            index[first]?.remove(id)
            if index[first]?.isEmpty ?? false { index[first] = nil }
        }
        return entry
    }
}
