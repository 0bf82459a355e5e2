import AgentShieldTesting
import AuditTrail
import CryptoExtras
import JOSE
import OAuth
import SPIFFE
import Testing

@testable import AgentDirectory

struct RulesTests {
    struct Row: Sendable, CustomTestStringConvertible {
        let name: String
        let error: DirectoryError?
        let act: @Sendable (TestBed) async throws -> Void

        /// `error` nil: the act is allowed.
        init(_ name: String, _ error: DirectoryError?, _ act: @escaping @Sendable (TestBed) async throws -> Void) {
            self.name = name
            self.error = error
            self.act = act
        }

        var testDescription: String { name }
    }

    private static func blueprint(
        _ name: String, _ error: DirectoryError?, _ change: @escaping @Sendable (inout BlueprintDraft) throws -> Void
    ) -> Row {
        Row(name, error) { bed in
            var draft = BlueprintDraft(
                name: try AgentName("new"), allowedScopes: try Scope("read"), allowedAudiences: ["api://b"],
                credentialKinds: [.jwtSVID], sponsor: try Person("s"))
            try change(&draft)
            _ = try await bed.directory.createBlueprint(draft, by: TestBed.admin)
        }
    }

    private static func agent(
        _ name: String, _ error: DirectoryError?,
        _ change: @escaping @Sendable (inout AgentDraft, TestBed) throws -> Void
    ) -> Row {
        Row(name, error) { bed in
            var draft = try bed.draft("new")
            try change(&draft, bed)
            _ = try await bed.directory.createAgent(draft, by: TestBed.admin)
        }
    }

    private static func resource(
        _ name: String, _ error: DirectoryError?, _ change: @escaping @Sendable (inout ResourceDraft) throws -> Void
    ) -> Row {
        Row(name, error) { bed in
            var draft = ResourceDraft(id: "api://new", scopes: try Scope("read"))
            try change(&draft)
            _ = try await bed.directory.createResource(draft, by: TestBed.admin)
        }
    }

    private static func grant(
        _ name: String, _ error: DirectoryError?,
        _ change: @escaping @Sendable (inout GrantDraft, TestBed) throws -> Void
    ) -> Row {
        Row(name, error) { bed in
            let agent = try #require(bed.snapshot.agent(named: "a"))
            var draft = GrantDraft(agentID: agent.id, resourceID: "api://b", scopes: try Scope("read"))
            try change(&draft, bed)
            _ = try await bed.directory.createGrant(draft, by: TestBed.admin)
        }
    }

    private static func federated(
        _ name: String, _ error: DirectoryError?, of agent: String = "a",
        _ make: @escaping @Sendable () throws -> FederatedCredential
    ) -> Row {
        Row(name, error) { bed in
            let agent = try #require(bed.snapshot.agent(named: agent))
            try await bed.directory.addFederatedCredential(make(), toAgent: agent.id, by: TestBed.admin)
        }
    }

    private static func credential(
        _ name: String, _ error: DirectoryError?, of agent: String = "a", expiresAt: UnixTime? = nil,
        _ make: @escaping @Sendable () throws -> ClientCredential.Proof
    ) -> Row {
        Row(name, error) { bed in
            let agent = try #require(bed.snapshot.agent(named: agent))
            _ = try await bed.directory.addClientCredential(
                make(), toAgent: agent.id, expiresAt: expiresAt, by: TestBed.admin)
        }
    }

    private static let now = UnixTime(seconds: 1_800_000_000)
    private static let gitHub = "https://token.actions.githubusercontent.com"

