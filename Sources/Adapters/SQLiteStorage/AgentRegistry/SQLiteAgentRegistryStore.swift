package import AgentRegistry
import GRDB
package import Registry
import SQLiteFile

/// The agent registry, in `registry.sqlite`: one row of canonical JSON for each agent, and its cards as they came.
package struct SQLiteAgentRegistryStore: AgentRegistryStore {
    let database: SQLiteDatabase

    package func load() async throws(StoreError) -> [StoredAgent] {
        try await database.storeRead { db in
            var agents: [StoredAgent] = []
            let rows = try Row.fetchCursor(db, sql: "SELECT id, body FROM registered_agent")
            while let row = try rows.next() {
                let agent = try RegisteredAgent(id: row.decode(atIndex: 0), storedBytes: row.bytes(1))
                agents.append(StoredAgent(agent: agent, cards: []))
            }
            let card = try db.cachedStatement(sql: "SELECT body FROM agent_card WHERE agent = ? AND digest = ?")
            for index in agents.indices {
                let agent = agents[index].agent
                for digest in agent.heldDigests {
                    guard let row = try Row.fetchOne(card, arguments: [agent.id, digest]) else { continue }
                    agents[index].cards.append(try row.bytes(0))
                }
            }
            return agents
        }
    }

    package func apply(_ changes: [AgentRegistryChange]) async throws(StoreError) {
        try await database.storeWrite { db in
            for change in changes {
                switch change {
                case .put(let agent):
                    try db.cachedStatement(sql: "INSERT OR REPLACE INTO registered_agent (id, body) VALUES (?, ?)")
                        .execute(arguments: [agent.id, BlobValue.make(agent.storedBytes)])
                case .putCard(let id, let digest, let bytes):
                    try db.cachedStatement(
                        sql: "INSERT OR IGNORE INTO agent_card (agent, digest, body) VALUES (?, ?, ?)"
                    ).execute(arguments: [id, digest, BlobValue.make(bytes)])
                case .deleteCard(let id, let digest):
                    try db.cachedStatement(sql: "DELETE FROM agent_card WHERE agent = ? AND digest = ?")
                        .execute(arguments: [id, digest])
                case .delete(let id):
                    try db.cachedStatement(sql: "DELETE FROM registered_agent WHERE id = ?").execute(arguments: [id])
                    try db.cachedStatement(sql: "DELETE FROM agent_card WHERE agent = ?").execute(arguments: [id])
                }
            }
        }
    }

    package func card(agentID: String, digest: String) async throws(StoreError) -> [UInt8]? {
        try await database.storeRead { db in
            try Row.fetchOne(
                db, sql: "SELECT body FROM agent_card WHERE agent = ? AND digest = ?", arguments: [agentID, digest]
            )?.bytes(0)
        }
    }
}
