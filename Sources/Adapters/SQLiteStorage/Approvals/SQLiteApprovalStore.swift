package import Approvals
import GRDB
package import Registry
import SQLiteFile

/// Approvals, in `registry.sqlite`: one row of canonical JSON each.
package struct SQLiteApprovalStore: ApprovalStore {
    let database: SQLiteDatabase

    package func load() async throws(StoreError) -> [Approval] {
        try await database.storeRead { db in
            var approvals: [Approval] = []
            let rows = try Row.fetchCursor(db, sql: "SELECT id, body FROM approval")
            while let row = try rows.next() {
                approvals.append(try Approval(id: row.decode(atIndex: 0), storedBytes: row.bytes(1)))
            }
            return approvals
        }
    }

    package func apply(_ changes: [ApprovalChange]) async throws(StoreError) {
        try await database.storeWrite { db in
            for change in changes {
                switch change {
                case .put(let approval):
                    try db.cachedStatement(sql: "INSERT OR REPLACE INTO approval (id, body) VALUES (?, ?)")
                        .execute(arguments: [approval.id, BlobValue.make(approval.storedBytes)])
                case .delete(let id):
                    try db.cachedStatement(sql: "DELETE FROM approval WHERE id = ?").execute(arguments: [id])
                }
            }
        }
    }
}
