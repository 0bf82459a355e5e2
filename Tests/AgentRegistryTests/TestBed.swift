import A2A
import AgentDirectory
import AgentShieldTesting
import AuditTrail
import Crypto
import JOSE
import Registry
import SPIFFE
import Synchronization
import Testing
import TransparencyLog

@testable import AgentRegistry

/// A registry over memory with a running audit log.
struct TestBed: Sendable {
    let clock = ManualClock(UnixTime(seconds: 1_800_000_000))
    let stored: any AgentRegistryStore
    let faults = FaultPlan()
    let auditFaults = FaultPlan()
    let log: AuditLog
    let registry: AgentRegistry
    let outside = Outside()

    /// What the registry asks others.
    final class Outside: Sendable {
        private let state = Mutex<(barred: Set<SPIFFEID>, signatures: [String: CardSignature])>(([], [:]))

        func bar(_ id: SPIFFEID) { state.withLock { _ = $0.barred.insert(id) } }
        func readmit(_ id: SPIFFEID) { state.withLock { _ = $0.barred.remove(id) } }
        func isBarred(_ id: SPIFFEID) -> Bool { state.withLock { $0.barred.contains(id) } }
        /// What the signatures of cards of this version say from now on.
        func judge(version: String, _ signature: CardSignature) {
            state.withLock { $0.signatures[version] = signature }
        }
        func judge(_ bytes: [UInt8]) -> CardSignature {
            let version = (try? JSONValue(parsing: bytes))?.objectValue?["version"]?.stringValue ?? ""
            return state.withLock { $0.signatures[version] } ?? .unsigned
        }
    }

    static let person = try! Person("ann@example.org")
    static let admin = caller(.administrator(person))
    static let unknownAdmin = caller(.administrator(nil))
    /// The name that the agent directory has given to somebody.
    static let directoryName = try! AgentName("in-directory")
    static let directoryID = id("directory-agent")

    static func id(_ name: String) -> SPIFFEID { try! SPIFFEID("spiffe://example.org/\(name)") }

    static func caller(_ right: RegistryCaller.Right) -> RegistryCaller {
        RegistryCaller(right, AuditEvent.AgentField(authMethod: .unixSocket), requestID: "r")
    }

    static func agent(_ name: String) -> RegistryCaller { caller(.agent(id(name))) }

    private init(bounds: AgentRegistryBounds) async throws {
        log = try await AuditLog.open(
            store: FaultyAuditStore(MemoryAuditStore(), plan: auditFaults),
            signer: NoteSigner(name: "example.org/log", privateKey: Curve25519.Signing.PrivateKey()),
            origin: "example.org/log", now: clock.now, randomBytes: Self.randomBytes)
        stored = InMemoryAgentRegistryStore()
        registry = try await Self.open(
            FaultyAgentRegistryStore(stored, plan: faults), log, outside, clock, bounds)
    }

    private static func open(
        _ store: any AgentRegistryStore, _ log: AuditLog, _ outside: Outside, _ clock: ManualClock,
        _ bounds: AgentRegistryBounds = AgentRegistryBounds()
    ) async throws(AgentRegistryError) -> AgentRegistry {
        try await AgentRegistry.open(
            store: store, audit: log, judge: { outside.judge($0) }, barred: { { outside.isBarred($0) } },
            nameHolder: { $0 == directoryName ? directoryID : nil }, now: clock.now, randomBytes: randomBytes,
            bounds: bounds)
    }

    /// Runs the body with a fresh registry.
    static func run(
        bounds: AgentRegistryBounds = AgentRegistryBounds(), _ body: @Sendable (TestBed) async throws -> Void
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

    /// The registry as a new process would find it.
    func reopened(failing plan: FaultPlan = FaultPlan()) async throws(AgentRegistryError) -> AgentRegistry {
        try await Self.open(FaultyAgentRegistryStore(stored, plan: plan), log, outside, clock)
    }

    /// Snapshot, store and a fresh registry over the store must tell the same.
    func expectConsistent(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let fresh = try await reopened()
        #expect(registry.snapshot.contents == fresh.snapshot.contents, sourceLocation: sourceLocation)
        for query in ["", "agent", "analysis"] {
            var wanted = SearchQuery()
            wanted.text = query
            let found = try registry.search(wanted, for: .administrator).items.map(\.listing.agent.name.text)
            let other = try fresh.search(wanted, for: .administrator).items.map(\.listing.agent.name.text)
            #expect(Set(found) == Set(other), sourceLocation: sourceLocation)
        }
    }

    /// The audit log's leaves from an index on, as type, phase, decision and observed effect.
    func events(from index: Int64 = 0) async throws -> [String] {
        try await log.entries(from: index, count: 100_000).map { entry in
            let json = try JSONValue(parsing: entry.leaf).objectValue
            let parts = [
                json?["type"], json?["phase"], json?["decision"]?.objectValue?["result"],
                json?["decision"]?.objectValue?["reason"], json?["effect"]?.objectValue?["observed"],
            ]
            return parts.compactMap { $0?.stringValue }.joined(separator: " ")
        }
    }

    // MARK: shorthands

    static func card(
        _ name: String = "a", version: String = "1", identity: SPIFFEID? = nil, unbound: Bool = false,
        description: String = "An agent", skills: [AgentSkill] = [], url: String = "https://a.example.org/a2a",
        schemes: ProtoMap<SecurityScheme> = [:], requirements: [SecurityRequirement] = []
    ) -> AgentCard {
        let extensions = unbound ? [] : [try! CardIdentity(spiffeID: identity ?? id(name)).agentExtension]
        return AgentCard(
            name: "Agent \(name)", description: description, version: version,
            supportedInterfaces: [AgentInterface(url: url, protocolBinding: .httpJSON)],
            capabilities: AgentCapabilities(extensions: extensions), securitySchemes: schemes,
            securityRequirements: requirements, skills: skills)
    }

    @discardableResult
    func register(
        _ name: String = "a", _ card: AgentCard? = nil, submits: Bool = true, visibility: Visibility? = .everyone,
        by caller: RegistryCaller? = nil
    ) async throws -> Listing {
        try await registry.register(
            CardRegistration(
                name: AgentName(name), card: (card ?? Self.card(name)).jsonBytes, source: .agent, submits: submits,
                visibility: visibility),
            by: caller ?? Self.agent(name))
    }

    /// An agent whose card is served.
    @discardableResult
    func active(
        _ name: String = "a", _ card: AgentCard? = nil, visibility: Visibility = .everyone
    ) async throws -> Listing {
        let listing = try await register(name, card, visibility: visibility)
        return try await registry.approve(name, digest: listing.candidate.digest, by: Self.admin)
    }
}

extension Listing {
    var candidate: CardVersion { agent.candidate! }
}

extension AgentRegistrySnapshot {
    /// Everything in a fixed order.
    var contents: [RegisteredAgent] { all.map(\.agent).sorted { $0.id < $1.id } }
}
