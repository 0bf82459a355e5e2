import AgentDirectory
import AgentRegistry
import AgentShieldTesting
import GRDB
import Registry
import SPIFFE
import Testing

@testable import SQLiteFile
@testable import SQLiteStorage

struct AgentRegistryStoreTests {
    private static let time = UnixTime(milliseconds: 1_800_000_000_001)

    private static func agent(
        _ id: String, digest: String, stage: CardVersion.Stage = .pending, reason: String? = nil
    ) throws -> RegisteredAgent {
        RegisteredAgent(
            id: id, name: try AgentName("name-\(id)"), identity: try SPIFFEID("spiffe://example.org/\(id)"),
            visibility: .everyone, life: reason.map { .revoked(reason: $0) } ?? .open,
            versions: [
                CardVersion(
                    number: 1, version: "1", digest: digest, signature: .unsigned, source: .agent, registeredAt: time,
                    stage: stage)
            ], createdAt: time)
    }

    /// A store, and a second one that sees what is on disk where there is a disk.
    private static func stores(
        _ kind: RegistryStoreKind, _ directory: TemporaryDirectory
    ) throws -> [any AgentRegistryStore] {
        switch kind {
        case .memory: [InMemoryAgentRegistryStore()]
        case .sqliteInMemory: [try SQLiteRegistryDatabase.inMemory().agentRegistryStore]
        case .sqliteFile:
            [
                try SQLiteRegistryDatabase.open(directory: directory.path).agentRegistryStore,
                try SQLiteRegistryDatabase.open(directory: directory.path).agentRegistryStore,
            ]
        }
    }

    @Test(arguments: RegistryStoreKind.allCases)
    func `what is put is there with the cards that are needed, what is deleted is not`(
        kind: RegistryStoreKind
    ) async throws {
        let directory = try TemporaryDirectory()
        let stores = try Self.stores(kind, directory)
        let first = try Self.agent("1", digest: "d1")
        let second = try Self.agent("2", digest: "d1")
        func expect(_ agents: [StoredAgent], _ location: SourceLocation = #_sourceLocation) async throws {
            for store in stores {
                let stored = try await store.load().sorted { $0.agent.id < $1.agent.id }
                #expect(stored == agents, sourceLocation: location)
            }
        }
        try await expect([])
        try await stores[0].apply([
            .put(first), .putCard(agentID: "1", digest: "d1", bytes: [1, 0, 255]),
            .putCard(agentID: "1", digest: "old", bytes: [7]), .put(second),
            .putCard(agentID: "2", digest: "d1", bytes: []),
        ])
        try await expect([StoredAgent(agent: first, cards: [[1, 0, 255]]), StoredAgent(agent: second, cards: [[]])])
        for store in stores {
            #expect(try await store.card(agentID: "1", digest: "old") == [7])
            #expect(try await store.card(agentID: "2", digest: "old") == nil)
        }
        let changed = try Self.agent("1", digest: "old", reason: "é\u{0}")
        try await stores[0].apply([.put(changed), .deleteCard(agentID: "1", digest: "d1"), .delete(id: "2")])
        try await expect([StoredAgent(agent: changed, cards: [[7]])])
        for store in stores {
            #expect(try await store.card(agentID: "1", digest: "d1") == nil)
            #expect(try await store.card(agentID: "2", digest: "d1") == nil)
        }
    }

    @Test func `a change that fails half way leaves nothing`() async throws {
        let directory = try TemporaryDirectory()
        let database = try SQLiteRegistryDatabase.open(directory: directory.path)
        try await database.database.connections.write { db in
            try db.execute(
                sql: """
                    CREATE TRIGGER stop BEFORE INSERT ON agent_card WHEN NEW.digest = 'bad'
                    BEGIN SELECT RAISE(ABORT, 'no'); END
                    """)
        }
        let store = database.agentRegistryStore
        await #expect(throws: StoreError.self) {
            try await store.apply([
                .put(try Self.agent("1", digest: "bad")), .putCard(agentID: "1", digest: "bad", bytes: [1]),
            ])
        }
        #expect(try await store.load().isEmpty)
    }

    @Test func `a damaged record is an error`() async throws {
        let directory = try TemporaryDirectory()
        let database = try SQLiteRegistryDatabase.open(directory: directory.path)
        try await database.database.connections.write { db in
            try db.execute(sql: "INSERT INTO registered_agent (id, body) VALUES ('1', x'7b7d')")
        }
        await #expect(throws: StoreError.failed("the stored agent `1` is damaged")) {
            try await database.agentRegistryStore.load()
        }
    }
}
