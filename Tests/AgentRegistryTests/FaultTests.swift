import AgentShieldTesting
import AuditTrail
import Registry
import SPIFFE
import Testing

@testable import AgentRegistry

struct FaultTests {
    struct Act: Sendable, CustomTestStringConvertible {
        let name: String
        let run: @Sendable (TestBed) async throws -> Void
        var testDescription: String { name }
    }

    static let acts: [Act] = [
        Act(name: "register an agent") { try await $0.register("new") },
        Act(name: "register a version") { try await $0.register("a", TestBed.card(version: "2")) },
        Act(name: "replace a candidate") { try await $0.register("b", TestBed.card("b", version: "2")) },
        Act(name: "take over a revoked name") { bed in
            try await bed.register("gone", TestBed.card("b", version: "3"), by: TestBed.admin)
        },
        Act(name: "approve") { bed in
            let digest = try #require(bed.registry.snapshot.listing(named: "b")?.candidate.digest)
            _ = try await bed.registry.approve("b", digest: digest, by: TestBed.admin)
        },
        Act(name: "reject") { _ = try await $0.registry.reject("b", reason: "no", by: TestBed.admin) },
        Act(name: "deprecate") { _ = try await $0.registry.deprecate("a", reason: "old", by: TestBed.admin) },
        Act(name: "revoke") { _ = try await $0.registry.revoke("a", reason: "bad", by: TestBed.admin) },
        Act(name: "set visibility") { _ = try await $0.registry.setVisibility("a", .nobody, by: TestBed.admin) },
        Act(name: "note drift") { bed in
            _ = try await bed.registry.noteCard("a", digest: String(repeating: "ab", count: 32), by: TestBed.agent("a"))
        },
    ]

    private static func prepare(_ bed: TestBed) async throws {
        try await bed.active("a")
        try await bed.register("b")
        try await bed.active("gone")
        _ = try await bed.registry.revoke("gone", reason: "", by: TestBed.admin)
    }

    private static let injected = AgentRegistryError.storage(.failed("injected"))

    @Test(arguments: acts, Fault.allCases)
    func `after a failed write the registry is what the store is, and the log says what is known`(
        act: Act, fault: Fault
    ) async throws {
        try await TestBed.run { bed in
            try await Self.prepare(bed)
            let before = bed.registry.snapshot.contents
            let (size, revision) = (bed.log.size, bed.registry.revision)
            bed.faults.arm(fault)
            await #expect(throws: Self.injected) { try await act.run(bed) }
            try await bed.expectConsistent()
            #expect((bed.registry.snapshot.contents == before) == (fault == .before))
            // Who watches learns what has happened, and nothing of what has not.
            #expect((bed.registry.revision == revision) == (fault == .before))
            let events = try await bed.events(from: size)
            #expect(events.count == 2)
            #expect(events.last?.hasSuffix("storage \(fault == .before ? "none" : "occurred")") ?? false)
        }
    }

    @Test(arguments: acts)
    func `after a failed write the act can be done again`(act: Act) async throws {
        try await TestBed.run { bed in
            try await Self.prepare(bed)
            bed.faults.arm(.before)
            await #expect(throws: Self.injected) { try await act.run(bed) }
            let before = bed.registry.snapshot.contents
            try await act.run(bed)
            #expect(bed.registry.snapshot.contents != before)
            try await bed.expectConsistent()
        }
    }

    @Test(arguments: acts)
    func `without a recorded intent nothing is written`(act: Act) async throws {
        try await TestBed.run { bed in
            try await Self.prepare(bed)
            let writes = bed.faults.writeCount
            let before = bed.registry.snapshot.contents
            bed.auditFaults.arm(.before)
            await #expect { try await act.run(bed) } throws: { error in
                if case .audit = error as? AgentRegistryError { true } else { false }
            }
            #expect(bed.faults.writeCount == writes && bed.registry.snapshot.contents == before)
            try await bed.expectConsistent()
        }
    }

    @Test func `when the store cannot even be read after a failed write, the next write reads everything first`()
        async throws
    {
        try await TestBed.run { bed in
            try await bed.active("a")
            bed.faults.arm(.afterPersisting)
            bed.faults.armRead()
            await #expect(throws: Self.injected) { try await bed.register("hidden") }
            #expect(bed.registry.snapshot.listing(named: "hidden") == nil)
            #expect(try await bed.events().last?.hasSuffix("unknown") ?? false)
            bed.faults.armRead()
            await #expect(throws: Self.injected) { try await bed.register("other") }
            // The hidden agent is there already: nothing is written a second time.
            let size = bed.log.size
            try await bed.register("hidden")
            #expect(bed.log.size == size)
            #expect(bed.registry.snapshot.count == 2)
            try await bed.expectConsistent()
        }
    }

    @Test func `a registry whose store cannot be read does not open`() async throws {
        try await TestBed.run { bed in
            let plan = FaultPlan()
            plan.armRead()
            await #expect(throws: Self.injected) { _ = try await bed.reopened(failing: plan) }
        }
    }

    @Test func `a stored card that is not what was registered keeps the registry from opening`() async throws {
        try await TestBed.run { bed in
            let listing = try await bed.active("a")
            let digest = try #require(listing.agent.served?.digest)
            let forged = TestBed.card(description: "forged").jsonBytes
            for change in [
                AgentRegistryChange.putCard(agentID: listing.agent.id, digest: digest, bytes: forged),
                .deleteCard(agentID: listing.agent.id, digest: digest),
            ] {
                try await bed.stored.apply([change])
                await #expect {
                    _ = try await bed.reopened()
                } throws: { error in
                    if case .storage(.failed) = error as? AgentRegistryError { true } else { false }
                }
            }
        }
    }
}
