import PolicyEngine
import SPIFFE
import Testing

@Suite("Policy engine: typed settings")
struct PolicyEngineTests {
    private let engine = PolicyEngine()

    private static let blueprint = BlueprintFacts(
        id: "blueprint", isEnabled: true, scopes: ["task.run", "task.read", "gone"], audiences: ["api://b"],
        credentialKinds: ["spiffe_jwt"], maximumTokenLifetime: 300, maximumActorDepth: 2)

    /// A question that is answered with a permission; each test spoils one fact.
    private static let plain = PolicyQuestion(
        agent: AgentFacts(
            id: "a", isEnabled: true, isRevoked: false, expiresAt: UnixTime(seconds: 2000),
            template: .blueprint(blueprint)),
        action: TokenAction(scopes: .allGranted, onBehalf: .itself),
        resource: ResourceFacts(
            id: "api://b", scopes: ["task.read", "task.run", "admin"], tokenLifetime: 600, demandsBinding: false),
        grants: [
            GrantFacts(
                id: "own", resourceID: "api://b", scopes: ["task.run", "admin", "gone"], allowsDelegation: false,
                allowsImpersonation: false, expiresAt: nil),
            GrantFacts(
                id: "other", resourceID: "api://c", scopes: ["task.read"], allowsDelegation: true,
                allowsImpersonation: true, expiresAt: nil),
        ],
        credentialKind: "spiffe_jwt", isBound: true, time: UnixTime(seconds: 1000))

    private static func changed(_ change: (inout PolicyQuestion) -> Void) -> PolicyQuestion {
        var question = plain
        change(&question)
        return question
    }

    @Test("gives what resource, blueprint and grant all have, and no more")
    func permits() throws {
        let decision = engine.decide(Self.plain)
        #expect(decision.reasons == [.granted(["own"])])
        #expect(
            decision.outcome
                == .permit(
                    Permission(scopes: ["task.run"], maximumLifetime: 300, maximumActorDepth: 2, grantIDs: ["own"])))
    }

    @Test(
        "refuses when one fact is wrong",
        arguments: [
            (changed { $0.agent.isEnabled = false }, Reason.agentDisabled),
            (changed { $0.agent.isRevoked = true }, .agentRevoked),
            (changed { $0.time = UnixTime(seconds: 2000) }, .agentExpired),
            (changed { $0.agent.template = .missing }, .blueprintUnavailable),
            (changed { $0.setBlueprint { $0.isEnabled = false } }, .blueprintUnavailable),
            (changed { $0.credentialKind = "client_secret" }, .credentialKindNotAllowed("client_secret")),
            (changed { $0.resource = nil }, .unknownResource),
            (changed { $0.setBlueprint { $0.audiences = ["api://B"] } }, .audienceNotAllowed),
            (
                changed {
                    $0.resource?.demandsBinding = true
                    $0.isBound = false
                }, .bindingNeeded
            ),
            (changed { $0.grants = [] }, .nothingGranted),
            (changed { $0.grants[0].expiresAt = $0.time }, .nothingGranted),
            (changed { $0.setBlueprint { $0.scopes = ["task.read"] } }, .nothingGranted),
            (changed { $0.resource?.scopes = ["task.read"] }, .nothingGranted),
            (changed { $0.action.scopes = .exactly([]) }, .nothingGranted),
            (changed { $0.action.scopes = .exactly(["task.run", "task.read"]) }, .scopeNotGranted("task.read")),
            (changed { $0.action.scopes = .exactly(["TASK.RUN"]) }, .scopeNotGranted("TASK.RUN")),
            (changed { $0.action.onBehalf = .another(actorDepth: 1) }, .delegationNotGranted),
            (
                changed {
                    $0.grants[0].allowsDelegation = true
                    $0.action.onBehalf = .another(actorDepth: 3)
                }, .chainTooDeep(limit: 2)
            ),
            (
                changed {
                    $0.grants[0].allowsDelegation = true
                    $0.action.onBehalf = .impersonating
                }, .impersonationNotGranted
            ),
        ])
    func refuses(question: PolicyQuestion, reason: Reason) {
        let decision = engine.decide(question)
        #expect(decision.outcome == .deny)
        #expect(decision.reasons == [reason])
    }

    @Test("names every scope that is not granted")
    func namesScopes() {
        let decision = engine.decide(Self.changed { $0.action.scopes = .exactly(["x", "task.run", "y"]) })
        #expect(decision.reasons == [.scopeNotGranted("x"), .scopeNotGranted("y")])
    }

    @Test("a token does not outlive the grant that it rests on")
    func grantEnds() throws {
        let decision = engine.decide(Self.changed { $0.grants[0].expiresAt = UnixTime(seconds: 1060) })
        guard case .permit(let permission) = decision.outcome else {
            Issue.record("refused: \(decision.reasons)")
            return
        }
        #expect(permission.maximumLifetime == 60)
    }

    @Test("without a blueprint the resource's lifetime and the default depth hold")
    func withoutBlueprint() {
        let decision = engine.decide(Self.changed { $0.agent.template = .none })
        #expect(
            decision.outcome
                == .permit(
                    Permission(
                        scopes: ["task.run", "admin"], maximumLifetime: 600, maximumActorDepth: 4, grantIDs: ["own"])))
    }

    @Test("the hash changes with every setting and not with the call")
    func hash() {
        let plain = engine.decide(Self.plain).policyHash
        #expect(plain.utf8.count == 64)
        let calls = [
            Self.changed { $0.time = UnixTime(seconds: 1001) }, Self.changed { $0.isBound = false },
            Self.changed { $0.action.scopes = .exactly(["x"]) },
        ]
        for call in calls { #expect(engine.decide(call).policyHash == plain) }
        let settings = [
            Self.changed { $0.agent.isEnabled = false }, Self.changed { $0.agent.id = "b" },
            Self.changed { $0.setBlueprint { $0.scopes.append("x") } },
            Self.changed { $0.setBlueprint { $0.maximumActorDepth = 3 } },
            Self.changed { $0.resource?.tokenLifetime = 601 }, Self.changed { $0.grants[0].scopes = ["task.run"] },
            Self.changed { $0.grants[0].expiresAt = UnixTime(seconds: 5000) },
        ]
        let hashes = settings.map { engine.decide($0).policyHash }
        #expect(Set(hashes + [plain]).count == settings.count + 1)
    }
}

extension PolicyQuestion {
    fileprivate mutating func setBlueprint(_ change: (inout BlueprintFacts) -> Void) {
        guard case .blueprint(var blueprint) = agent.template else { return }
        change(&blueprint)
        agent.template = .blueprint(blueprint)
    }
}
