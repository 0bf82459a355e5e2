import GRDB
package import Issuance
package import Registry
import Revocation
import SPIFFE
import SQLiteFile

/// What is revoked, in `registry.sqlite`.
package struct SQLiteRevocationStore: RevocationStore {
    let database: SQLiteDatabase

    package func load() async throws(StoreError) -> StoredRevocations {
        try await database.storeRead { db in
            let rows = try Row.fetchAll(db, sql: "SELECT \(Self.columns) FROM revocation ORDER BY position")
            let sequence = try Int64.fetchOne(db, sql: "SELECT sequence FROM revocation_sequence")
            return StoredRevocations(records: try rows.map(Self.record), sequence: sequence ?? 0)
        }
    }

    package func replace(with revocations: StoredRevocations) async throws(StoreError) {
        try await database.storeWrite { db in
            try db.execute(sql: "DELETE FROM revocation")
            let insert = try db.cachedStatement(
                sql: "INSERT INTO revocation (\(Self.columns)) VALUES (?, ?, ?, ?, ?, ?)")
            for record in revocations.records {
                try insert.execute(arguments: [
                    record.subject.kind.rawValue, record.subject.value, record.expiresAt?.milliseconds,
                    BlobValue.make(text: record.reason), record.createdAt.milliseconds, record.cause?.string,
                ])
            }
            try db.execute(
                sql: "INSERT OR REPLACE INTO revocation_sequence (id, sequence) VALUES (0, ?)",
                arguments: [revocations.sequence])
        }
    }

    // `position` is left to SQLite: rows of one transaction count up in the order of the records.
    private static let columns = "kind, value, expires_at, reason, created_at, cause"

    private static func record(_ row: Row) throws -> RevocationRecord {
        guard let kind = RevokedSubject.Kind(rawValue: try row.decode(atIndex: 0)) else {
            throw StoreError.failed("a stored revocation is damaged")
        }
        return RevocationRecord(
            subject: try RevokedSubject(kind: kind, value: try row.decode(atIndex: 1)),
            expiresAt: try row.optionalTime(2), reason: try row.freeText(3), createdAt: try row.time(4),
            cause: try row.decodeIfPresent(String.self, atIndex: 5).map { try SPIFFEID($0) })
    }
}
