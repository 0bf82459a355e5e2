import AgentDirectory
import SPIFFE
import Testing

@testable import AgentRegistry

struct LifeTests {
    enum Act: String, CaseIterable, Sendable {
        case approve, reject, deprecate, revoke, visibility
    }

    private static func bring(_ bed: TestBed, to state: RegisteredAgent.State) async throws {
        switch state {
        case .draft: try await bed.register(submits: false)
        case .pending: try await bed.register()
        case .active: try await bed.active()
        case .deprecated:
            try await bed.active()
            _ = try await bed.registry.deprecate("a", reason: "old", by: TestBed.admin)
        case .revoked:
            try await bed.active()
            _ = try await bed.registry.revoke("a", reason: "bad", by: TestBed.admin)
        }
    }

    private static func run(_ act: Act, _ bed: TestBed, by caller: RegistryCaller) async throws -> Listing {
        switch act {
        case .approve:
            let digest = bed.registry.snapshot.listing(named: "a")?.agent.versions.last?.digest ?? ""
            return try await bed.registry.approve("a", digest: digest, by: caller)
        case .reject: return try await bed.registry.reject("a", reason: "no", by: caller)
        case .deprecate: return try await bed.registry.deprecate("a", reason: "old", by: caller)
        case .revoke: return try await bed.registry.revoke("a", reason: "bad", by: caller)
        case .visibility: return try await bed.registry.setVisibility("a", .nobody, by: caller)
        }
    }

    /// What each act makes of each state, by an administrator whom somebody knows.
    static let table: [RegisteredAgent.State: [Act: Result<RegisteredAgent.State, AgentRegistryError>]] = [
        .draft: [
            .approve: .failure(.notPending), .reject: .failure(.notPending), .deprecate: .failure(.notActive),
            .revoke: .success(.revoked), .visibility: .success(.draft),
        ],
        .pending: [
            .approve: .success(.active), .reject: .success(.draft), .deprecate: .failure(.notActive),
            .revoke: .success(.revoked), .visibility: .success(.pending),
        ],
        .active: [
            .approve: .failure(.notPending), .reject: .failure(.notPending), .deprecate: .success(.deprecated),
            .revoke: .success(.revoked), .visibility: .success(.active),
        ],
        .deprecated: [
            .approve: .failure(.notPending), .reject: .failure(.notPending), .deprecate: .success(.deprecated),
            .revoke: .success(.revoked), .visibility: .success(.deprecated),
        ],
        .revoked: [
            .approve: .failure(.revoked), .reject: .failure(.revoked), .deprecate: .failure(.revoked),
            .revoke: .success(.revoked), .visibility: .failure(.revoked),
        ],
    ]

