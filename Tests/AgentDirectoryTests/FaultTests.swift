import AgentShieldTesting
import AuditTrail
import OAuth
import Registry
import SPIFFE
import Testing

@testable import AgentDirectory

struct FaultTests {
    struct Act: Sendable, CustomTestStringConvertible {
        let name: String
        let run: @Sendable (TestBed) async throws -> Void
        var testDescription: String { name }
    }

    private static func agent(_ bed: TestBed) throws -> AgentIdentity { try #require(bed.snapshot.agent(named: "a")) }

    static let acts: [Act] = [
        Act(name: "create blueprint") { try await $0.blueprint("new") },
        Act(name: "update blueprint") { bed in
            var changes = BlueprintChanges()
            changes.description = "new"
            let id = try #require(bed.snapshot.blueprint(named: "template")).id
            _ = try await bed.directory.updateBlueprint(id, changes, by: TestBed.admin)
        },
        Act(name: "delete blueprint") { bed in
            let id = try #require(bed.snapshot.blueprint(named: "unused")).id
            try await bed.directory.deleteBlueprint(id, by: TestBed.admin)
        },
        Act(name: "create agent") { try await $0.agent("new") },
        Act(name: "update agent") { bed in
            var changes = AgentChanges()
            changes.name = try AgentName("renamed")
            _ = try await bed.directory.updateAgent(agent(bed).id, changes, by: TestBed.admin)
        },
        Act(name: "disable agent") { bed in
            _ = try await bed.directory.disableAgent(agent(bed).id, by: TestBed.admin)
        },
        Act(name: "retire agent") { bed in _ = try await bed.directory.retireAgent(agent(bed).id, by: TestBed.admin) },
        Act(name: "add federated credential") { bed in
            try await bed.directory.addFederatedCredential(
                TestBed.federated("new", subject: "new"), toAgent: agent(bed).id, by: TestBed.admin)
        },
        Act(name: "delete federated credential") { bed in
            try await bed.directory.deleteFederatedCredential(named: "fic", ofAgent: agent(bed).id, by: TestBed.admin)
        },
        Act(name: "add secret") { bed in
            _ = try await bed.directory.addClientSecret(toAgent: agent(bed).id, expiresAt: nil, by: TestBed.admin)
        },
        Act(name: "delete secret") { bed in
            try await bed.directory.deleteClientCredential(
                agent(bed).clientCredentials[0].id, ofAgent: agent(bed).id, by: TestBed.admin)
        },
        Act(name: "create resource") { try await $0.resource("api://new") },
        Act(name: "update resource") { bed in
            var changes = ResourceChanges()
            changes.tokenLifetime = 61
            _ = try await bed.directory.updateResource("api://b", changes, by: TestBed.admin)
        },
        Act(name: "delete resource") { try await $0.directory.deleteResource("api://unused", by: TestBed.admin) },
        Act(name: "create grant") { bed in try await bed.grant(agent(bed), scopes: "write") },
        Act(name: "delete grant") { bed in
            let grant = try #require(bed.snapshot.grants(ofAgent: agent(bed).id).first { $0.expiresAt == nil })
            try await bed.directory.deleteGrant(grant.id, by: TestBed.admin)
        },
        Act(name: "prune grants") { bed in
            bed.clock.advance(seconds: 60)
            try await bed.directory.pruneGrants()
        },
    ]

    private static func prepare(_ bed: TestBed) async throws {
        let template = try await bed.blueprint()
        try await bed.blueprint("unused")
        try await bed.resource()
        try await bed.resource("api://unused")
        let agent = try await bed.agent("a", blueprint: template)
        try await bed.directory.addFederatedCredential(TestBed.federated(), toAgent: agent.id, by: TestBed.admin)
        _ = try await bed.directory.addClientSecret(toAgent: agent.id, expiresAt: nil, by: TestBed.admin)
        try await bed.grant(agent)
        try await bed.grant(agent, expiresAt: bed.clock.time + 60)
    }

    private static let injected = DirectoryError.storage(.failed("injected"))

    @Test(arguments: acts, Fault.allCases)
    func `after a failed write the directory is what the store is, and the log says what is known`(
        act: Act, fault: Fault
    ) async throws {
        try await TestBed.run { bed in
            try await Self.prepare(bed)
            let before = bed.snapshot.contents
            let size = bed.log.size
            bed.faults.arm(fault)
            await #expect(throws: Self.injected) { try await act.run(bed) }
            try await bed.expectConsistent()
            #expect((bed.snapshot.contents == before) == (fault == .before))
            let events = try await bed.events(from: size)
            #expect(events.map(\.phase) == ["intent", "outcome"])
            #expect(events.last?.observed == (fault == .before ? "none" : "occurred"))
            #expect(events.last?.reason == "storage")
        }
    }

    @Test(arguments: acts)
    func `after a failed write the act can be done again`(act: Act) async throws {
        try await TestBed.run { bed in
            try await Self.prepare(bed)
            bed.faults.arm(.before)
            await #expect(throws: Self.injected) { try await act.run(bed) }
            let before = bed.snapshot.contents
            try await act.run(bed)
            #expect(bed.snapshot.contents != before)
            try await bed.expectConsistent()
        }
    }

    @Test(arguments: acts)
    func `without a recorded intent nothing is written`(act: Act) async throws {
        try await TestBed.run { bed in
            try await Self.prepare(bed)
            let writes = bed.faults.writeCount
            let before = bed.snapshot.contents
            bed.auditFaults.arm(.before)
            await #expect { try await act.run(bed) } throws: { error in
                if case .audit = error as? DirectoryError { true } else { false }
            }
            #expect(bed.faults.writeCount == writes && bed.snapshot.contents == before)
            try await bed.expectConsistent()
        }
    }

    @Test func `when the store cannot even be read after a failed write, the next write reads everything first`()
        async throws
    {
        try await TestBed.run { bed in
            try await bed.agent("kept")
            bed.faults.arm(.afterPersisting)
            bed.faults.armRead()
            await #expect(throws: Self.injected) { try await bed.agent("hidden") }
            #expect(bed.snapshot.agent(named: "hidden") == nil)
            let last = try #require(try await bed.events().last)
            #expect(last.observed == "unknown")
            bed.faults.armRead()
            await #expect(throws: Self.injected) { try await bed.agent("other") }
            // The hidden agent is there already: the directory finds that out before it writes.
            await #expect(throws: DirectoryError.nameTaken) { try await bed.agent("hidden") }
            #expect(bed.snapshot.agentCount == 2)
            try await bed.expectConsistent()
        }
    }

    @Test func `a directory whose store cannot be read does not open`() async throws {
        try await TestBed.run { bed in
            let plan = FaultPlan()
            plan.armRead()
            await #expect(throws: Self.injected) {
                _ = try await AgentDirectory.open(
                    trustDomain: TestBed.trustDomain, store: FaultyDirectoryStore(bed.stored, plan: plan),
                    audit: bed.log, now: { UnixTime(seconds: 0) }, randomBytes: TestBed.randomBytes)
            }
        }
    }
}
