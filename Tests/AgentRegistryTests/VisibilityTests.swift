import SPIFFE
import Testing

@testable import AgentRegistry

struct VisibilityTests {
    static let viewers: [(name: String, viewer: RegistryViewer)] = [
        ("anyone", .anyone), ("self", .agent(TestBed.id("a"))), ("entitled", .agent(TestBed.id("e"))),
        ("other", .agent(TestBed.id("b"))), ("administrator", .administrator),
    ]

    /// Who sees an agent: by its state, its visibility, and whether it is barred elsewhere.
    static let table: [(state: RegisteredAgent.State, visibility: Visibility, isBarred: Bool, seenBy: Set<String>)] = [
        (.draft, .everyone, false, ["self", "administrator"]),
        (.pending, .everyone, false, ["self", "administrator"]),
        (.active, .everyone, false, ["anyone", "self", "entitled", "other", "administrator"]),
        (.active, .entitled([TestBed.id("e")]), false, ["self", "entitled", "administrator"]),
        (.active, .nobody, false, ["self", "administrator"]),
        (.deprecated, .everyone, false, ["anyone", "self", "entitled", "other", "administrator"]),
        (.deprecated, .nobody, false, ["self", "administrator"]),
        (.revoked, .everyone, false, ["administrator"]),
        (.active, .everyone, true, ["administrator"]),
        (.active, .entitled([TestBed.id("e")]), true, ["administrator"]),
        (.pending, .everyone, true, ["administrator"]),
    ]

    @Test(arguments: table.indices)
    func `by name, in lists and in searches there is an agent for whom the table says so`(row: Int) async throws {
        let (state, visibility, isBarred, seenBy) = Self.table[row]
        try await TestBed.run { bed in
            let listing = try await bed.register(submits: state != .draft, visibility: visibility)
            if ![.draft, .pending].contains(state) {
                _ = try await bed.registry.approve("a", digest: listing.candidate.digest, by: TestBed.admin)
            }
            if state == .deprecated { _ = try await bed.registry.deprecate("a", reason: "", by: TestBed.admin) }
            if state == .revoked { _ = try await bed.registry.revoke("a", reason: "", by: TestBed.admin) }
            if isBarred { bed.outside.bar(TestBed.id("a")) }
            for (name, viewer) in Self.viewers {
                let isSeen = seenBy.contains(name)
                #expect((bed.registry.listing(named: "a", for: viewer) != nil) == isSeen, "\(name)")
                #expect(try bed.registry.list(for: viewer).items.isEmpty != isSeen, "\(name)")
                let isServed = isSeen && ![.draft, .pending, .revoked].contains(state)
                #expect(try bed.registry.search(SearchQuery(), for: viewer).items.isEmpty != isServed, "\(name)")
            }
        }
    }

    @Test func `watchers learn what changed for them, and of what they do not see not even that`() async throws {
        try await TestBed.run { bed in
            let registry = bed.registry
            let start = registry.revision
            func changes(_ viewer: RegistryViewer, since revision: Int64 = start) -> [String] {
                registry.changes(since: revision, for: viewer).items.map {
                    "\($0.name) \($0.state?.rawValue ?? "gone")"
                }
            }
            try await bed.active("a")
            try await bed.active("hidden", visibility: .nobody)
            #expect(changes(.anyone) == ["a active"])
            #expect(changes(.administrator) == ["a active", "hidden active"])
            let second = registry.revision
            _ = try await registry.deprecate("a", reason: "", by: TestBed.admin)
            #expect(changes(.anyone, since: second) == ["a deprecated"])
            _ = try await registry.setVisibility("a", .nobody, by: TestBed.admin)
            #expect(changes(.anyone, since: second) == ["a gone"])
            #expect(changes(.agent(TestBed.id("a")), since: second) == ["a deprecated"])
            let third = registry.revision
            bed.outside.bar(TestBed.id("a"))
            registry.noteBarred()
            #expect(changes(.agent(TestBed.id("a")), since: third) == ["a gone"])
            bed.outside.readmit(TestBed.id("a"))
            registry.noteBarred()
            #expect(changes(.agent(TestBed.id("a")), since: third) == ["a deprecated"])
            #expect(changes(.anyone, since: third) == [])
            #expect(registry.changes(since: start - 1, for: .anyone).mustReadAll)
            #expect(registry.changes(since: registry.revision + 1, for: .anyone).mustReadAll)
            #expect(!registry.changes(since: registry.revision, for: .anyone).mustReadAll)
        }
    }

    @Test func `what is older than the history has to be read anew`() throws {
        var history = ChangeHistory()
        for revision in 1...Int64(2 * ChangeHistory.length) {
            history.append(ChangeHistory.Change(revision: revision, before: nil, after: nil))
        }
        #expect(history.changes.count == ChangeHistory.length)
        #expect(history.start == Int64(ChangeHistory.length))
        #expect(history.changes.first?.revision == history.start + 1)
    }
}
