import Attestation
import AuditTrail
import Crypto
import JOSE
import SPIFFE
import Synchronization
import Testing
import TransparencyLog

@testable import Registry

/// A clock that only moves when told.
final class TestClock: Sendable {
    private let time = Mutex(UnixTime(seconds: 1_800_000_000))

    var now: UnixTime { time.withLock { $0 } }
    func advance(seconds: Int64) { time.withLock { $0 = $0 + seconds } }
    func advance(milliseconds: Int64) { time.withLock { $0 = $0.adding(milliseconds: milliseconds) } }
}

/// An audit store that can be told to be full.
final class TestAuditStore: AuditStore {
    private let base = MemoryAuditStore()
    private let isFull = Mutex(false)

    func setFull(_ full: Bool) { isFull.withLock { $0 = full } }

    func loadTail() async throws(AuditStoreError) -> AuditTail { try await base.loadTail() }
    func commit(_ batch: AuditBatch) async throws(AuditStoreError) {
        guard !isFull.withLock({ $0 }) else { throw .storageFull }
        try await base.commit(batch)
    }
    func entries(from index: Int64, count: Int) async throws(AuditStoreError) -> [AuditEntry] {
        try await base.entries(from: index, count: count)
    }
    func tile(_ coordinate: TileCoordinate) async throws(AuditStoreError) -> Tile? { try await base.tile(coordinate) }
    func checkpoint() async throws(AuditStoreError) -> [UInt8]? { try await base.checkpoint() }
}

/// A registry over memory with a running audit log.
struct TestBed: Sendable {
    let clock = TestClock()
    let entries = TestEntryStore()
    let nodes = TestNodeStore()
    let tokens = TestJoinTokenStore()
    let bundles = TestBundleStore()
    let relationships = TestRelationshipStore()
    let auditStore = TestAuditStore()
    let log: AuditLog
    let registry: Registry

    static let trustDomain = try! TrustDomain("example.org")
    static let admin = AuditEvent.AgentField(authMethod: .unixSocket, peer: AuditEvent.PeerField(uid: 0, pid: 42))

    var stores: RegistryStores {
        RegistryStores(
            entries: entries, nodes: nodes, joinTokens: tokens, federatedBundles: bundles,
            federationRelationships: relationships)
    }

    private init(options: Registry.Options) async throws {
        let clock = clock
        log = try await AuditLog.open(
            store: auditStore,
            signer: NoteSigner(name: "example.org/log", privateKey: Curve25519.Signing.PrivateKey()),
            origin: "example.org/log", now: { clock.now }, randomBytes: Self.randomBytes)
        registry = try await Registry.open(
            trustDomain: Self.trustDomain,
            stores: RegistryStores(
                entries: entries, nodes: nodes, joinTokens: tokens, federatedBundles: bundles,
                federationRelationships: relationships),
            audit: log, now: { clock.now }, randomBytes: Self.randomBytes, options: options)
    }