    @Test(arguments: RegisteredAgent.State.allCases, Act.allCases)
    func `an act leads from state to state as the table says`(state: RegisteredAgent.State, act: Act) async throws {
        try await TestBed.run { bed in
            try await Self.bring(bed, to: state)
            switch try #require(Self.table[state]?[act]) {
            case .success(let next):
                #expect(try await Self.run(act, bed, by: TestBed.admin).agent.state == next)
            case .failure(let error):
                await #expect(throws: error) { try await Self.run(act, bed, by: TestBed.admin) }
                #expect(bed.registry.snapshot.listing(named: "a")?.agent.state == state)
            }
            try await bed.expectConsistent()
        }
    }

    @Test func `only a person whom somebody knows approves and rejects, and nobody approves one's own card`()
        async throws
    {
        try await TestBed.run { bed in
            try await bed.register()
            let own = TestBed.caller(.administrator(try Person(TestBed.id("a").string)))
            for act in [Act.approve, .reject] {
                await #expect(throws: AgentRegistryError.unknownApprover) {
                    try await Self.run(act, bed, by: TestBed.unknownAdmin)
                }
                await #expect(throws: AgentRegistryError.ownAgent) { try await Self.run(act, bed, by: own) }
                await #expect(throws: AgentRegistryError.notFound) {
                    try await Self.run(act, bed, by: TestBed.agent("a"))
                }
            }
        }
    }

    @Test func `an agent deprecates and revokes itself, and learns of others no more than it sees`() async throws {
        try await TestBed.run { bed in
            try await bed.active("a", visibility: .nobody)
            for act in [Act.deprecate, .revoke, .visibility] {
                await #expect(throws: AgentRegistryError.notFound) {
                    try await Self.run(act, bed, by: TestBed.agent("b"))
                }
            }
            _ = try await bed.registry.setVisibility("a", .everyone, by: TestBed.admin)
            await #expect(throws: AgentRegistryError.notYours) {
                try await Self.run(.revoke, bed, by: TestBed.agent("b"))
            }
            #expect(try await Self.run(.deprecate, bed, by: TestBed.agent("a")).agent.state == .deprecated)
            #expect(try await Self.run(.revoke, bed, by: TestBed.agent("a")).agent.state == .revoked)
        }
    }

    @Test func `a rejected card can be handed in again, and a new approval ends a deprecation`() async throws {
        try await TestBed.run { bed in
            try await bed.register()
            _ = try await bed.registry.reject("a", reason: "no", by: TestBed.admin)
            #expect(try await bed.register().agent.state == .pending)
            _ = try await Self.run(.approve, bed, by: TestBed.admin)
            _ = try await Self.run(.deprecate, bed, by: TestBed.admin)
            try await bed.register("a", TestBed.card(version: "2"))
            #expect(try await Self.run(.approve, bed, by: TestBed.admin).agent.state == .active)
        }
    }

    @Test func `a card whose signature turned out to be none is neither approved nor given out`() async throws {
        try await TestBed.run { bed in
            try await bed.active()
            bed.outside.judge(version: "1", .invalid)
            #expect(bed.registry.servedCard(named: "a", for: .anyone) == nil)
            bed.outside.judge(version: "1", .verified(keyID: "k"))
            #expect(bed.registry.servedCard(named: "a", for: .anyone) != nil)
            let next = try await bed.register("a", TestBed.card(version: "2"))
            bed.outside.judge(version: "2", .invalid)
            await #expect(throws: AgentRegistryError.badSignature) {
                _ = try await bed.registry.approve("a", digest: next.candidate.digest, by: TestBed.admin)
            }
        }
    }

    @Test func `a card other than the approved one raises an alarm, once a minute at most, until somebody has looked`()
        async throws
    {
        try await TestBed.run { bed in
            let served = try #require(try await bed.active().agent.served?.digest)
            let other = String(repeating: "ab", count: 32)
            let note = { (digest: String) in
                try await bed.registry.noteCard("a", digest: digest, by: TestBed.agent("a")).agent.drift
            }
            let size = bed.log.size
            #expect(try await note(served) == nil)
            #expect(bed.log.size == size)
            #expect(try await note(other)?.digest == other)
            #expect(try await bed.events(from: size).first == "registry.drift intent permit")
            let after = bed.log.size
            #expect(try await note(String(repeating: "cd", count: 32))?.digest == other)
            #expect(bed.log.size == after)
            bed.clock.advance(seconds: AgentRegistry.driftInterval)
            #expect(try await note(String(repeating: "cd", count: 32))?.digest != other)
            // The agent's own word does not end it.
            #expect(try await note(served) != nil)
            let looked = try await bed.registry.noteCard("a", digest: served, by: TestBed.admin)
            #expect(looked.agent.drift == nil)
            await #expect(throws: AgentRegistryError.otherCard) { _ = try await note("xyz") }
            try await bed.expectConsistent()
        }
    }

    @Test func `a sign of life is known for a while and goes with the process`() async throws {
        try await TestBed.run { bed in
            let agent = try await bed.active().agent
            #expect(bed.registry.health(of: agent) == nil)
            try bed.registry.heartbeat("a", .degraded, by: TestBed.agent("a"))
            #expect(bed.registry.health(of: agent)?.status == .degraded)
            bed.clock.advance(seconds: AgentHealth.silence)
            #expect(bed.registry.health(of: agent) == nil)
            #expect(throws: AgentRegistryError.notYours) {
                try bed.registry.heartbeat("a", .healthy, by: TestBed.agent("b"))
            }
        }
    }
}
