import Attestation
import AuditTrail
import SPIFFE
import Testing

@testable import Registry

@Suite struct FaultTests {
    struct Act: CustomTestStringConvertible {
        let name: String
        let table: @Sendable (TestBed, Fault) -> Void
        let prepare: @Sendable (TestBed) async throws -> Void
        let run: @Sendable (TestBed) async throws -> Void
        var testDescription: String { name }
    }

    private static func entryAct(
        _ name: String, prepare: @escaping @Sendable (TestBed) async throws -> Void = { _ in },
        _ run: @escaping @Sendable (TestBed) async throws -> Void
    ) -> Act {
        Act(name: name, table: { $0.entries.table.failNextWrite($1) }, prepare: prepare, run: run)
    }

    private static func nodeAct(
        _ name: String, prepare: @escaping @Sendable (TestBed) async throws -> Void = { _ in },
        _ run: @escaping @Sendable (TestBed) async throws -> Void
    ) -> Act {
        Act(name: name, table: { $0.nodes.table.failNextWrite($1) }, prepare: prepare, run: run)
    }

    private static let makeEntry: @Sendable (TestBed) async throws -> Void = { bed in
        let draft = EntryDraft(
            id: "e", spiffeID: try id("/web"), selectors: [try Selector(parsing: "a:1")],
            federatesWith: bed.registry.federatedBundle(try TrustDomain("x.org")).map { [$0.trustDomain] } ?? [],
            expiresAt: bed.clock.now + 5)
        _ = try await bed.registry.createEntry(draft, by: TestBed.admin, requestID: "r")
    }

    private static let makeNode: @Sendable (TestBed) async throws -> Void = { try await $0.register("n", ttl: 5) }

    private static let makeFederatedEntry: @Sendable (TestBed) async throws -> Void = { bed in
        try await bed.addBundle("x.org")
        try await makeEntry(bed)
    }

    static let acts: [Act] = [
        entryAct("create entry", makeEntry),
        entryAct("create entries") { bed in
            let drafts = try ["/one", "/two"].map {
                EntryDraft(spiffeID: try id($0), selectors: [try Selector(parsing: "a:1")])
            }
            let answers = await bed.registry.createEntries(drafts, by: TestBed.admin, requestID: "r")
            for answer in answers { _ = try answer.get() }
        },
        entryAct("update entry", prepare: makeEntry) { bed in
            let draft = EntryDraft(spiffeID: nil, hint: "new")
            _ = try await bed.registry.updateEntry("e", draft, mask: .hint, by: TestBed.admin, requestID: "r")
        },
        entryAct("delete entry", prepare: makeEntry) {
            try await $0.registry.deleteEntry("e", by: TestBed.admin, requestID: "r")
        },
        entryAct("prune", prepare: makeEntry) { bed in
            bed.clock.advance(seconds: 5)
            try await bed.registry.pruneExpired()
        },
        entryAct("dissociate", prepare: makeFederatedEntry) {
            try await $0.registry.deleteFederatedBundle(
                TrustDomain("x.org"), .dissociate, by: TestBed.admin, requestID: "r")
        },
        nodeAct("register", makeNode),
        nodeAct("renew", prepare: makeNode) {
            try await $0.registry.renewNode(
                node("n"), serial: SerialNumber([2]), expiresAt: $0.clock.now + 9, by: TestBed.admin, requestID: "r")
        },
        nodeAct("status", prepare: makeNode) {
            try await $0.registry.postStatus(node("n"), agentVersion: "1", by: TestBed.admin, requestID: "r")
        },
        nodeAct("ban", prepare: makeNode) {
            try await $0.registry.banNode(node("n"), by: TestBed.admin, requestID: "r")
        },
        nodeAct("evict", prepare: makeNode) {
            try await $0.registry.evictNode(node("n"), by: TestBed.admin, requestID: "r")
        },
        nodeAct("purge", prepare: makeNode) {
            _ = try await $0.registry.purgeNodes(
                expiredBefore: $0.clock.now + 6, by: TestBed.admin, requestID: "r")
        },
        Act(
            name: "set bundle", table: { $0.bundles.table.failNextWrite($1) }, prepare: { _ in },
            run: { try await $0.addBundle("x.org") }),
        Act(
            name: "delete bundle", table: { $0.bundles.table.failNextWrite($1) },
            prepare: { try await $0.addBundle("x.org") },
            run: {
                try await $0.registry.deleteFederatedBundle(
                    TrustDomain("x.org"), .restrict, by: TestBed.admin, requestID: "r")
            }),
        Act(
            name: "create relationship", table: { $0.relationships.table.failNextWrite($1) }, prepare: { _ in },
            run: { try await $0.addRelationship("x.org") }),
        Act(
            name: "update relationship", table: { $0.relationships.table.failNextWrite($1) },
            prepare: { try await $0.addRelationship("x.org") },
            run: { try await $0.addRelationship("x.org", .update, url: "https://other.example/") }),
        Act(
            name: "delete relationship", table: { $0.relationships.table.failNextWrite($1) },
            prepare: { try await $0.addRelationship("x.org") },
            run: {
                try await $0.registry.deleteFederationRelationship(
                    TrustDomain("x.org"), by: TestBed.admin, requestID: "r")
            }),
    ]

