import GRDB
package import Registry
package import SPIFFE
import SQLiteFile

/// Unused join tokens in `registry.sqlite`.
package struct SQLiteJoinTokenStore: JoinTokenStore {
    let database: SQLiteDatabase

    package func insert(_ token: JoinTokenRecord) async throws(StoreError) {
        try await database.storeWrite { db in
            try db.cachedStatement(sql: "INSERT INTO join_token (digest, expires_at) VALUES (?, ?)")
                .execute(arguments: [token.digest, token.expiresAt.milliseconds])
        }
    }

    package func consume(digest: String) async throws(StoreError) -> JoinTokenRecord? {
        try await database.storeWrite { db in
            // One statement deletes and returns, so that no two callers can both see the token.
            let delete = try db.cachedStatement(
                sql: "DELETE FROM join_token WHERE digest = ? RETURNING digest, expires_at")
            return try Row.fetchOne(delete, arguments: [digest]).map {
                JoinTokenRecord(digest: try $0.decode(atIndex: 0), expiresAt: try $0.time(1))
            }
        }
    }

    package func deleteExpired(at time: UnixTime) async throws(StoreError) -> Int {
        try await database.storeWrite { db in
            try db.execute(sql: "DELETE FROM join_token WHERE expires_at <= ?", arguments: [time.milliseconds])
            return db.changesCount
        }
    }
}