    static let blueprints: [Row] = [
        blueprint("a new blueprint", nil) { _ in },
        blueprint("a name that is taken", .nameTaken) { $0.name = try AgentName("template") },
        blueprint("a long description", .descriptionTooLong) { $0.description = String(repeating: "x", count: 601) },
        blueprint("the longest description", nil) { $0.description = String(repeating: "x", count: 600) },
        blueprint("tokens of 59 seconds", .badTokenLifetime) { $0.maximumTokenLifetime = 59 },
        blueprint("tokens of 3601 seconds", .badTokenLifetime) { $0.maximumTokenLifetime = 3601 },
        blueprint("tokens of 60 seconds", nil) { $0.maximumTokenLifetime = 60 },
        blueprint("no actor", .badActorDepth) { $0.maximumActorDepth = 0 },
        blueprint("17 actors", .badActorDepth) { $0.maximumActorDepth = 17 },
        blueprint("an audience that is no URI", .badResourceID) { $0.allowedAudiences = ["b"] },
        blueprint("101 audiences", .tooManyAudiences) { $0.allowedAudiences = (0...100).map { "api://\($0)" } },
        blueprint("no way in", .noCredentialKinds) { $0.credentialKinds = [] },
        blueprint("an operator whom nobody knows", .agentNotFound) { $0.operatorID = "nobody" },
        Row("an operator that is retired", .agentRetired) { bed in
            let retired = try #require(bed.snapshot.allAgents.first { $0.name.text == "old" })
            var changes = BlueprintChanges()
            changes.operation = .by(agentID: retired.id)
            let id = try #require(bed.snapshot.blueprint(named: "template")).id
            _ = try await bed.directory.updateBlueprint(id, changes, by: TestBed.admin)
        },
        Row("an update of nothing", .blueprintNotFound) {
            _ = try await $0.directory.updateBlueprint("nobody", BlueprintChanges(), by: TestBed.admin)
        },
        Row("an update to a bad life", .badTokenLifetime) { bed in
            var changes = BlueprintChanges()
            changes.maximumTokenLifetime = 0
            let id = try #require(bed.snapshot.blueprint(named: "template")).id
            _ = try await bed.directory.updateBlueprint(id, changes, by: TestBed.admin)
        },
        Row("a deletion of nothing", .blueprintNotFound) {
            try await $0.directory.deleteBlueprint("nobody", by: TestBed.admin)
        },
        Row("a deletion while agents need it", .blueprintInUse(1)) { bed in
            let id = try #require(bed.snapshot.blueprint(named: "template")).id
            try await bed.directory.deleteBlueprint(id, by: TestBed.admin)
        },
    ]

    static let agents: [Row] = [
        agent("a new agent", nil) { _, _ in },
        agent("a name that is taken", .nameTaken) { draft, _ in draft.name = try AgentName("a") },
        agent("a name that was a retired agent's", nil) { draft, _ in draft.name = try AgentName("old") },
        agent("an identity that is taken", .spiffeIDTaken) { draft, _ in
            draft.spiffeID = try SPIFFEID("spiffe://example.org/agent/a")
        },
        agent("an identity that was a retired agent's", nil) { draft, _ in
            draft.spiffeID = try SPIFFEID("spiffe://example.org/agent/old")
        },
        agent("another trust domain", .otherTrustDomain) { draft, _ in
            draft.spiffeID = try SPIFFEID("spiffe://example.net/agent/new")
        },
        agent("the trust domain itself", .reservedSPIFFEID) { draft, _ in
            draft.spiffeID = try SPIFFEID("spiffe://example.org")
        },
        agent("an identity of servers", .reservedSPIFFEID) { draft, _ in
            draft.spiffeID = try SPIFFEID("spiffe://example.org/spire/server")
        },
        agent("an identity that begins like theirs", nil) { draft, _ in
            draft.spiffeID = try SPIFFEID("spiffe://example.org/spire-x")
        },
        agent("no owner", .ownerMissing) { draft, _ in draft.owner = nil },
        agent("no sponsor", .sponsorMissing) { draft, _ in draft.sponsor = nil },
        agent("the blueprint's sponsor", nil) { draft, bed in
            draft.sponsor = nil
            draft.blueprintID = bed.snapshot.blueprint(named: "template")?.id
        },
        agent("an unknown blueprint", .blueprintNotFound) { draft, _ in draft.blueprintID = "nobody" },
        agent("a disabled blueprint", .blueprintDisabled) { draft, bed in
            draft.blueprintID = bed.snapshot.blueprint(named: "off")?.id
        },
        agent("an end now", .badEnd) { draft, _ in draft.expiresAt = now },
        agent("an end after the year 9999", .badEnd) { draft, _ in draft.expiresAt = UnixTime(milliseconds: .max) },
        agent("an end in a second", nil) { draft, _ in draft.expiresAt = now + 1 },
        Row("an update of nobody", .agentNotFound) {
            _ = try await $0.directory.updateAgent("nobody", AgentChanges(), by: TestBed.admin)
        },
        Row("an update of a retired agent", .agentRetired) { bed in
            let id = try #require(bed.snapshot.allAgents.first { $0.state == .retired }).id
            _ = try await bed.directory.updateAgent(id, AgentChanges(), by: TestBed.admin)
        },
        Row("a name of another by update", .nameTaken) { bed in
            var changes = AgentChanges()
            changes.name = try AgentName("limited")
            let id = try #require(bed.snapshot.agent(named: "a")).id
            _ = try await bed.directory.updateAgent(id, changes, by: TestBed.admin)
        },
        Row("a retired agent enabled again", .agentRetired) { bed in
            let id = try #require(bed.snapshot.allAgents.first { $0.state == .retired }).id
            _ = try await bed.directory.enableAgent(id, by: TestBed.admin)
        },
        Row("a long reason", .reasonTooLong) { bed in
            let id = try #require(bed.snapshot.agent(named: "a")).id
            _ = try await bed.directory.disableAgent(
                id, reason: String(repeating: "x", count: 513), by: TestBed.admin)
        },
    ]

