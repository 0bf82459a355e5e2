package import AuditTrail
import GRDB
package import SQLiteFile
package import TransparencyLog

/// The audit log in `audit.sqlite`: entries, tiles and the checkpoint, all of a commit in one transaction.
package final class SQLiteAuditStore: AuditStore {
    /// The file, for those who look after it.
    package let database: SQLiteDatabase

    /// The file's name below the data directory.
    package static let fileName = "audit.sqlite"

    private init(database: SQLiteDatabase) { self.database = database }

    /// Opens or creates `audit.sqlite` in a data directory whose lock the caller holds.
    package static func open(directory: String) throws(SQLiteStorageError) -> SQLiteAuditStore {
        SQLiteAuditStore(database: try .open(path: "\(directory)/\(fileName)", schema: schema))
    }

    /// Opens an existing log to read it, with or without a server that writes to it.
    package static func openReadOnly(directory: String) throws(SQLiteStorageError) -> SQLiteAuditStore {
        SQLiteAuditStore(database: try .openReadOnly(path: "\(directory)/\(fileName)", schema: schema))
    }

    /// A log that ends with the process, in an in-memory database.
    package static func inMemory() throws(SQLiteStorageError) -> SQLiteAuditStore {
        SQLiteAuditStore(database: try .inMemory(schema: schema))
    }

    package func loadTail() async throws(AuditStoreError) -> AuditTail {
        try await read { db in
            let size = try Self.size(db)
            var edge: [Tile] = []
            for level in 0..<8 {
                let index = size >> Int64(8 * (level + 1))
                let width = TileCoordinate.width(level: level, index: index, treeSize: size)
                guard width > 0 else { continue }
                let place = try TileCoordinate(level: level, index: index, width: width)
                guard let tile = try Self.tile(place, db) else {
                    throw AuditStoreError.damaged("the tile `\(place.path)` is missing")
                }
                edge.append(tile)
            }
            return AuditTail(size: size, checkpoint: try Self.checkpoint(db), edge: edge)
        }
    }

    package func commit(_ batch: AuditBatch) async throws(AuditStoreError) {
        let result = await database.write { db in
            let size = try Self.size(db)
            for (offset, entry) in batch.entries.enumerated() where entry.index != size + Int64(offset) {
                throw AuditStoreError.wrongIndex(expected: size, actual: entry.index)
            }
            try Self.insert(batch.entries, db)
            let replaceTile = try db.cachedStatement(
                sql: """
                    INSERT INTO tile (level, idx, hashes) VALUES (?, ?, ?)
                    ON CONFLICT (level, idx) DO UPDATE SET hashes = excluded.hashes
                    """)
            for tile in batch.tiles {
                let place = tile.coordinate
                replaceTile.setUncheckedArguments([place.level, place.index, BlobValue.make(tile.bytes)])
                try replaceTile.execute()
            }
            let replaceCheckpoint = try db.cachedStatement(
                sql:
                    "INSERT INTO checkpoint (id, note) VALUES (0, ?) ON CONFLICT (id) DO UPDATE SET note = excluded.note"
            )
            replaceCheckpoint.setUncheckedArguments([BlobValue.make(batch.checkpoint)])
            try replaceCheckpoint.execute()
        }
        do { try result.get() } catch { throw AuditStoreError(storage: error) }
    }

    package func entries(from index: Int64, count: Int) async throws(AuditStoreError) -> [AuditEntry] {
        try await read { db in
            let select = try db.cachedStatement(
                sql: "SELECT idx, leaf, hash FROM entry WHERE idx >= ? ORDER BY idx LIMIT ?")
            var entries: [AuditEntry] = []
            let rows = try Row.fetchCursor(select, arguments: [index, max(0, count)])
            while let row = try rows.next() {
                let index = try row.decode(Int64.self, atIndex: 0)
                guard let hash = Hash256(try row.bytes(2)) else {
                    throw AuditStoreError.damaged("the hash of entry \(index) is not one")
                }
                entries.append(AuditEntry(index: index, leaf: try row.bytes(1), leafHash: hash))
            }
            return entries
        }
    }

    package func tile(_ coordinate: TileCoordinate) async throws(AuditStoreError) -> Tile? {
        try await read { try Self.tile(coordinate, $0) }
    }

    package func checkpoint() async throws(AuditStoreError) -> [UInt8]? {
        try await read { try Self.checkpoint($0) }
    }
}

extension SQLiteAuditStore {
    static let schema = DatabaseSchema(
        applicationID: 0x4173_4C67,
        migrations: [
            """
            CREATE TABLE entry (idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL, hash BLOB NOT NULL);
            CREATE TABLE tile (level INTEGER NOT NULL, idx INTEGER NOT NULL, hashes BLOB NOT NULL, PRIMARY KEY (level, idx));
            CREATE TABLE checkpoint (id INTEGER PRIMARY KEY CHECK (id = 0), note BLOB NOT NULL);
            """
        ])

    private func read<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(AuditStoreError) -> Value {
        do { return try await database.read(body).get() } catch { throw AuditStoreError(storage: error) }
    }

    private static func insert(_ entries: [AuditEntry], _ db: Database) throws {
        let insert = try db.cachedStatement(sql: "INSERT INTO entry (idx, leaf, hash) VALUES (?, ?, ?)")
        for entry in entries {
            insert.setUncheckedArguments([
                entry.index, BlobValue.make(entry.leaf), BlobValue.make(entry.leafHash.bytes),
            ])
            try insert.execute()
        }
    }

    private static func size(_ db: Database) throws -> Int64 {
        let last = try Int64.fetchOne(db.cachedStatement(sql: "SELECT max(idx) FROM entry"))
        return (last ?? -1) + 1
    }

    /// The stored tile, or its beginning: a partial tile is a prefix of what it grew into.
    private static func tile(_ coordinate: TileCoordinate, _ db: Database) throws -> Tile? {
        let select = try db.cachedStatement(sql: "SELECT hashes FROM tile WHERE level = ? AND idx = ?")
        guard let row = try Row.fetchOne(select, arguments: [coordinate.level, coordinate.index]) else { return nil }
        let bytes = try row.bytes(0)
        guard bytes.count >= coordinate.width * Hash256.byteCount else { return nil }
        return try Tile(coordinate: coordinate, bytes: Array(bytes.prefix(coordinate.width * Hash256.byteCount)))
    }

    private static func checkpoint(_ db: Database) throws -> [UInt8]? {
        try Row.fetchOne(db.cachedStatement(sql: "SELECT note FROM checkpoint"))?.bytes(0)
    }
}

extension AuditStoreError {
    init(storage error: any Error) {
        if let error = error as? AuditStoreError {
            self = error
            return
        }
        guard let error = error as? DatabaseError else {
            self = .failed("\(error)")
            return
        }
        switch error.resultCode {
        case .SQLITE_FULL: self = .storageFull
        case .SQLITE_CORRUPT, .SQLITE_NOTADB: self = .damaged(error.message ?? "the database is malformed")
        default: self = .failed(error.message ?? "error \(error.resultCode.rawValue)")
        }
    }
}
