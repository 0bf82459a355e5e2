import Attestation
import AuditTrail
import SPIFFE
import Testing

@testable import Registry

@Suite struct EntryTests {
    private func draft(_ path: String, id entryID: String? = nil, _ selector: String = "unix:uid:1") throws
        -> EntryDraft
    {
        EntryDraft(id: entryID, spiffeID: try id(path), selectors: [try Selector(parsing: selector)])
    }

    @Test("an entry is created, shown, updated and deleted; its revision starts at 0 and grows by 1")
    func lifeCycle() async throws {
        try await TestBed.run { bed in
            let entry = try await bed.create("/web")
            #expect(entry.revision == 0)
            #expect(entry.createdAt == bed.clock.now)
            #expect(entry.id.utf8.count == 36)
            #expect(bed.registry.entry(entry.id) == entry)
            let before = bed.registry.entriesRevision
            var change = EntryDraft(spiffeID: nil)
            change.hint = "new"
            let updated = try await bed.registry.updateEntry(
                entry.id, change, mask: .hint, by: TestBed.admin, requestID: "r")
            #expect(updated.hint == "new")
            #expect(updated.spiffeID == entry.spiffeID)
            #expect(updated.revision == 1)
            #expect(bed.registry.entriesRevision == before + 1)
            try await bed.expectConsistent()
            #expect(
                try await bed.registry.deleteEntry(entry.id, by: TestBed.admin, requestID: "r") == updated)
            #expect(bed.registry.entry(entry.id) == nil)
            #expect(bed.registry.countEntries() == 0)
            try await bed.expectConsistent()
        }
    }

    @Test("an entry with the same SPIFFE ID, parent and selectors is answered with the old one")
    func similar() async throws {
        try await TestBed.run { bed in
            let entry = try await bed.create("/web", ["a:1", "b:2"])
            var other = try draft("/web")
            other.selectors = try ["b:2", "a:1", "a:1"].map { try Selector(parsing: $0) }
            other.hint = "ignored"
            let creation = try await bed.registry.createEntry(other, by: TestBed.admin, requestID: "r")
            #expect(creation == .similar(entry))
            #expect(bed.registry.countEntries() == 1)
            // Any of the three makes a difference.
            try await bed.create("/web", ["a:1"])
            try await bed.create("/web2", ["a:1", "b:2"])
            try await bed.create("/web", parent: id("/n"), ["a:1", "b:2"])
            #expect(bed.registry.countEntries() == 4)
        }
    }

    @Test("of parallel creations of one entry one creates")
    func parallelCreation() async throws {
        try await TestBed.run { bed in
            let draft = try draft("/web")
            let created = try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        if case .created = try await bed.registry.createEntry(
                            draft, by: TestBed.admin, requestID: "r")
                        {
                            return true
                        }
                        return false
                    }
                }
                return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(created == 1)
            #expect(bed.registry.countEntries() == 1)
            try await bed.expectConsistent()
        }
    }

    @Test("an entry ID is used once")
    func takenID() async throws {
        try await TestBed.run { bed in
            _ = try await bed.registry.createEntry(draft("/a", id: "x"), by: TestBed.admin, requestID: "r")
            await #expect(throws: RegistryError.entryIDTaken) {
                try await bed.registry.createEntry(draft("/b", id: "x"), by: TestBed.admin, requestID: "r")
            }
            await #expect(throws: RegistryError.invalidEntry(.badID)) {
                try await bed.registry.createEntry(draft("/b", id: ""), by: TestBed.admin, requestID: "r")
            }
        }
    }

    @Test("an update may not make two entries alike, and unknown entries are not found")
    func updateRefusals() async throws {
        try await TestBed.run { bed in
            let first = try await bed.create("/a")
            let second = try await bed.create("/b")
            let change = EntryDraft(spiffeID: try id("/a"))
            await #expect(throws: RegistryError.similarEntryExists(id: first.id)) {
                try await bed.registry.updateEntry(
                    second.id, change, mask: .spiffeID, by: TestBed.admin, requestID: "r")
            }
            await #expect(throws: RegistryError.entryNotFound) {
                try await bed.registry.updateEntry("none", change, by: TestBed.admin, requestID: "r")
            }
            await #expect(throws: RegistryError.entryNotFound) {
                try await bed.registry.deleteEntry("none", by: TestBed.admin, requestID: "r")
            }
            #expect(bed.registry.entry(second.id) == second)
        }
    }

    @Test("required parents are required")
    func requireParent() async throws {
        try await TestBed.run(options: Registry.Options(requireParent: true)) { bed in
            await #expect(throws: RegistryError.invalidEntry(.missingParentID)) {
                try await bed.registry.createEntry(draft("/a"), by: TestBed.admin, requestID: "r")
            }
        }
    }

    @Test("admin and downstream are read from entries that have not expired")
    func flags() async throws {
        try await TestBed.run { bed in
            var admin = try draft("/admin")
            admin.isAdmin = true
            admin.expiresAt = bed.clock.now + 10
            var downstream = try draft("/down")
            downstream.isDownstream = true
            for draft in [admin, downstream] {
                _ = try await bed.registry.createEntry(draft, by: TestBed.admin, requestID: "r")
            }
            #expect(try bed.registry.isAdmin(id("/admin")))
            #expect(try !bed.registry.isDownstream(id("/admin")))
            #expect(try bed.registry.isDownstream(id("/down")))
            #expect(try !bed.registry.isAdmin(id("/down")))
            #expect(try !bed.registry.isAdmin(id("/none")))
            bed.clock.advance(seconds: 10)
            #expect(try !bed.registry.isAdmin(id("/admin")))
        }
    }

    // MARK: Lists

    @Test("every filter finds what a full scan finds")
    func filters() async throws {
        try await TestBed.run { bed in
            for name in ["x.org", "y.org"] { try await bed.addBundle(name) }
            let sets: [[String]] = [["a:1"], ["a:1", "b:1"], ["a:1", "b:1", "c:1"], ["c:1"]]
            let federations: [[String]] = [[], ["x.org"], ["x.org", "y.org"]]
            for (number, selectors) in sets.enumerated() {
                for (other, names) in federations.enumerated() {
                    let draft = EntryDraft(
                        spiffeID: try id("/w\(number % 2)"), parentID: try id("/p\(other)"),
                        selectors: try selectors.map { try Selector(parsing: $0) },
                        federatesWith: try names.map { try TrustDomain($0) }, isDownstream: number == 0,
                        hint: "h\(other)")
                    _ = try await bed.registry.createEntry(draft, by: TestBed.admin, requestID: "r")
                }
            }
            let all = try bed.registry.entries().items
            #expect(all.count == 12)
            var filters: [EntryFilter] = [
                EntryFilter(spiffeID: try id("/w0")), EntryFilter(spiffeID: try id("/none")),
                EntryFilter(parentID: try id("/p1")), EntryFilter(hint: "h2"), EntryFilter(isDownstream: true),
                EntryFilter(isDownstream: false),
                EntryFilter(spiffeID: try id("/w1"), parentID: try id("/p2"), hint: "h2"),
            ]
            for match in SelectorMatch.allCases {
                for query in [["a:1"], ["a:1", "b:1"], ["b:1", "c:1"], ["z:1"], []] {
                    let selectors = Set(try query.map { try Selector(parsing: $0) })
                    filters.append(EntryFilter(selectors: SetFilter(selectors, match: match)))
                    filters.append(
                        EntryFilter(spiffeID: try id("/w1"), selectors: SetFilter(selectors, match: match)))
                }
                for query in [["x.org"], ["x.org", "y.org"], ["z.org"], []] {
                    let names = Set(try query.map { try TrustDomain($0) })
                    filters.append(EntryFilter(federatesWith: SetFilter(names, match: match)))
                }
            }
            for filter in filters {
                let expected = all.filter(filter.matches)
                #expect(try bed.registry.entries(filter).items == expected)
                #expect(bed.registry.countEntries(filter) == expected.count)
            }
        }
    }

    @Test("a selector filter answers as SPIRE's list does")
    func selectorFilter() async throws {
        try await TestBed.run { bed in
            for selectors in [["a:1"], ["a:1", "b:1"], ["a:1", "b:1", "c:1"], ["d:1"]] {
                try await bed.create("/" + selectors.joined().replacingColons(), selectors)
            }
            func found(_ match: SelectorMatch) throws -> [Int] {
                let query = Set(try ["a:1", "b:1"].map { try Selector(parsing: $0) })
                return try bed.registry.entries(EntryFilter(selectors: SetFilter(query, match: match))).items
                    .map(\.selectors.count).sorted()
            }
            #expect(try found(.exact) == [2])
            #expect(try found(.subset) == [1, 2])
            #expect(try found(.superset) == [2, 3])
            #expect(try found(.any) == [1, 2, 3])
        }
    }

    @Test("pages of 5,000 entries stay complete while entries are deleted in between")
    func paging() async throws {
        try await TestBed.run { bed in
            let total = 5000
            try await bed.fill(total)
            var seen: [String] = []
            var deletedAhead: Set<String> = []
            var token = ""
            var pages = 0
            repeat {
                let page = try bed.registry.entries(page: PageRequest(size: 123, token: token))
                #expect(page.items.count <= 123)
                seen += page.items.map(\.id)
                token = page.nextToken
                pages += 1
                // The last item of the page, so that the token's own place goes, one before it and one far ahead.
                var gone = [page.items.last, page.items.first].compactMap(\.self).map(\.id)
                let ahead = String(total - pages)
                if !seen.contains(ahead) {
                    deletedAhead.insert(ahead)
                    gone.append(ahead)
                }
                for id in Set(gone) { try await bed.registry.deleteEntry(id, by: TestBed.admin, requestID: "r") }
            } while !token.isEmpty
            #expect(Set(seen).count == seen.count)
            #expect(Set(seen).union(deletedAhead) == Set((0..<total).map(String.init)))
            #expect(Set(seen).isDisjoint(with: deletedAhead))
        }
    }

    @Test("a page has at most the greatest size, and a foreign token is refused")
    func pageRules() async throws {
        try await TestBed.run { bed in
            for number in 0..<3 { try await bed.create("/w\(number)") }
            #expect(PageRequest(size: .max).count == PageRequest.maximumSize)
            #expect(PageRequest(size: 0).count == PageRequest.maximumSize)
            #expect(PageRequest(size: -5).count == PageRequest.maximumSize)
            #expect(try bed.registry.entries(page: PageRequest(size: 3)).nextToken.isEmpty)
            #expect(try !bed.registry.entries(page: PageRequest(size: 2)).nextToken.isEmpty)
            #expect(throws: RegistryError.badPageToken) {
                try bed.registry.entries(page: PageRequest(size: 2, token: "garbage"))
            }
        }
    }

    // MARK: Expiry

    @Test("expired entries and tokens are pruned, in more than one batch")
    func pruning() async throws {
        try await TestBed.run { bed in
            try await bed.fill(1201, expiresAt: bed.clock.now + 60)
            let kept = try await bed.create("/kept")
            _ = try await bed.registry.createJoinToken(ttl: 60, by: TestBed.admin, requestID: "r")
            _ = try await bed.registry.createJoinToken(ttl: 61, by: TestBed.admin, requestID: "r")
            #expect(try await bed.registry.pruneExpired() == PruneResult(entries: 0, joinTokens: 0))
            bed.clock.advance(seconds: 60)
            let before = bed.log.size
            #expect(try await bed.registry.pruneExpired() == PruneResult(entries: 1201, joinTokens: 1))
            #expect(try bed.registry.entries().items == [kept])
            try await bed.expectConsistent()
            let events = try await bed.events(from: before)
            #expect(
                events.map(\.summary) == [
                    "entry.prune intent none -", "entry.prune outcome none occurred",
                    "entry.prune intent none -", "entry.prune outcome none occurred",
                    "entry.prune intent none -", "entry.prune outcome none occurred",
                    "token.prune single none occurred",
                ])
            #expect(
                events.compactMap { $0.json.objectValue?["counted"]?.int64Value } == [500, 500, 500, 500, 201, 201, 1])
        }
    }
}

extension String {
    fileprivate func replacingColons() -> String { String(map { $0 == ":" ? "-" : $0 }) }
}

extension TestBed {
    /// Puts entries with the IDs 0, 1, … straight into the store and loads them.
    func fill(_ count: Int, expiresAt: UnixTime? = nil) async throws {
        let anyNode = BuiltInAlias.anyNode(in: Self.trustDomain)
        let selector = try Selector(parsing: "unix:uid:1")
        let made = try (0..<count).map { number in
            EntryChange.insert(
                RegistrationEntry(
                    id: String(number), spiffeID: try id("/w\(number)"), parentID: anyNode, selectors: [selector],
                    expiresAt: expiresAt,
                    // A few entries share a moment, as they do when scripts make them.
                    createdAt: UnixTime(milliseconds: Int64(number / 5))))
        }
        try await entries.apply(made)
        try await registry.loadEntries()
    }
}
