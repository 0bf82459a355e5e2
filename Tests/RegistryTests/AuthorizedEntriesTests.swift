import Attestation
import SPIFFE
import Testing

@testable import Registry

@Suite struct AuthorizedEntriesTests {
    /// What the node may serve; both ways of asking must agree for every entry there is.
    private func authorized(_ bed: TestBed, _ name: String) throws -> Set<String> {
        let id = try node(name)
        let entries = bed.registry.authorizedEntries(for: id)
        #expect(Set(entries.map(\.id)).count == entries.count)
        for entry in try bed.registry.entries().items {
            #expect(bed.registry.authorizedEntry(entry.id, for: id) == (entries.contains(entry) ? entry : nil))
        }
        return Set(entries.map(\.spiffeID.path))
    }

    @Test("a node serves its own entries and those of every node, never another node's")
    func ownAndAny() async throws {
        try await TestBed.run { bed in
            for name in ["a", "b"] { try await bed.register(name) }
            try await bed.create("/of-a", parent: node("a"))
            try await bed.create("/of-b", parent: node("b"))
            try await bed.create("/of-any")
            try await bed.create("/of-nobody", parent: id("/unrelated"))
            #expect(try authorized(bed, "a") == ["/of-a", "/of-any"])
            #expect(try authorized(bed, "b") == ["/of-b", "/of-any"])
            #expect(try authorized(bed, "unknown").isEmpty)
        }
    }

    @Test("an alias stands for the nodes that have all its selectors; the alias itself is not served")
    func aliases() async throws {
        try await TestBed.run { bed in
            try await bed.register("a", selectors: ["x:1", "x:2"])
            try await bed.register("b", selectors: ["x:1"])
            try await bed.register("c")
            let server = try id("/spire/server")
            try await bed.create("/both", parent: server, ["x:1", "x:2"])
            try await bed.create("/one", parent: server, ["x:1"])
            try await bed.create("/under-both", parent: id("/both"))
            try await bed.create("/under-one", parent: id("/one"))
            #expect(try authorized(bed, "a") == ["/under-both", "/under-one"])
            #expect(try authorized(bed, "b") == ["/under-one"])
            #expect(try authorized(bed, "c").isEmpty)
        }
    }

    @Test("descendants are served through any number of steps")
    func chains() async throws {
        try await TestBed.run { bed in
            try await bed.register("a", selectors: ["x:1"])
            try await bed.register("b")
            try await bed.create("/alias", parent: id("/spire/server"), ["x:1"])
            try await bed.create("/1", parent: id("/alias"))
            for number in 2...30 { try await bed.create("/\(number)", parent: id("/\(number - 1)")) }
            #expect(try authorized(bed, "a") == Set((1...30).map { "/\($0)" }))
            #expect(try authorized(bed, "b").isEmpty)
            // Cutting the chain cuts what hangs on it.
            let middle = try bed.registry.entries(EntryFilter(spiffeID: id("/10"))).items
            try await bed.registry.deleteEntry(middle[0].id, by: TestBed.admin, requestID: "r")
            #expect(try authorized(bed, "a") == Set((1...9).map { "/\($0)" }))
        }
    }

    @Test("cycles end")
    func cycles() async throws {
        try await TestBed.run { bed in
            try await bed.register("a")
            try await bed.create("/self", parent: id("/self"))
            try await bed.create("/x", parent: id("/y"))
            try await bed.create("/y", parent: id("/x"))
            #expect(try authorized(bed, "a").isEmpty)
            try await bed.create("/x", parent: node("a"), ["unix:uid:2"])
            #expect(try authorized(bed, "a") == ["/x", "/y"])
            #expect(bed.registry.authorizedEntries(for: try node("a")).count == 3)
        }
    }