    static let credentials: [Row] = [
        federated("a new federated credential", nil) { try TestBed.federated("new", subject: "other") },
        federated("a name that is taken", .federatedCredentialExists) { try TestBed.federated(subject: "other") },
        federated("issuer and subject that are taken", .issuerAndSubjectTaken) { try TestBed.federated("new") },
        federated("a kind that the blueprint forbids", .credentialKindNotAllowed(.federatedAssertion), of: "limited") {
            try TestBed.federated()
        },
        federated("an issuer without TLS", .badIssuer) {
            try TestBed.federated("new", issuer: "http://issuer.example")
        },
        federated("an issuer that is no URL", .badIssuer) { try TestBed.federated("new", issuer: "issuer") },
        federated("the own issuer", nil) { try TestBed.federated("new", issuer: TestBed.jwtIssuer) },
        federated("an expression for any issuer", .expressionNotForIssuer) {
            try TestBed.matching("https://issuer.example", "claims['sub'] eq 'x'")
        },
        federated("an expression for an issuer with a slash", .expressionNotForIssuer) {
            try TestBed.matching("https://gitlab.com/", "claims['sub'] eq 'x'")
        },
        federated("an expression of GitHub without a number", .expressionNotPinned) {
            try TestBed.matching(gitHub, "claims['sub'] matches 'repo:acme/*'")
        },
        federated("an expression of GitHub with a pattern for the number", .expressionNotPinned) {
            try TestBed.matching(gitHub, "claims['repository_id'] matches '*'")
        },
        Row("an expression of GitHub with a number", nil) { bed in
            let id = try #require(bed.snapshot.agent(named: "a")).id
            try await bed.directory.addFederatedCredential(
                FederatedCredential(
                    name: AgentName("new"), issuer: gitHub,
                    subject: .matching(
                        ClaimsExpression("claims['sub'] matches 'repo:acme/*' and claims['repository_owner_id'] eq '7'")
                    )
                ), toAgent: id, by: TestBed.admin)
        },
        Row("a deletion of no federated credential", .federatedCredentialNotFound) { bed in
            let id = try #require(bed.snapshot.agent(named: "a")).id
            try await bed.directory.deleteFederatedCredential(named: "nobody", ofAgent: id, by: TestBed.admin)
        },
        credential("a kind that the blueprint forbids, secret", .credentialKindNotAllowed(.clientSecret), of: "limited")
        { .secret(digest: Array(repeating: 1, count: 32)) },
        credential("a P-256 key", nil) { .key(try Keys.p256()) },
        credential("a P-384 key", nil) { .key(try Keys.p384()) },
        credential("an RSA key", nil) { .key(try Keys.rsa()) },
        credential("an Ed25519 key", .badClientKey) { .key(try Keys.ed25519()) },
        credential("a P-521 key", .badClientKey) { .key(try Keys.p521()) },
        credential("a short digest", .badCertificate) { .selfSignedCertificate(digest: [1]) },
        credential("a digest", nil) { .selfSignedCertificate(digest: Array(repeating: 1, count: 32)) },
        credential("a DNS name", nil) { .certificateName(.dns("agent-1.example.org")) },
        credential("a wildcard", .badCertificate) { .certificateName(.dns("*.example.org")) },
        credential("a DNS name in upper case", .badCertificate) { .certificateName(.dns("Agent.example.org")) },
        credential("an empty DNS name", .badCertificate) { .certificateName(.dns("")) },
        credential("a URI", nil) { .certificateName(.uri("urn:agent:1")) },
        credential("a SPIFFE ID", .badCertificate) { .certificateName(.uri("spiffe://example.org/a")) },
        credential("a SPIFFE ID in upper case", .badCertificate) { .certificateName(.uri("SPIFFE://example.org/a")) },
        credential("no URI", .badCertificate) { .certificateName(.uri("agent 1")) },
        credential("an end that has been", .badEnd, expiresAt: now) { .key(try Keys.p256()) },
        Row("a secret of a retired agent", .agentRetired) { bed in
            let id = try #require(bed.snapshot.allAgents.first { $0.state == .retired }).id
            _ = try await bed.directory.addClientSecret(toAgent: id, expiresAt: nil, by: TestBed.admin)
        },
        Row("a deletion of no credential", .clientCredentialNotFound) { bed in
            let id = try #require(bed.snapshot.agent(named: "a")).id
            try await bed.directory.deleteClientCredential("nobody", ofAgent: id, by: TestBed.admin)
        },
    ]

