import AgentShieldTesting
import AuditTrail
import JOSE
import OAuth
import SPIFFE
import Testing

@testable import AgentDirectory

struct LifeTests {
    @Test func `an agent is created, changed, disabled, enabled and retired, and the log tells all of it`() async throws
    {
        try await TestBed.run { bed in
            let template = try await bed.blueprint()
            let size = bed.log.size
            let agent = try await bed.agent("a", blueprint: template)
            #expect(agent.state == .enabled && agent.createdAt == bed.clock.time)
            #expect(bed.snapshot.agent(named: "a") == agent)
            #expect(bed.snapshot.agent(withSPIFFEID: agent.spiffeID) == agent)
            var changes = AgentChanges()
            changes.name = try AgentName("b")
            changes.owner = try Person("new owner")
            changes.end = .at(bed.clock.time + 60)
            let renamed = try await bed.directory.updateAgent(agent.id, changes, by: TestBed.admin)
            #expect(renamed.name.text == "b" && renamed.owner.name == "new owner")
            #expect(renamed.expiresAt == bed.clock.time + 60 && renamed.spiffeID == agent.spiffeID)
            #expect(bed.snapshot.agent(named: "a") == nil && bed.snapshot.agent(named: "b") == renamed)
            changes.end = .never
            #expect(try await bed.directory.updateAgent(agent.id, changes, by: TestBed.admin).expiresAt == nil)
            #expect(try await bed.directory.disableAgent(agent.id, reason: "odd", by: TestBed.admin).state == .disabled)
            #expect(bed.snapshot.agent(named: "b")?.state == .disabled)
            #expect(try await bed.directory.enableAgent(agent.id, by: TestBed.admin).state == .enabled)
            #expect(try await bed.directory.retireAgent(agent.id, by: TestBed.admin).state == .retired)
            let events = try await bed.events(from: size)
            #expect(
                events.filter { $0.phase == "outcome" }.map(\.type) == [
                    "identity.create", "identity.update", "identity.update", "identity.disable", "identity.enable",
                    "identity.retire",
                ])
            #expect(events.allSatisfy { $0.text("resource", "id") == agent.id && $0.result == "permit" })
            #expect(events.filter { $0.phase == "outcome" }.allSatisfy { $0.observed == "occurred" })
            let disabling = try #require(events.first { $0.type == "identity.disable" })
            #expect(disabling.text("remediation", "cause") == "odd")
            try await bed.expectConsistent()
        }
    }

    @Test func `retiring takes grants and credentials, frees name and identity, and keeps the record`() async throws {
        try await TestBed.run { bed in
            try await bed.resource()
            let agent = try await bed.agent()
            let other = try await bed.agent("other")
            try await bed.grant(agent)
            try await bed.grant(agent, scopes: "write")
            let kept = try await bed.grant(other)
            try await bed.directory.addFederatedCredential(TestBed.federated(), toAgent: agent.id, by: TestBed.admin)
            _ = try await bed.directory.addClientSecret(toAgent: agent.id, expiresAt: nil, by: TestBed.admin)
            let retired = try await bed.directory.retireAgent(agent.id, by: TestBed.admin)
            #expect(retired.federatedCredentials.isEmpty && retired.clientCredentials.isEmpty)
            #expect(bed.snapshot.agent(agent.id) == retired)
            #expect(bed.snapshot.agent(named: "a") == nil && bed.snapshot.agent(withSPIFFEID: agent.spiffeID) == nil)
            #expect(Array(bed.snapshot.allGrants) == [kept])
            #expect(bed.snapshot.grants(ofAgent: agent.id).isEmpty)
            let next = try await bed.agent()
            #expect(next.id != agent.id && bed.snapshot.agent(named: "a") == next)
            #expect(bed.snapshot.agent(calledBy: agent.id) == retired)
            try await bed.expectConsistent()
            // Once more is no act.
            let size = bed.log.size
            await #expect(throws: DirectoryError.agentRetired) {
                _ = try await bed.directory.retireAgent(agent.id, by: TestBed.admin)
            }
            #expect(bed.log.size == size + 1)
        }
    }

    @Test func `what changes nothing is neither stored nor recorded`() async throws {
        try await TestBed.run { bed in
            let template = try await bed.blueprint()
            let agent = try await bed.agent()
            let resource = try await bed.resource()
            let size = bed.log.size
            let writes = bed.faults.writeCount
            _ = try await bed.directory.enableAgent(agent.id, by: TestBed.admin)
            _ = try await bed.directory.updateAgent(agent.id, AgentChanges(), by: TestBed.admin)
            _ = try await bed.directory.updateBlueprint(template.id, BlueprintChanges(), by: TestBed.admin)
            _ = try await bed.directory.updateResource(resource.id, ResourceChanges(), by: TestBed.admin)
            try await bed.directory.pruneGrants()
            #expect(bed.log.size == size && bed.faults.writeCount == writes)
        }
    }

    @Test func `a secret is shown once and is nowhere afterwards`() async throws {
        try await TestBed.run { bed in
            let agent = try await bed.agent()
            let made = try await bed.directory.addClientSecret(
                toAgent: agent.id, expiresAt: bed.clock.time + 60, by: TestBed.admin)
            #expect(try Base64URL.decode(made.secret.text).count == 32)
            #expect(made.credential.kind == .clientSecret && made.credential.expiresAt == bed.clock.time + 60)
            guard case .secret(let digest) = try #require(bed.snapshot.agent(agent.id)).clientCredentials[0].proof
            else {
                Issue.record("not a secret")
                return
            }
            #expect(made.secret.matches(digest: digest))
            let again = try await bed.directory.addClientSecret(toAgent: agent.id, expiresAt: nil, by: TestBed.admin)
            #expect(again.secret.text != made.secret.text)
            let texts = try await bed.events().map { String(decoding: $0.bytes, as: UTF8.self) }
            for hidden in [made.secret.text, Base64URL.encode(digest)] {
                #expect(!texts.contains { $0.contains(hidden) })
            }
            try await bed.directory.deleteClientCredential(
                made.credential.id, ofAgent: agent.id, by: TestBed.admin)
            #expect(try #require(bed.snapshot.agent(agent.id)).clientCredentials == [again.credential])
        }
    }

    @Test func `ended grants are pruned in one act`() async throws {
        try await TestBed.run { bed in
            try await bed.resource()
            let agent = try await bed.agent()
            let standing = try await bed.grant(agent)
            try await bed.grant(agent, expiresAt: bed.clock.time + 10)
            try await bed.grant(agent, expiresAt: bed.clock.time + 11)
            let late = try await bed.grant(agent, expiresAt: bed.clock.time + 12)
            bed.clock.advance(seconds: 11)
            let size = bed.log.size
            try await bed.directory.pruneGrants()
            #expect(Set(bed.snapshot.grants(ofAgent: agent.id).map(\.id)) == [standing.id, late.id])
            #expect(try await bed.events(from: size).map(\.type) == ["grant.prune", "grant.prune"])
            try await bed.expectConsistent()
        }
    }

    @Test func `blueprints, resources and grants are changed and deleted`() async throws {
        try await TestBed.run { bed in
            let template = try await bed.blueprint()
            var changes = BlueprintChanges()
            changes.name = try AgentName("renamed")
            changes.description = "d"
            changes.allowedScopes = try Scope("x")
            changes.allowedAudiences = []
            changes.credentialKinds = [.clientSecret]
            changes.maximumTokenLifetime = 100
            changes.maximumActorDepth = 2
            changes.sponsor = try Person("p")
            changes.isEnabled = false
            let agent = try await bed.agent()
            changes.operation = .by(agentID: agent.id)
            let changed = try await bed.directory.updateBlueprint(template.id, changes, by: TestBed.admin)
            #expect(
                changed
                    == AgentBlueprint(
                        id: template.id, name: try AgentName("renamed"), description: "d",
                        allowedScopes: try Scope("x"), allowedAudiences: [], credentialKinds: [.clientSecret],
                        maximumTokenLifetime: 100, maximumActorDepth: 2, sponsor: try Person("p"), isEnabled: false,
                        operatorID: agent.id, createdAt: template.createdAt))
            #expect(bed.snapshot.blueprint(named: "template") == nil)
            let resource = try await bed.resource()
            var other = ResourceChanges()
            other.description = "r"
            other.scopes = try Scope("y")
            other.profile = .entra
            other.tokenLifetime = 60
            other.binding = .required
            other.agent = .agent(id: agent.id)
            let updated = try await bed.directory.updateResource(resource.id, other, by: TestBed.admin)
            #expect(
                updated
                    == ProtectedResource(
                        id: "api://b", description: "r", scopes: try Scope("y"), profile: .entra, tokenLifetime: 60,
                        binding: .required, agentID: agent.id, createdAt: resource.createdAt))
            let grant = try await bed.grant(agent, scopes: "y")
            try await bed.directory.deleteGrant(grant.id, by: TestBed.admin)
            try await bed.directory.deleteResource(resource.id, by: TestBed.admin)
            try await bed.directory.deleteBlueprint(template.id, by: TestBed.admin)
            #expect(bed.snapshot.contents == [.agent(agent)])
            try await bed.expectConsistent()
        }
    }

    @Test func `everybody who watches learns who was barred, also one who comes later`() async throws {
        try await TestBed.run { bed in
            let (a, b, c) = (try await bed.agent("a"), try await bed.agent("b"), try await bed.agent("c"))
            var stream = bed.directory.changes().makeAsyncIterator()
            let first = try #require(await stream.next())
            #expect(first.agentsBarred(since: DirectorySnapshot()).isEmpty)
            _ = try await bed.directory.disableAgent(a.id, by: TestBed.admin)
            _ = try await bed.directory.retireAgent(b.id, by: TestBed.admin)
            // Nobody looked in between: the latest state tells of both.
            let second = try #require(await stream.next())
            #expect(Set(second.agentsBarred(since: first).map(\.id)) == [a.id, b.id])
            _ = try await bed.directory.enableAgent(a.id, by: TestBed.admin)
            _ = try await bed.directory.disableAgent(c.id, by: TestBed.admin)
            let third = try #require(await stream.next())
            #expect(third.agentsBarred(since: second).map(\.id) == [c.id])
            #expect(third.agentsEnabled(since: second).map(\.id) == [a.id])
            // Of one who is retired more is taken than of one who is disabled.
            _ = try await bed.directory.retireAgent(c.id, by: TestBed.admin)
            let fourth = try #require(await stream.next())
            #expect(fourth.agentsBarred(since: third).map(\.id) == [c.id])
            #expect(fourth.agentsEnabled(since: third).isEmpty)
            #expect(fourth.hasRetired(c.spiffeID) && !fourth.hasRetired(a.spiffeID))
            let fresh = try await bed.reopened()
            #expect(Set(fresh.snapshot.agentsBarred(since: DirectorySnapshot()).map(\.id)) == [b.id, c.id])
            #expect(fresh.snapshot.hasRetired(b.spiffeID))
        }
    }

    @Test func `parallel writes all happen, one after the other`() async throws {
        try await TestBed.run { bed in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<40 {
                    // Half of them want the same name.
                    group.addTask { _ = try? await bed.agent(number.isMultiple(of: 2) ? "same" : "agent-\(number)") }
                }
                try await group.waitForAll()
            }
            #expect(bed.snapshot.agentCount == 21)
            try await bed.expectConsistent()
        }
    }
}