    private func expected(_ fault: Fault) -> RegistryError {
        .storage(fault == .failed ? .failed("write") : .storageFull)
    }

    @Test(
        "after a failed write the registry is what the store is, and the log says what is known", arguments: acts,
        Fault.allCases)
    func faults(act: Act, fault: Fault) async throws {
        try await TestBed.run { bed in
            try await act.prepare(bed)
            let entries = bed.entries.table.records
            let nodes = bed.nodes.table.records
            let bundles = bed.bundles.table.records
            let relationships = bed.relationships.table.records
            let size = bed.log.size
            act.table(bed, fault)
            await #expect(throws: expected(fault)) { try await act.run(bed) }
            try await bed.expectConsistent()
            let isUnchanged =
                bed.entries.table.records == entries && bed.nodes.table.records == nodes
                && bed.bundles.table.records == bundles && bed.relationships.table.records == relationships
            #expect(isUnchanged == (fault == .failed))
            let events = try await bed.events(from: size)
            let intents = events.prefix(events.count / 2)
            let outcomes = events.suffix(events.count / 2)
            #expect(!intents.isEmpty && events.count == intents.count + outcomes.count)
            #expect(intents.allSatisfy { $0.phase == "intent" })
            #expect(outcomes.allSatisfy { $0.phase == "outcome" })
            #expect(outcomes.map(\.intentID) == intents.map(\.id))
            #expect(outcomes.allSatisfy { $0.observed == (fault == .failed ? "none" : "occurred") })
            #expect(outcomes.allSatisfy { $0.reason == "storage" })
        }
    }

    @Test("after a failed write the act can be done again", arguments: acts)
    func again(act: Act) async throws {
        try await TestBed.run { bed in
            try await act.prepare(bed)
            act.table(bed, .failed)
            await #expect(throws: expected(.failed)) { try await act.run(bed) }
            try await act.run(bed)
            try await bed.expectConsistent()
        }
    }

    @Test("when the store cannot even be read after a failed write, the next write reads everything first")
    func unreadable() async throws {
        try await TestBed.run { bed in
            let kept = try await bed.create("/kept")
            bed.entries.table.failNextWrite(.failedButPersisted)
            bed.entries.table.breakReads(true)
            await #expect(throws: RegistryError.storage(.storageFull)) { try await bed.create("/hidden") }
            #expect(try bed.registry.entries().items == [kept])
            await #expect(throws: RegistryError.storage(.failed("read"))) { try await bed.create("/other") }
            bed.entries.table.breakReads(false)
            // The hidden entry is there already: the registry finds that out before it writes.
            await #expect(throws: Unexpected.self) { try await bed.create("/hidden") }
            #expect(bed.registry.countEntries() == 2)
            try await bed.expectConsistent()
            let last = try #require(try await bed.events().last)
            #expect(last.reason == "similar_entry_exists")
        }
    }

    @Test("without a recorded intent nothing is written", arguments: acts)
    func noIntent(act: Act) async throws {
        try await TestBed.run { bed in
            try await act.prepare(bed)
            let writes = bed.writes
            bed.auditStore.setFull(true)
            await #expect(throws: RegistryError.audit(.storageFull)) { try await act.run(bed) }
            #expect(bed.writes == writes)
            bed.auditStore.setFull(false)
            try await bed.expectConsistent()
        }
    }

    @Test("a registry whose stores cannot be read does not open")
    func open() async throws {
        try await TestBed.run { bed in
            bed.nodes.table.breakReads(true)
            await #expect(throws: RegistryError.storage(.failed("read"))) { try await bed.reopened() }
        }
    }
}
