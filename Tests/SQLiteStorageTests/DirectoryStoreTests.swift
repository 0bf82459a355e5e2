import AgentDirectory
import AgentShieldTesting
import GRDB
import OAuth
import Registry
import SPIFFE
import Testing

@testable import SQLiteStorage

struct DirectoryStoreTests {
    private static let time = UnixTime(milliseconds: 1_800_000_000_001)

    private static func blueprint(_ id: String) throws -> AgentBlueprint {
        AgentBlueprint(
            id: id, name: try AgentName("name-\(id)"), description: "\u{0}é", allowedScopes: try Scope("a b"),
            allowedAudiences: ["api://b"], credentialKinds: [.jwtSVID], sponsor: try Person("p"), createdAt: time)
    }

    private static func agent(_ id: String, owner: String = "o") throws -> AgentIdentity {
        AgentIdentity(
            id: id, name: try AgentName("name-\(id)"), spiffeID: try SPIFFEID("spiffe://example.org/\(id)"),
            blueprintID: "b", owner: try Person(owner), sponsor: try Person("s"), createdAt: time,
            federatedCredentials: [
                try FederatedCredential(name: AgentName("f"), issuer: "https://i.example", subject: .exactly("s"))
            ])
    }

    private static func resource(_ id: String) throws -> ProtectedResource {
        ProtectedResource(id: id, scopes: try Scope("a"), createdAt: time)
    }

    private static func grant(_ id: String, _ agent: String, _ resource: String) throws -> AgentGrant {
        AgentGrant(id: id, agentID: agent, resourceID: resource, scopes: try Scope("a"), createdAt: time)
    }

    /// A store, and a second one that sees what is on disk where there is a disk.
    private static func stores(
        _ kind: RegistryStoreKind, _ directory: TemporaryDirectory
    ) throws -> [any DirectoryStore] {
        switch kind {
        case .memory: [InMemoryDirectoryStore()]
        case .sqliteInMemory: [try SQLiteRegistryDatabase.inMemory().directoryStore]
        case .sqliteFile:
            [
                try SQLiteRegistryDatabase.open(directory: directory.path).directoryStore,
                try SQLiteRegistryDatabase.open(directory: directory.path).directoryStore,
            ]
        }
    }

    private func expect(
        _ records: [DirectoryRecord], in stores: [any DirectoryStore], _ location: SourceLocation = #_sourceLocation
    ) async throws {
        for store in stores {
            let snapshot = try await store.load()
            let count =
                snapshot.blueprintCount + snapshot.agentCount + snapshot.resourceCount + snapshot.grantCount
            #expect(count == records.count, sourceLocation: location)
            for record in records {
                #expect(snapshot.record(record.kind, record.id) == record, sourceLocation: location)
            }
        }
    }

    @Test(arguments: RegistryStoreKind.allCases)
    func `what is put is there, what is deleted is not, and one identifier may name one of each kind`(
        kind: RegistryStoreKind
    ) async throws {
        let directory = try TemporaryDirectory()
        let stores = try Self.stores(kind, directory)
        let store = stores[0]
        try await expect([], in: stores)
        let blueprint = DirectoryRecord.blueprint(try Self.blueprint("b"))
        let agent = DirectoryRecord.agent(try Self.agent("x"))
        let resource = DirectoryRecord.resource(try Self.resource("api://b"))
        let grant = DirectoryRecord.grant(try Self.grant("x", "x", "api://b"))
        try await store.apply([.put(blueprint), .put(agent), .put(resource), .put(grant)])
        try await expect([blueprint, agent, resource, grant], in: stores)
        let newer = DirectoryRecord.agent(try Self.agent("x", owner: "new"))
        try await store.apply([.put(newer), .delete(.grant, id: "x"), .delete(.grant, id: "nobody")])
        try await expect([blueprint, newer, resource], in: stores)
        // In order: what is deleted and put is there.
        try await store.apply([.delete(.resource, id: "api://b"), .put(resource)])
        try await expect([blueprint, newer, resource], in: stores)
        try await store.apply([])
        try await store.apply([.put(resource), .delete(.resource, id: "api://b")])
        try await expect([blueprint, newer], in: stores)
    }

    @Test(arguments: [
        "UPDATE directory_record SET body = x'7b7d'",
        "UPDATE directory_record SET body = x''",
        "UPDATE directory_record SET body = CAST(replace(CAST(body AS TEXT), '\"enabled\":true', '\"enabled\":1') AS BLOB)",
        "UPDATE directory_record SET id = 'other' WHERE kind = 'blueprint'",
        "UPDATE directory_record SET kind = 'other' WHERE kind = 'agent'",
        "INSERT INTO directory_record SELECT 'unknown', 'x', body FROM directory_record LIMIT 1",
        "DELETE FROM directory_record WHERE kind = 'agent'",
        "DELETE FROM directory_record WHERE kind = 'resource'",
    ])
    func `a damaged row is an error, not a gap`(damage: String) async throws {
        let database = try SQLiteRegistryDatabase.inMemory()
        let store = database.directoryStore
        try await store.apply([
            .put(.blueprint(try Self.blueprint("b"))), .put(.agent(try Self.agent("a"))),
            .put(.resource(try Self.resource("api://b"))), .put(.grant(try Self.grant("g", "a", "api://b"))),
        ])
        _ = try await store.load()
        try await database.database.storeWrite { try $0.execute(sql: damage) }
        await #expect { _ = try await store.load() } throws: { error in
            if case .failed = error as? StoreError { true } else { false }
        }
    }

    @Test func `ten thousand agents are stored and loaded`() async throws {
        let directory = try TemporaryDirectory()
        let database = try SQLiteRegistryDatabase.open(directory: directory.path)
        let store = database.directoryStore
        var changes: [DirectoryChange] = [
            .put(.blueprint(try Self.blueprint("b"))), .put(.resource(try Self.resource("api://b"))),
        ]
        for number in 0..<10_000 {
            changes.append(.put(.agent(try Self.agent("agent-\(number)"))))
            changes.append(.put(.grant(try Self.grant("grant-\(number)", "agent-\(number)", "api://b"))))
        }
        try await store.apply(changes)
        let snapshot = try await store.load()
        #expect(snapshot.agentCount == 10_000 && snapshot.grantCount == 10_000)
        #expect(snapshot.agent(named: "name-agent-9999")?.id == "agent-9999")
        #expect(snapshot.grants(ofAgent: "agent-7").map(\.id) == ["grant-7"])
    }
}
