package import AuditTrail
import GRDB
package import SPIFFE
import SQLiteFile

/// How far each node's spool has been taken into the log, in `registry.sqlite`.
package struct SQLiteSpoolCursorStore: SpoolCursorStore {
    let database: SQLiteDatabase

    package func cursor(of node: SPIFFEID) async throws(AuditStoreError) -> SpoolCursor? {
        let result = await database.read { db in
            try Row.fetchOne(
                db, sql: "SELECT spool, sequence, hash FROM spool_cursor WHERE node = ?", arguments: [node.string]
            ).map {
                SpoolCursor(
                    node: node, spool: try $0.decode(atIndex: 0),
                    sequence: UInt64(clamping: try $0.decode(Int64.self, atIndex: 1)), hash: try $0.bytes(2))
            }
        }
        do { return try result.get() } catch { throw AuditStoreError(storage: error) }
    }

    package func save(_ cursor: SpoolCursor) async throws(AuditStoreError) {
        let result = await database.write { db in
            try db.cachedStatement(
                sql: "INSERT OR REPLACE INTO spool_cursor (node, spool, sequence, hash) VALUES (?, ?, ?, ?)"
            ).execute(arguments: [
                cursor.node.string, cursor.spool, Int64(clamping: cursor.sequence), BlobValue.make(cursor.hash),
            ])
        }
        do { try result.get() } catch { throw AuditStoreError(storage: error) }
    }
}
