import AgentShieldTesting
import AuditTrail
import Crypto
import JOSE
import OAuth
import Registry
import SPIFFE
import Testing
import TransparencyLog

@testable import AgentDirectory

/// A directory over memory with a running audit log.
struct TestBed: Sendable {
    let clock = ManualClock(UnixTime(seconds: 1_800_000_000))
    let stored: any DirectoryStore
    let faults = FaultPlan()
    let auditFaults = FaultPlan()
    let log: AuditLog
    let directory: AgentDirectory

    static let trustDomain = try! TrustDomain("example.org")
    static let admin = DirectoryCaller(
        AuditEvent.AgentField(authMethod: .unixSocket, peer: AuditEvent.PeerField(uid: 0, pid: 42)), requestID: "r")
    static let jwtIssuer = "example-issuer"

    private init(bounds: DirectoryBounds) async throws {
        log = try await AuditLog.open(
            store: FaultyAuditStore(MemoryAuditStore(), plan: auditFaults),
            signer: NoteSigner(name: "example.org/log", privateKey: Curve25519.Signing.PrivateKey()),
            origin: "example.org/log", now: clock.now, randomBytes: Self.randomBytes)
        stored = InMemoryDirectoryStore()
        directory = try await AgentDirectory.open(
            trustDomain: Self.trustDomain, jwtIssuer: Self.jwtIssuer,
            store: FaultyDirectoryStore(stored, plan: faults), audit: log, now: clock.now,
            randomBytes: Self.randomBytes, bounds: bounds)
    }

    /// Runs the body with a fresh directory.
    static func run(
        bounds: DirectoryBounds = DirectoryBounds(), _ body: @Sendable (TestBed) async throws -> Void
    ) async throws {
        let bed = try await TestBed(bounds: bounds)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await bed.log.run() }
            do {
                try await body(bed)
            } catch {
                bed.log.stop()
                throw error
            }
            bed.log.stop()
            try await group.waitForAll()
        }
    }

    static func randomBytes(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }

    /// The directory as a new process would find it.
    func reopened() async throws -> AgentDirectory {
        try await AgentDirectory.open(
            trustDomain: Self.trustDomain, store: stored, audit: log, now: clock.now, randomBytes: Self.randomBytes)
    }

    /// The audit log's leaves from an index on.
    func events(from index: Int64 = 0) async throws -> [Event] {
        try await log.entries(from: index, count: 100_000).map { try Event($0.leaf) }
    }

    /// Snapshot, store and a fresh directory over the store must tell the same.
    func expectConsistent(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let shown = directory.snapshot.contents
        #expect(shown == (try await stored.load()).contents, sourceLocation: sourceLocation)
        #expect(shown == (try await reopened()).snapshot.contents, sourceLocation: sourceLocation)
        try directory.snapshot.checkRestored()
    }

    // MARK: shorthands

    var snapshot: DirectorySnapshot { directory.snapshot }

    @discardableResult
    func blueprint(
        _ name: String = "template", scopes: String = "read write", audiences: [String] = ["api://b"],
        kinds: Set<CredentialKind> = Set(CredentialKind.allCases)
    ) async throws -> AgentBlueprint {
        try await directory.createBlueprint(
            BlueprintDraft(
                name: AgentName(name), allowedScopes: Scope(scopes), allowedAudiences: audiences,
                credentialKinds: kinds, sponsor: Person("sponsor@example.org")),
            by: Self.admin)
    }

    @discardableResult
    func agent(_ name: String = "a", blueprint: AgentBlueprint? = nil) async throws -> AgentIdentity {
        try await directory.createAgent(draft(name, blueprint: blueprint), by: Self.admin)
    }

    func draft(_ name: String = "a", blueprint: AgentBlueprint? = nil) throws -> AgentDraft {
        AgentDraft(
            name: try AgentName(name), spiffeID: try SPIFFEID("spiffe://example.org/agent/\(name)"),
            blueprintID: blueprint?.id, owner: try Person("owner@example.org"),
            sponsor: try Person("sponsor@example.org"))
    }

    @discardableResult
    func resource(_ id: String = "api://b", scopes: String = "read write admin") async throws -> ProtectedResource {
        try await directory.createResource(ResourceDraft(id: id, scopes: Scope(scopes)), by: Self.admin)
    }

    @discardableResult
    func grant(
        _ agent: AgentIdentity, _ resource: String = "api://b", scopes: String = "read", expiresAt: UnixTime? = nil
    ) async throws -> AgentGrant {
        try await directory.createGrant(
            GrantDraft(agentID: agent.id, resourceID: resource, scopes: Scope(scopes), expiresAt: expiresAt),
            by: Self.admin)
    }

    static func federated(
        _ name: String = "fic", issuer: String = "https://issuer.example", subject: String = "sub"
    ) throws -> FederatedCredential {
        try FederatedCredential(name: AgentName(name), issuer: issuer, subject: .exactly(subject))
    }

    static func matching(_ issuer: String, _ expression: String) throws -> FederatedCredential {
        try FederatedCredential(
            name: AgentName("expression"), issuer: issuer, subject: .matching(ClaimsExpression(expression)))
    }
}

extension DirectorySnapshot {
    /// Everything in a fixed order.
    var contents: [DirectoryRecord] {
        let all =
            allBlueprints.map { DirectoryRecord.blueprint($0) } + allAgents.map { .agent($0) }
            + allResources.map { .resource($0) } + allGrants.map { .grant($0) }
        return all.sorted { ($0.kind.rawValue, $0.id) < ($1.kind.rawValue, $1.id) }
    }
}

/// One leaf of the audit log.
struct Event {
    let json: JSONValue
    let bytes: [UInt8]

    init(_ leaf: [UInt8]) throws {
        bytes = leaf
        json = try JSONValue(parsing: leaf)
    }

    var type: String? { text("type") }
    var phase: String? { text("phase") }
    var result: String? { text("decision", "result") }
    var reason: String? { text("decision", "reason") }
    var observed: String? { text("effect", "observed") }

    /// Type, phase, result and observed effect in one text.
    var summary: String { [type, phase, result, observed].map { $0 ?? "-" }.joined(separator: " ") }

    func text(_ path: String...) -> String? {
        var value: JSONValue? = json
        for name in path { value = value?.objectValue?[name] }
        return value?.stringValue
    }
}
