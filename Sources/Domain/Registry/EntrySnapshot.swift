import Attestation
import HashTreeCollections
package import SPIFFE

/// An immutable view of all registration entries with its indexes; a new one shares nearly everything with the last.
struct EntrySnapshot: Sendable {
    /// One entry on the heap, so that indexes and results share it.
    final class Box: Sendable {
        let entry: RegistrationEntry
        let position: ListPosition
        /// Stands for the entry in this revision, within this process.
        let mark: Int

        init(_ entry: RegistrationEntry) {
            self.entry = entry
            var hasher = Hasher()
            hasher.combine(entry.id)
            hasher.combine(entry.revision)
            mark = hasher.finalize()
            position = ListPosition(createdAt: entry.createdAt, key: entry.id)
        }

        func isExpired(at time: UnixTime) -> Bool { entry.isExpired(at: time) }
    }

    private let server: SPIFFEID
    private let anyNode: SPIFFEID

    private var byID = TreeDictionary<String, Box>()
    private var ordered = OrderedIndex<Box>()
    private var byParent = SharedIndexes<SPIFFEID, Box>()
    private var bySPIFFEID = SharedIndexes<SPIFFEID, Box>()
    private var bySelector = SharedIndexes<Selector, Box>()
    private var byFederated = SharedIndexes<TrustDomain, Box>()
    /// Children of a parent that are parents themselves: the only ones a walk through the graph must follow.
    private var innerByParent = SharedIndexes<SPIFFEID, Box>()
    /// Node aliases by their first selector, so that each is found once.
    private var aliasesByFirstSelector = SharedIndexes<Selector, Box>()

    init(trustDomain: TrustDomain) {
        server = BuiltInAlias.server(in: trustDomain)
        anyNode = BuiltInAlias.anyNode(in: trustDomain)
    }

    /// All entries at once, each with an ID of its own: the indexes grow beside each other, and each only at its end.
    static func loading(_ entries: [RegistrationEntry], trustDomain: TrustDomain) async -> EntrySnapshot {
        let boxes = entries.map(Box.init).sorted { $0.position < $1.position }
        var snapshot = EntrySnapshot(trustDomain: trustDomain)
        let server = snapshot.server
        async let bySelector = index(boxes) { $0.selectors }
        async let byParent = index(boxes) { CollectionOfOne($0.parentID) }
        async let bySPIFFEID = index(boxes) { CollectionOfOne($0.spiffeID) }
        async let byFederated = index(boxes) { $0.federatesWith }
        async let aliases = index(boxes) { $0.parentID == server ? $0.selectors.prefix(1) : [] }
        for box in boxes {
            snapshot.byID[box.entry.id] = box
            snapshot.ordered.put(box, at: box.position)
        }
        let parents = await byParent
        snapshot.innerByParent = index(boxes.filter { parents[$0.entry.spiffeID] != nil }) {
            CollectionOfOne($0.parentID)
        }
        snapshot.byParent = parents
        snapshot.bySPIFFEID = await bySPIFFEID
        snapshot.bySelector = await bySelector
        snapshot.byFederated = await byFederated
        snapshot.aliasesByFirstSelector = await aliases
        return snapshot
    }

    private static func index<Keys: Sequence>(
        _ boxes: [Box], by keys: @Sendable (RegistrationEntry) -> Keys
    ) -> SharedIndexes<Keys.Element, Box> where Keys.Element: Hashable {
        var index = SharedIndexes<Keys.Element, Box>()
        for box in boxes {
            for key in keys(box.entry) { index.put(box, at: box.position, under: key) }
        }
        return index
    }

    var count: Int { byID.count }

    func entry(_ id: String) -> RegistrationEntry? { byID[id]?.entry }

    /// An entry with the same SPIFFE ID, parent and selectors, other than the one with `id`.
    func similar(to entry: RegistrationEntry) -> RegistrationEntry? {
        var found: RegistrationEntry?
        bySPIFFEID[entry.spiffeID]?.forEach { element in
            let other = element.item.entry
            guard other.id != entry.id, other.parentID == entry.parentID, other.selectors == entry.selectors else {
                return true
            }
            found = other
            return false
        }
        return found
    }

    func entries(withSPIFFEID id: SPIFFEID) -> [RegistrationEntry] {
        bySPIFFEID[id]?.items.map(\.entry) ?? []
    }

    func entries(federatingWith trustDomain: TrustDomain) -> [RegistrationEntry] {
        byFederated[trustDomain]?.items.map(\.entry) ?? []
    }

    /// Entries whose end has come, oldest first, at most `limit`.
    func expired(at time: UnixTime, limit: Int) -> [RegistrationEntry] {
        ordered.page(after: nil, count: limit, where: { $0.entry.isExpired(at: time) }, transform: \.entry).items
    }

    func page(_ filter: EntryFilter, after position: ListPosition?, count: Int) -> Page<RegistrationEntry> {
        candidates(for: filter).page(
            after: position, count: count, where: { filter.matches($0.entry) }, transform: \.entry)
    }

    func count(_ filter: EntryFilter) -> Int {
        guard filter != EntryFilter() else { return count }
        var total = 0
        candidates(for: filter).forEach { element in
            if filter.matches(element.item.entry) { total += 1 }
            return true
        }
        return total
    }

    // MARK: Authorization of nodes

