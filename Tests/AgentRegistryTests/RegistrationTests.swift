import A2A
import AgentDirectory
import JOSE
import SPIFFE
import Testing

@testable import AgentRegistry

struct RegistrationTests {
    @Test func `an agent registers its card, a person approves it, and clients get exactly the bytes that came`()
        async throws
    {
        try await TestBed.run { bed in
            let bytes = TestBed.card().jsonBytes
            let listing = try await bed.register()
            #expect(listing.agent.state == .pending)
            #expect(bed.registry.servedCard(named: "a", for: .anyone) == nil)
            #expect(bed.registry.listing(named: "a", for: .agent(TestBed.id("a"))) != nil)
            let approved = try await bed.registry.approve("a", digest: listing.candidate.digest, by: TestBed.admin)
            #expect(approved.agent.state == .active)
            #expect(approved.agent.served?.stage == .approved(by: TestBed.person, at: bed.clock.time))
            #expect(bed.registry.servedCard(named: "a", for: .anyone)?.card.bytes == bytes)
            let events = try await bed.events()
            #expect(
                events.suffix(4) == [
                    "registry.register intent permit", "registry.register outcome permit occurred",
                    "registry.approve intent permit", "registry.approve outcome permit occurred",
                ])
            try await bed.expectConsistent()
        }
    }

    struct Refusal: Sendable, CustomTestStringConvertible {
        let name: String
        let error: AgentRegistryError
        let run: @Sendable (TestBed) async throws -> Void
        var testDescription: String { name }
    }

    static let refusals: [Refusal] = [
        Refusal(name: "a card of another identity", error: .otherIdentity) { bed in
            try await bed.register("x", TestBed.card(identity: TestBed.id("b")))
        },
        Refusal(name: "a card that names nobody", error: .unboundCard) { bed in
            try await bed.register("x", TestBed.card(unbound: true))
        },
        Refusal(name: "the card of a node agent", error: .reservedIdentity) { bed in
            try await bed.register(
                "x", TestBed.card(identity: TestBed.id("spire/agent/x")), by: TestBed.agent("spire/agent/x"))
        },
        Refusal(name: "the card of the control plane, by an administrator", error: .reservedIdentity) { bed in
            try await bed.register("x", TestBed.card(identity: TestBed.id("spire/server")), by: TestBed.admin)
        },
        Refusal(name: "a name of another agent", error: .nameTaken) { bed in
            try await bed.register("a", TestBed.card("b"), by: TestBed.agent("b"))
        },
        Refusal(name: "a name of another agent, by an administrator", error: .otherIdentity) { bed in
            try await bed.register("a", TestBed.card("b"), by: TestBed.admin)
        },
        Refusal(name: "a name that the directory has given to somebody else", error: .nameTaken) { bed in
            try await bed.register("in-directory", TestBed.card("b"), by: TestBed.agent("b"))
        },
        Refusal(name: "other bytes under an approved version", error: .versionExists) { bed in
            try await bed.register("a", TestBed.card(description: "other"))
        },
        Refusal(name: "an older approved card again", error: .versionExists) { bed in
            let next = try await bed.register("a", TestBed.card(version: "2"))
            _ = try await bed.registry.approve("a", digest: next.candidate.digest, by: TestBed.admin)
            try await bed.register("a")
        },
        Refusal(name: "a signature that is none", error: .badSignature) { bed in
            bed.outside.judge(version: "9", .invalid)
            try await bed.register("a", TestBed.card(version: "9"))
        },
        Refusal(name: "an agent that is revoked elsewhere", error: .revoked) { bed in
            bed.outside.bar(TestBed.id("x"))
            try await bed.register("x")
        },
        Refusal(name: "a name whose agent was revoked", error: .revoked) { bed in
            _ = try await bed.registry.revoke("a", reason: "", by: TestBed.admin)
            try await bed.register("a", TestBed.card(version: "2"))
        },
        Refusal(name: "an interface without TLS", error: .badInterface) { bed in
            try await bed.register("x", TestBed.card("x", url: "http://a.example.org"))
        },
        Refusal(name: "an interface that is no URL", error: .badInterface) { bed in
            try await bed.register("x", TestBed.card("x", url: "a.example.org"))
        },
        Refusal(name: "a card without a version", error: .badCard(FieldViolation("version", missing))) { bed in
            try await bed.register("x", TestBed.card("x", version: ""))
        },
        Refusal(name: "a card that is too large", error: .cardTooLarge) { bed in
            try await bed.register("x", TestBed.card("x", description: String(repeating: "x", count: 64 << 10)))
        },
        Refusal(name: "too many entitled", error: .badVisibility) { bed in
            try await bed.register("x", visibility: .entitled((0...200).map { TestBed.id("e\($0)") }))
        },
    ]
    private static let missing = "must be there and not be empty"

    @Test(arguments: refusals)
    func `what is no proof, no card or somebody else's is refused, and the log has it`(refusal: Refusal) async throws {
        try await TestBed.run { bed in
            try await bed.active()
            await #expect(throws: refusal.error) { try await refusal.run(bed) }
            let last = try #require(try await bed.events().last)
            #expect(last.hasPrefix("registry.register") && last.hasSuffix("deny \(refusal.error.code) none"))
            try await bed.expectConsistent()
        }
    }

    @Test func `JSON that is no card is refused`() async throws {
        try await TestBed.run { bed in
            let bodies = [
                "", "[]", "1", "{", #"{"name":"a","name":"b"}"#, "{}",
                #"{"name":"a","version":"1","capabilities":["risk_scoring"],"supportedInterfaces":[]}"#,
                #"{"name":"a","version":"1","supportedInterfaces":[{"url":"https://a"}]}"#,
            ]
            for body in bodies {
                let registration = CardRegistration(
                    name: try AgentName("a"), card: Array(body.utf8), source: .administrator)
                await #expect {
                    try await bed.registry.register(registration, by: TestBed.admin)
                } throws: { error in
                    if case .badCard = error as? AgentRegistryError { true } else { false }
                }
            }
            #expect(bed.registry.snapshot.count == 0)
        }
    }

    @Test func `the same card again changes nothing, and a candidate may be replaced until it is approved`()
        async throws
    {
        try await TestBed.run { bed in
            let first = try await bed.register(submits: false)
            #expect(first.agent.state == .draft)
            #expect(try await bed.register().agent.state == .pending)
            let size = bed.log.size
            #expect(try await bed.register().agent == bed.registry.snapshot.listing(named: "a")?.agent)
            #expect(bed.log.size == size)
            let replaced = try await bed.register("a", TestBed.card(description: "better"))
            #expect(replaced.agent.versions.map(\.number) == [1])
            #expect(replaced.candidate.digest != first.candidate.digest)
            // The card that nobody approved is gone for good.
            #expect(try await bed.stored.card(agentID: first.agent.id, digest: first.candidate.digest) == nil)
            await #expect(throws: AgentRegistryError.otherCard) {
                _ = try await bed.registry.approve("a", digest: first.candidate.digest, by: TestBed.admin)
            }
            try await bed.expectConsistent()
        }
    }

    @Test func `a new version waits while the approved one is served, and old ones stay to be read`() async throws {
        try await TestBed.run { bed in
            let first = try await bed.active()
            let second = try await bed.register("a", TestBed.card(version: "2"))
            #expect(second.agent.state == .active)
            #expect(bed.registry.servedCard(named: "a", for: .anyone)?.card.summary.version == "1")
            _ = try await bed.registry.approve("a", digest: second.candidate.digest, by: TestBed.admin)
            #expect(bed.registry.servedCard(named: "a", for: .anyone)?.card.summary.version == "2")
            let digest = try #require(first.agent.served?.digest)
            #expect(try await bed.registry.card(first.agent, digest: digest) == TestBed.card().jsonBytes)
            #expect(try await bed.registry.card(first.agent, digest: String(repeating: "0", count: 64)) == nil)
            try await bed.expectConsistent()
        }
    }

    @Test func `an administrator gives the name of a revoked agent to another`() async throws {
        try await TestBed.run { bed in
            let old = try await bed.active()
            _ = try await bed.registry.revoke("a", reason: "gone", by: TestBed.admin)
            let new = try await bed.register("a", TestBed.card("b"), by: TestBed.admin)
            #expect(new.agent.id != old.agent.id && new.agent.identity == TestBed.id("b"))
            #expect(bed.registry.snapshot.count == 1)
            try await bed.expectConsistent()
        }
    }

    @Test func `there are only so many agents, of one identity too, and versions`() async throws {
        var bounds = AgentRegistryBounds()
        (bounds.agents, bounds.agentsOfIdentity, bounds.versions) = (3, 2, 2)
        try await TestBed.run(bounds: bounds) { bed in
            try await bed.active("a")
            try await bed.register("a2", TestBed.card(), by: TestBed.agent("a"))
            await #expect(throws: AgentRegistryError.full(.agentsOfIdentity)) {
                try await bed.register("a3", TestBed.card(), by: TestBed.agent("a"))
            }
            try await bed.register("b")
            await #expect(throws: AgentRegistryError.full(.agents)) { try await bed.register("c") }
            let next = try await bed.register("a", TestBed.card(version: "2"))
            _ = try await bed.registry.approve("a", digest: next.candidate.digest, by: TestBed.admin)
            await #expect(throws: AgentRegistryError.full(.versions)) {
                try await bed.register("a", TestBed.card(version: "3"))
            }
        }
    }
}