    /// Runs the body with a fresh registry.
    static func run(
        options: Registry.Options = Registry.Options(), _ body: @Sendable (TestBed) async throws -> Void
    ) async throws {
        let bed = try await TestBed(options: options)
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

    /// The registry as a new process would find it.
    func reopened() async throws -> Registry {
        let clock = clock
        return try await Registry.open(
            trustDomain: Self.trustDomain, stores: stores, audit: log, now: { clock.now },
            randomBytes: Self.randomBytes)
    }

    /// The audit log's leaves from an index on.
    func events(from index: Int64 = 0) async throws -> [Event] {
        try await log.entries(from: index, count: 100_000).map { try Event($0.leaf) }
    }

    static func randomBytes(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }

    // MARK: Shorthands

    @discardableResult
    func create(
        _ path: String, parent: SPIFFEID? = nil, _ selectors: [String] = ["unix:uid:1"], expiresAt: UnixTime? = nil
    ) async throws -> RegistrationEntry {
        let draft = try EntryDraft(
            spiffeID: id(path), parentID: parent, selectors: selectors.map { try Selector(parsing: $0) },
            expiresAt: expiresAt)
        let creation = try await registry.createEntry(draft, by: Self.admin, requestID: "r")
        guard case .created(let entry) = creation else { throw Unexpected() }
        return entry
    }

    @discardableResult
    func register(
        _ name: String, serial: UInt8 = 1, ttl: Int64 = 3600, canReattest: Bool = false, selectors: [String] = [],
        type: String = "join_token"
    ) async throws -> NodeRecord {
        try await registry.registerNode(
            NodeRegistration(
                id: node(name), attestationType: type, serial: SerialNumber([serial]), expiresAt: clock.now + ttl,
                canReattest: canReattest, selectors: selectors.map { try Selector(parsing: $0) }),
            by: Self.admin, requestID: "r")
    }

    func addBundle(_ name: String) async throws {
        try await registry.writeFederatedBundle(
            TrustDomain(name), document: Array("{}".utf8), .set, by: Self.admin, requestID: "r")
    }

    /// Snapshot, store and a fresh registry over the store must tell the same.
    func expectConsistent(_ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let fresh = try await reopened()
        let shown = try registry.entries().items
        #expect(shown == (try fresh.entries().items), comment, sourceLocation: sourceLocation)
        #expect(Set(shown) == Set(entries.table.records.values), comment, sourceLocation: sourceLocation)
        let shownNodes = try registry.nodes().items
        #expect(shownNodes == (try fresh.nodes().items), comment, sourceLocation: sourceLocation)
        #expect(Set(shownNodes) == Set(nodes.table.records.values), comment, sourceLocation: sourceLocation)
        let shownBundles = try registry.federatedBundles().items
        #expect(Set(shownBundles) == Set(bundles.table.records.values), comment, sourceLocation: sourceLocation)
        let shownRelationships = registry.federationRelationships()
        #expect(shownRelationships == fresh.federationRelationships(), comment, sourceLocation: sourceLocation)
        #expect(
            Set(shownRelationships) == Set(relationships.table.records.values), comment, sourceLocation: sourceLocation)
    }

    /// How often the stores of entries, nodes, bundles and relationships were written to.
    var writes: Int {
        entries.table.writes + nodes.table.writes + bundles.table.writes + relationships.table.writes
    }

    func addRelationship(
        _ name: String, _ mode: RelationshipWrite = .create, url: String = "https://x.example/bundle",
        profile: FederationRelationship.Profile = .web
    ) async throws {
        try await registry.writeFederationRelationship(
            FederationRelationship(
                trustDomain: TrustDomain(name), bundleEndpointURL: HTTPSURL(url), profile: profile),
            mode, by: Self.admin, requestID: "r")
    }
}

struct Unexpected: Error {}

func id(_ path: String) throws -> SPIFFEID { try SPIFFEID(trustDomain: TestBed.trustDomain, path: path) }
func node(_ name: String) throws -> SPIFFEID { try id("/spire/agent/join_token/" + name) }

/// One leaf of the audit log.
struct Event {
    let json: JSONValue

    init(_ leaf: [UInt8]) throws { json = try JSONValue(parsing: leaf) }

    var id: String? { text("id") }
    var type: String? { text("type") }
    var phase: String? { text("phase") }
    var action: String? { text("decision", "action") }
    var result: String? { text("decision", "result") }
    var reason: String? { text("decision", "reason") }
    var resource: String? { text("resource", "id") }
    var intentID: String? { text("correlation", "intent_id") }
    var observed: String? { text("effect", "observed") }

    /// Type, phase, result and observed effect in one text.
    var summary: String { [type, phase, result, observed].map { $0 ?? "-" }.joined(separator: " ") }

    func text(_ path: String...) -> String? {
        var value: JSONValue? = json
        for name in path { value = value?.objectValue?[name] }
        return value?.stringValue
    }
}
