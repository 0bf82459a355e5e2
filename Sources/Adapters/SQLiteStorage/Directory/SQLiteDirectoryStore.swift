package import AgentDirectory
import GRDB
package import Registry
import SQLiteFile

/// Blueprints, agents, resources and grants, in `registry.sqlite`: one row of canonical JSON each.
package struct SQLiteDirectoryStore: DirectoryStore {
    let database: SQLiteDatabase

    package func load() async throws(StoreError) -> DirectorySnapshot {
        try await database.storeRead { db in
            var snapshot = DirectorySnapshot()
            var pool = TextPool()
            // Row by row: the bodies of a large directory need not be in memory all at once.
            let rows = try Row.fetchCursor(db, sql: "SELECT kind, id, body FROM directory_record")
            while let row = try rows.next() {
                try snapshot.restore(
                    DirectoryRecord(
                        kind: row.decode(atIndex: 0), id: row.decode(atIndex: 1), storedBytes: row.bytes(2),
                        pool: &pool))
            }
            try snapshot.checkRestored()
            return snapshot
        }
    }

    package func apply(_ changes: [DirectoryChange]) async throws(StoreError) {
        try await database.storeWrite { db in
            for change in changes {
                switch change {
                case .put(let record):
                    try db.cachedStatement(
                        sql: "INSERT OR REPLACE INTO directory_record (kind, id, body) VALUES (?, ?, ?)"
                    ).execute(arguments: [record.kind.rawValue, record.id, BlobValue.make(record.storedBytes)])
                case .delete(let kind, let id):
                    try db.cachedStatement(sql: "DELETE FROM directory_record WHERE kind = ? AND id = ?")
                        .execute(arguments: [kind.rawValue, id])
                }
            }
        }
    }
}
