import GRDB

extension SQLiteDatabase {
    /// Runs one transaction, durable when this returns. Not cut short when the calling task is cancelled.
    func write<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async -> Result<Value, any Error> {
        await withUnsafeContinuation { caller in
            connections.asyncWriteWithoutTransaction { db in
                caller.resume(
                    returning: Result {
                        var value: Value?
                        try db.inTransaction(.immediate) {
                            value = try body(db)
                            return .commit
                        }
                        guard let value else { throw DatabaseError(message: "the transaction gave nothing") }
                        return value
                    })
            }
        }
    }

    /// Reads one consistent state.
    func read<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async -> Result<Value, any Error> {
        await withUnsafeContinuation { caller in
            connections.asyncRead { access in
                caller.resume(returning: Result { try body(try access.get()) })
            }
        }
    }
}