    static let resources: [Row] = [
        resource("a new resource", nil) { _ in },
        resource("one that exists", .resourceExists) { $0.id = "api://b" },
        resource("one with an https URL", nil) { $0.id = "https://b.example/v1?x=1" },
        resource("no URI", .badResourceID) { $0.id = "b" },
        resource("an empty one", .badResourceID) { $0.id = "" },
        resource("a fragment", .badResourceID) { $0.id = "api://b#x" },
        resource("a space", .badResourceID) { $0.id = "api://b c" },
        resource("a letter beyond ASCII", .badResourceID) { $0.id = "api://é" },
        resource("601 bytes", .badResourceID) { $0.id = "api://" + String(repeating: "x", count: 595) },
        resource("600 bytes", nil) { $0.id = "api://" + String(repeating: "x", count: 594) },
        resource("another authorization server", nil) {
            $0.id = "https://other.example/oauth2"
            $0.profile = .authorizationServer
        },
        resource("an authorization server that has no issuer's name", .badIssuer) { $0.profile = .authorizationServer },
        resource("one with a query", .badIssuer) {
            $0.id = "https://other.example/oauth2?x=1"
            $0.profile = .authorizationServer
        },
        resource("one without TLS", .badIssuer) {
            $0.id = "http://other.example/oauth2"
            $0.profile = .authorizationServer
        },
        Row("a resource that becomes an authorization server without an issuer's name", .badIssuer) {
            var changes = ResourceChanges()
            changes.profile = .authorizationServer
            _ = try await $0.directory.updateResource("api://b", changes, by: TestBed.admin)
        },
        resource("tokens of 59 seconds", .badTokenLifetime) { $0.tokenLifetime = 59 },
        resource("tokens of an hour and a second", .badTokenLifetime) { $0.tokenLifetime = 3601 },
        resource("a long description", .descriptionTooLong) { $0.description = String(repeating: "x", count: 601) },
        resource("an agent that is not there", .agentNotFound) { $0.agentID = "nobody" },
        Row("an agent that is retired", .agentRetired) { bed in
            let id = try #require(bed.snapshot.allAgents.first { $0.state == .retired }).id
            _ = try await bed.directory.createResource(
                ResourceDraft(id: "api://new", scopes: Scope("read"), agentID: id), by: TestBed.admin)
        },
        Row("an update of nothing", .resourceNotFound) {
            _ = try await $0.directory.updateResource("api://nobody", ResourceChanges(), by: TestBed.admin)
        },
        Row("an update to nobody", .agentNotFound) {
            var changes = ResourceChanges()
            changes.agent = .agent(id: "nobody")
            _ = try await $0.directory.updateResource("api://b", changes, by: TestBed.admin)
        },
        Row("a deletion of nothing", .resourceNotFound) {
            try await $0.directory.deleteResource("api://nobody", by: TestBed.admin)
        },
        Row("a deletion while grants name it", .resourceInUse(1)) { bed in
            try await bed.directory.deleteResource("api://b", by: TestBed.admin)
        },
    ]

