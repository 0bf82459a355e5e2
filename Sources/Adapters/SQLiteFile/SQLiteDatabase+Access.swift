package import GRDB

extension SQLiteDatabase {
    /// Runs one transaction, durable when this returns. Not cut short when the calling task is cancelled.
    package func write<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async -> Result<Value, any Error> {
        await withUnsafeContinuation { caller in
            connections.asyncWriteWithoutTransaction { db in
                caller.resume(
                    returning: Result { try db.immediately { try body(db) } })
            }
        }
    }

    /// Reads one consistent state.
    package func read<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async -> Result<Value, any Error> {
        await withUnsafeContinuation { caller in
            connections.asyncRead { access in
                caller.resume(returning: Result { try body(try access.get()) })
            }
        }
    }
}

extension Database {
    /// One transaction with the write lock from its start, by statements that are parsed once: GRDB's `inTransaction`
    /// parses its two anew each time.
    fileprivate func immediately<Value>(_ body: () throws -> Value) throws -> Value {
        try cachedStatement(sql: "BEGIN IMMEDIATE").execute()
        do {
            let value = try body()
            try cachedStatement(sql: "COMMIT").execute()
            return value
        } catch {
            // A full disk or a failed write may have ended the transaction already.
            if isInsideTransaction { try? rollback() }
            throw error
        }
    }
}
