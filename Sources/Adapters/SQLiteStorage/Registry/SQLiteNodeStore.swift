import Attestation
import GRDB
package import Registry
package import SPIFFE
import SQLiteFile

/// Node agents in `registry.sqlite`.
package struct SQLiteNodeStore: NodeStore {
    let database: SQLiteDatabase

    package func allNodes() async throws(StoreError) -> [NodeRecord] {
        try await database.storeRead { db in
            try Row.fetchAll(db, sql: "SELECT \(Self.columns) FROM node").map(Self.node)
        }
    }

    package func node(id: SPIFFEID) async throws(StoreError) -> NodeRecord? {
        try await database.storeRead { db in
            try Row.fetchOne(db, sql: "SELECT \(Self.columns) FROM node WHERE id = ?", arguments: [id.string])
                .map(Self.node)
        }
    }

    package func apply(_ changes: [NodeChange]) async throws(StoreError) {
        try await database.storeWrite { db in
            for change in changes {
                switch change {
                case .put(let node):
                    try db.cachedStatement(
                        sql: "INSERT OR REPLACE INTO node (\(Self.columns)) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                    ).execute(arguments: Self.arguments(node))
                case .delete(let id):
                    try db.cachedStatement(sql: "DELETE FROM node WHERE id = ?").execute(arguments: [id.string])
                }
            }
        }
    }

    private static let columns = """
        id, attestation_type, current_serial, current_expires_at, pending_serial, pending_expires_at, can_reattest, \
        selectors, agent_version, is_banned, created_at
        """

    private static func arguments(_ node: NodeRecord) -> StatementArguments {
        [
            node.id.string, node.attestationType, node.currentSerial?.hex, node.currentExpiresAt.milliseconds,
            node.pendingSerial?.hex, node.pendingExpiresAt?.milliseconds, node.canReattest,
            StoredList.encode(node.selectors.map(\.description)), BlobValue.make(text: node.agentVersion),
            node.isBanned,
            node.createdAt.milliseconds,
        ]
    }

    private static func node(_ row: Row) throws -> NodeRecord {
        NodeRecord(
            id: try SPIFFEID(row.decode(atIndex: 0)), attestationType: try row.decode(atIndex: 1),
            currentSerial: try serial(row, 2), currentExpiresAt: try row.time(3), pendingSerial: try serial(row, 4),
            pendingExpiresAt: try row.optionalTime(5), canReattest: try row.decode(atIndex: 6),
            selectors: try StoredList.decode(row.decode(atIndex: 7)).map { try Selector(parsing: $0) },
            isBanned: try row.decode(atIndex: 9), agentVersion: try row.freeText(8),
            createdAt: try row.time(10))
    }

    private static func serial(_ row: Row, _ column: Int) throws -> SerialNumber? {
        try row.decodeIfPresent(String.self, atIndex: column).map { try SerialNumber(hex: $0) }
    }
}