    /// What a node with these selectors may serve: entries under its own ID, under the built-in alias, under aliases
    /// whose selectors it has, and all their descendants.
    func authorized(for node: SPIFFEID, selectors: [Selector], at time: UnixTime) -> AuthorizedEntries {
        var roots = rootParents(of: node, selectors: selectors, at: time)
        var visited = Set(roots)
        var result = AuthorizedEntries()
        while let parent = roots.popLast() {
            guard let children = byParent[parent] else { continue }
            // Only once: growing to the exact size for every parent would copy again and again.
            if result.isEmpty { result.reserveCapacity(children.count) }
            children.forEach { element in
                if !element.item.isExpired(at: time) { result.append(element.item) }
                return true
            }
            innerByParent[parent]?.forEach { element in
                let child = element.item.entry
                if !child.isExpired(at: time), visited.insert(child.spiffeID).inserted { roots.append(child.spiffeID) }
                return true
            }
        }
        return result
    }

    /// The entry, if the node may serve it: the same answer as ``authorized(for:selectors:at:)``, found from below.
    func authorized(
        entry id: String, for node: SPIFFEID, selectors: [Selector], at time: UnixTime
    ) -> RegistrationEntry? {
        guard let entry = byID[id]?.entry, !entry.isExpired(at: time) else { return nil }
        let roots = Set(rootParents(of: node, selectors: selectors, at: time))
        var pending = [entry.parentID]
        var visited = Set(pending)
        while let parent = pending.popLast() {
            if roots.contains(parent) { return entry }
            bySPIFFEID[parent]?.forEach { element in
                let above = element.item.entry
                if !above.isExpired(at: time), visited.insert(above.parentID).inserted {
                    pending.append(above.parentID)
                }
                return true
            }
        }
        return nil
    }

    private func rootParents(of node: SPIFFEID, selectors: [Selector], at time: UnixTime) -> [SPIFFEID] {
        var roots = [node, anyNode]
        let held = Set(selectors)
        for selector in held {
            aliasesByFirstSelector[selector]?.forEach { element in
                let alias = element.item.entry
                if !alias.isExpired(at: time), held.isSuperset(of: alias.selectors), !roots.contains(alias.spiffeID) {
                    roots.append(alias.spiffeID)
                }
                return true
            }
        }
        return roots
    }

    // MARK: Changes

    /// Inserts the entry, or replaces the one with its ID.
    mutating func put(_ entry: RegistrationEntry) {
        remove(entry.id)
        insert(Box(entry))
    }

    /// INVARIANT: no entry here has the ID.
    private mutating func insert(_ box: Box) {
        let entry = box.entry
        byID[entry.id] = box
        ordered.put(box, at: box.position)
        bySPIFFEID.put(box, at: box.position, under: entry.spiffeID)
        for selector in entry.selectors { bySelector.put(box, at: box.position, under: selector) }
        for name in entry.federatesWith { byFederated.put(box, at: box.position, under: name) }
        if let first = entry.selectors.first, entry.parentID == server {
            aliasesByFirstSelector.put(box, at: box.position, under: first)
        }
        let isFirstChild = byParent[entry.parentID] == nil
        byParent.put(box, at: box.position, under: entry.parentID)
        if isFirstChild { markInner(entry.parentID) }
        if byParent[entry.spiffeID] != nil { innerByParent.put(box, at: box.position, under: entry.parentID) }
    }

    /// Removes the entry with this ID, if there is one.
    mutating func remove(_ id: String) {
        guard let box = byID[id] else { return }
        let entry = box.entry
        byID[id] = nil
        ordered.remove(at: box.position)
        bySPIFFEID.remove(at: box.position, under: entry.spiffeID)
        for selector in entry.selectors { bySelector.remove(at: box.position, under: selector) }
        for name in entry.federatesWith { byFederated.remove(at: box.position, under: name) }
        if let first = entry.selectors.first { aliasesByFirstSelector.remove(at: box.position, under: first) }
        byParent.remove(at: box.position, under: entry.parentID)
        innerByParent.remove(at: box.position, under: entry.parentID)
        if byParent[entry.parentID] == nil { unmarkInner(entry.parentID) }
    }

    /// The ID got its first child, so entries that carry it lead on.
    private mutating func markInner(_ spiffeID: SPIFFEID) {
        for box in bySPIFFEID[spiffeID]?.items ?? [] {
            innerByParent.put(box, at: box.position, under: box.entry.parentID)
        }
    }

    private mutating func unmarkInner(_ spiffeID: SPIFFEID) {
        for box in bySPIFFEID[spiffeID]?.items ?? [] {
            innerByParent.remove(at: box.position, under: box.entry.parentID)
        }
    }

    /// The smallest index that holds everything the filter can find.
    private func candidates(for filter: EntryFilter) -> OrderedIndex<Box> {
        var best = ordered
        func consider(_ index: OrderedIndex<Box>?) {
            let index = index ?? OrderedIndex()
            if index.count < best.count { best = index }
        }
        if let spiffeID = filter.spiffeID { consider(bySPIFFEID[spiffeID]) }
        if let parentID = filter.parentID { consider(byParent[parentID]) }
        if let selectors = filter.selectors, selectors.match == .exact || selectors.match == .superset {
            for selector in selectors.members { consider(bySelector[selector]) }
        }
        if let names = filter.federatesWith, names.match == .exact || names.match == .superset {
            for name in names.members { consider(byFederated[name]) }
        }
        return best
    }
}

extension RegistrationEntry {
    /// Whether the entry's end has come.
    package func isExpired(at time: UnixTime) -> Bool {
        guard let expiresAt else { return false }
        return expiresAt <= time
    }
}