    @Test("expired entries are not served and lead nowhere")
    func expiry() async throws {
        try await TestBed.run { bed in
            try await bed.register("a", selectors: ["x:1"])
            let soon = bed.clock.now + 10
            try await bed.create("/alias", parent: id("/spire/server"), ["x:1"], expiresAt: soon)
            try await bed.create("/under-alias", parent: id("/alias"))
            try await bed.create("/child", parent: node("a"), expiresAt: soon)
            try await bed.create("/grandchild", parent: id("/child"))
            #expect(try authorized(bed, "a") == ["/under-alias", "/child", "/grandchild"])
            bed.clock.advance(seconds: 10)
            #expect(try authorized(bed, "a").isEmpty)
        }
    }

    @Test("a banned node serves nothing")
    func banned() async throws {
        try await TestBed.run { bed in
            try await bed.register("a")
            try await bed.create("/any")
            #expect(try authorized(bed, "a") == ["/any"])
            try await bed.registry.banNode(node("a"), by: TestBed.admin, requestID: "r")
            #expect(try authorized(bed, "a").isEmpty)
        }
    }

    @Test("a token's alias is the parent of others, and only for its own node")
    func tokenAlias() async throws {
        try await TestBed.run { bed in
            let token = try await bed.registry.createJoinToken(
                nodeAlias: id("/fleet"), by: TestBed.admin, requestID: "r")
            try await bed.register(token.value)
            try await bed.register("other")
            try await bed.create("/web", parent: id("/fleet"))
            #expect(try authorized(bed, token.value) == ["/fleet", "/web"])
            #expect(try authorized(bed, "other").isEmpty)
        }
    }

    @Test("the indexes answer like a search through everything, after any changes")
    func model() async throws {
        try await TestBed.run { bed in
            var generator = SplitMix(state: 3)
            for (name, selectors) in [("a", ["s:0"]), ("b", ["s:0", "s:1"]), ("c", ["s:1", "s:2", "s:3"])] {
                try await bed.register(name, selectors: selectors)
            }
            let parents =
                try ["a", "b", "c"].map(node) + (0..<8).map { try id("/w\($0)") }
                + [id("/spire/server"), id("/spire/server"), id("/agentshield/any-node")]
            var snapshot = EntrySnapshot(trustDomain: TestBed.trustDomain)
            var entries: [String: RegistrationEntry] = [:]
            for step in 0..<1500 {
                let key = String(Int.random(in: 0..<40, using: &generator))
                if Int.random(in: 0..<4, using: &generator) == 0 {
                    snapshot.remove(key)
                    entries[key] = nil
                } else {
                    let first = Int.random(in: 0..<4, using: &generator)
                    let second = Int.random(in: 0..<4, using: &generator)
                    let selectors = Set([first, second]).sorted()
                    let entry = RegistrationEntry(
                        id: key, spiffeID: try id("/w\(Int.random(in: 0..<8, using: &generator))"),
                        parentID: try #require(parents.randomElement(using: &generator)),
                        selectors: try selectors.map { try Selector(parsing: "s:\($0)") },
                        createdAt: UnixTime(milliseconds: Int64(key) ?? 0))
                    snapshot.put(entry)
                    entries[key] = entry
                }
                guard step % 10 == 0 else { continue }
                for name in ["a", "b", "c"] {
                    let record = try #require(bed.registry.node(node(name)))
                    let found = snapshot.authorized(for: record.id, selectors: record.selectors, at: bed.clock.now)
                    #expect(Set(found) == (try reference(Array(entries.values), record)), "step \(step)")
                    #expect(found.count == Set(found).count)
                }
            }
        }
    }

    /// The definition, by brute force.
    private func reference(_ entries: [RegistrationEntry], _ record: NodeRecord) throws -> Set<RegistrationEntry> {
        let server = try id("/spire/server")
        var parents: Set<SPIFFEID> = [record.id, try id("/agentshield/any-node")]
        for alias in entries where alias.parentID == server && Set(alias.selectors).isSubset(of: record.selectors) {
            parents.insert(alias.spiffeID)
        }
        var found: Set<RegistrationEntry> = []
        while true {
            let more = entries.filter { parents.contains($0.parentID) && !found.contains($0) }
            guard !more.isEmpty else { return found }
            found.formUnion(more)
            parents.formUnion(more.map(\.spiffeID))
        }
    }
}