    static let grants: [Row] = [
        grant("a new grant", nil) { _, _ in },
        grant("nobody's", .agentNotFound) { draft, _ in draft.agentID = "nobody" },
        grant("a retired agent's", .agentRetired) { draft, bed in
            draft.agentID = try #require(bed.snapshot.allAgents.first { $0.state == .retired }).id
        },
        grant("a resource that is not there", .resourceNotFound) { draft, _ in draft.resourceID = "api://nobody" },
        grant("no scopes", .noScopes) { draft, _ in draft.scopes = .empty },
        grant("scopes that the resource lacks", .scopesNotOfResource(["fly"])) { draft, _ in
            draft.scopes = try Scope("read fly")
        },
        grant("scopes above the blueprint", .scopesAboveBlueprint(["admin"])) { draft, _ in
            draft.scopes = try Scope("admin read")
        },
        grant("a resource that the blueprint does not allow", .audienceAboveBlueprint) { draft, _ in
            draft.resourceID = "api://c"
        },
        grant("impersonation by the way", .impersonationNotConfirmed) { draft, _ in draft.use = .impersonation },
        grant("impersonation expressly", nil) { draft, _ in
            draft.use = .impersonation
            draft.allowsImpersonation = true
        },
        grant("an end now", .badEnd) { draft, _ in draft.expiresAt = now },
        Row("what an agent without blueprint may have", nil) { bed in
            try await bed.grant(#require(bed.snapshot.agent(named: "free")), "api://c", scopes: "admin")
        },
        Row("a deletion of nothing", .grantNotFound) {
            try await $0.directory.deleteGrant("nobody", by: TestBed.admin)
        },
    ]

    @Test(arguments: blueprints + agents + credentials + resources + grants)
    func `each rule refuses, and what it refuses is recorded and changes nothing`(row: Row) async throws {
        try await TestBed.run { bed in
            try await Self.prepare(bed)
            let before = bed.snapshot.contents
            let size = bed.log.size
            guard let error = row.error else {
                try await row.act(bed)
                #expect(bed.snapshot.contents != before)
                try await bed.expectConsistent()
                return
            }
            await #expect(throws: error) { try await row.act(bed) }
            #expect(bed.snapshot.contents == before)
            try await bed.expectConsistent()
            let last = try #require(try await bed.events(from: size).last)
            #expect(last.phase == "single" && last.result == "deny" && last.observed == "none")
            #expect(last.reason == error.code)
        }
    }

    /// Blueprints `template` and `off`, resources `api://b` and `api://c`, and agents of every kind.
    private static func prepare(_ bed: TestBed) async throws {
        let template = try await bed.blueprint(audiences: ["api://b"])
        let off = try await bed.blueprint("off")
        var changes = BlueprintChanges()
        changes.isEnabled = false
        _ = try await bed.directory.updateBlueprint(off.id, changes, by: TestBed.admin)
        let narrow = try await bed.blueprint("narrow", kinds: [.x509SVID])
        try await bed.resource()
        try await bed.resource("api://c")
        let a = try await bed.agent("a", blueprint: template)
        try await bed.directory.addFederatedCredential(TestBed.federated(), toAgent: a.id, by: TestBed.admin)
        try await bed.grant(a)
        try await bed.agent("limited", blueprint: narrow)
        try await bed.agent("free")
        let old = try await bed.agent("old")
        _ = try await bed.directory.retireAgent(old.id, by: TestBed.admin)
    }

    @Test func `every error has a word of its own`() {
        let errors = (Self.blueprints + Self.agents + Self.credentials + Self.resources + Self.grants).compactMap(
            \.error)
        let codes = Dictionary(grouping: errors, by: \.code)
        for (code, errors) in codes {
            // One word stands for one case, whatever its values.
            let cases = Set(errors.map { "\(Mirror(reflecting: $0).children.first?.label ?? "\($0)")" })
            #expect(cases.count == 1, "\(code)")
        }
    }

    @Test func `an agent has at most twenty federated credentials and twenty others`() async throws {
        try await TestBed.run { bed in
            let agent = try await bed.agent()
            for number in 1...20 {
                try await bed.directory.addFederatedCredential(
                    TestBed.federated("f\(number)", subject: "\(number)"), toAgent: agent.id, by: TestBed.admin)
                _ = try await bed.directory.addClientSecret(toAgent: agent.id, expiresAt: nil, by: TestBed.admin)
            }
            await #expect(throws: DirectoryError.tooManyFederatedCredentials) {
                try await bed.directory.addFederatedCredential(
                    TestBed.federated("more", subject: "more"), toAgent: agent.id, by: TestBed.admin)
            }
            await #expect(throws: DirectoryError.tooManyClientCredentials) {
                _ = try await bed.directory.addClientSecret(toAgent: agent.id, expiresAt: nil, by: TestBed.admin)
            }
            try await bed.expectConsistent()
        }
    }

    @Test func `a key, a certificate and a name are registered once`() async throws {
        try await TestBed.run { bed in
            let agent = try await bed.agent()
            let key = try Keys.p256()
            var named = key
            named.kid = "other"
            let proofs: [(ClientCredential.Proof, ClientCredential.Proof)] = [
                (.key(key), .key(named)),
                (
                    .selfSignedCertificate(digest: Array(repeating: 1, count: 32)),
                    .selfSignedCertificate(digest: Array(repeating: 1, count: 32))
                ),
                (.certificateName(.dns("a.example")), .certificateName(.dns("a.example"))),
            ]
            for (first, second) in proofs {
                _ = try await bed.directory.addClientCredential(
                    first, toAgent: agent.id, expiresAt: nil, by: TestBed.admin)
                await #expect(throws: DirectoryError.clientCredentialExists) {
                    _ = try await bed.directory.addClientCredential(
                        second, toAgent: agent.id, expiresAt: nil, by: TestBed.admin)
                }
            }
        }
    }

    @Test func `the directory holds only so much of everything`() async throws {
        var bounds = DirectoryBounds()
        bounds.blueprints = 1
        bounds.liveAgents = 2
        bounds.agents = 3
        bounds.resources = 1
        bounds.grants = 3
        bounds.grantsOfAgent = 2
        try await TestBed.run(bounds: bounds) { bed in
            try await bed.blueprint()
            await #expect(throws: DirectoryError.full(.blueprints)) { try await bed.blueprint("second") }
            let (a, b) = (try await bed.agent("a"), try await bed.agent("b"))
            await #expect(throws: DirectoryError.full(.agents)) { try await bed.agent("c") }
            try await bed.resource()
            await #expect(throws: DirectoryError.full(.resources)) { try await bed.resource("api://c") }
            try await bed.grant(a)
            try await bed.grant(a)
            await #expect(throws: DirectoryError.full(.grantsOfAgent)) { try await bed.grant(a) }
            try await bed.grant(b)
            await #expect(throws: DirectoryError.full(.grants)) { try await bed.grant(b) }
            // Retired agents make room among the living, but their records stay.
            _ = try await bed.directory.retireAgent(a.id, by: TestBed.admin)
            let c = try await bed.agent("c")
            _ = try await bed.directory.retireAgent(c.id, by: TestBed.admin)
            await #expect(throws: DirectoryError.full(.agents)) { try await bed.agent("d") }
            try await bed.expectConsistent()
        }
    }
}
