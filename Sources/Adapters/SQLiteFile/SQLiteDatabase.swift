import GRDB

/// One SQLite file, opened by the rules that make its writes durable, or a database in memory.
///
/// Write-ahead log, `synchronous = FULL` asserted after opening, `application_id` and `user_version` checked,
/// `quick_check` before anything else is read.
package final class SQLiteDatabase: Sendable {
    /// The file, or `:memory:`.
    package let path: String
    let connections: any DatabaseWriter

    private init(path: String, connections: any DatabaseWriter) {
        self.path = path
        self.connections = connections
    }

    /// Opens or creates the file and brings it to the newest version.
    package static func open(path: String, schema: DatabaseSchema) throws(SQLiteStorageError) -> SQLiteDatabase {
        try PrivateFile.create(path)
        do {
            // The pool switches to the write-ahead log and resets `synchronous` after its own preparation: hence below.
            let pool = try DatabasePool(path: path, configuration: configuration(path))
            let database = SQLiteDatabase(path: path, connections: pool)
            try pool.writeWithoutTransaction { db in
                try checkContent(db, schema, path)
                try migrate(db, schema)
                try db.execute(sql: "PRAGMA synchronous = FULL")
            }
            guard try database.isDurable() else { throw SQLiteStorageError.notDurable(path: path) }
            return database
        } catch let error as SQLiteStorageError { throw error } catch { throw SQLiteStorageError(error, path: path) }
    }

    /// Opens an existing file to read, also while its owner writes to it.
    package static func openReadOnly(path: String, schema: DatabaseSchema) throws(SQLiteStorageError) -> SQLiteDatabase
    {
        var configuration = configuration(path)
        configuration.readonly = true
        do {
            let queue = try DatabaseQueue(path: path, configuration: configuration)
            try queue.read { db in
                try checkIdentity(db, schema, path)
                guard try version(of: db) > 0 else { throw SQLiteStorageError.foreign(path: path) }
            }
            return SQLiteDatabase(path: path, connections: queue)
        } catch let error as SQLiteStorageError { throw error } catch let error as DatabaseError
            where error.resultCode == .SQLITE_CANTOPEN
        { throw .notFound(path: path) } catch {
            throw SQLiteStorageError(error, path: path)
        }
    }

    /// An empty database that ends with the process.
    package static func inMemory(schema: DatabaseSchema) throws(SQLiteStorageError) -> SQLiteDatabase {
        do {
            let queue = try DatabaseQueue(configuration: configuration(":memory:"))
            try queue.writeWithoutTransaction { try migrate($0, schema) }
            return SQLiteDatabase(path: ":memory:", connections: queue)
        } catch { throw SQLiteStorageError(error, path: ":memory:") }
    }

    /// Whether a commit is on the disk when it returns.
    package func isDurable() throws -> Bool {
        try connections.writeWithoutTransaction { db in
            let synchronous = try Int.fetchOne(db, sql: "PRAGMA synchronous")
            let journal = try String.fetchOne(db, sql: "PRAGMA journal_mode")
            return synchronous == 2 && journal == "wal"
        }
    }

    /// Closes all connections; later calls fail. Also happens when the last reference goes.
    package func close() {
        // The pool closes its readers last, and a reader cannot do what SQLite otherwise does on closing.
        try? connections.writeWithoutTransaction { _ = try $0.checkpoint(.truncate) }
        try? connections.close()
    }

    private static func configuration(_ path: String) -> Configuration {
        var configuration = Configuration()
        configuration.label = path
        // Reads are rare (snapshots are in memory); each reader costs a page cache.
        configuration.maximumReaderCount = 2
        configuration.busyMode = .timeout(5)
        return configuration
    }

    private static func checkContent(_ db: Database, _ schema: DatabaseSchema, _ path: String) throws {
        let problems = try String.fetchAll(db, sql: "PRAGMA quick_check(1)")
        guard problems == ["ok"] else {
            throw SQLiteStorageError.damaged(path: path, detail: problems.first ?? "quick_check gave nothing")
        }
        try checkIdentity(db, schema, path)
    }

    private static func checkIdentity(_ db: Database, _ schema: DatabaseSchema, _ path: String) throws {
        let id = try Int64.fetchOne(db, sql: "PRAGMA application_id") ?? 0
        let version = try version(of: db)
        let isEmpty = try Int.fetchOne(db, sql: "SELECT count(*) FROM sqlite_master") == 0
        guard id == schema.applicationID || id == 0 && version == 0 && isEmpty else {
            throw SQLiteStorageError.foreign(path: path)
        }
        guard version <= schema.migrations.count else {
            throw SQLiteStorageError.newer(path: path, version: version, supported: schema.migrations.count)
        }
    }

    private static func migrate(_ db: Database, _ schema: DatabaseSchema) throws {
        let current = try version(of: db)
        for (number, sql) in schema.migrations.enumerated().dropFirst(current) {
            try db.inTransaction(.immediate) {
                try db.execute(sql: sql)
                try db.execute(sql: "PRAGMA application_id = \(schema.applicationID)")
                try db.execute(sql: "PRAGMA user_version = \(number + 1)")
                return .commit
            }
        }
    }

    private static func version(of db: Database) throws -> Int {
        try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
    }
}
