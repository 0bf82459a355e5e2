import AuditTrail
import Foundation
import GRDB
import Testing

@testable import SQLiteFile
@testable import SQLiteStorage

struct DatabaseRulesTests {
    @Test func `both databases write through to the disk`() throws {
        let directory = try TemporaryDirectory()
        let audit = try SQLiteAuditStore.open(directory: directory.path)
        let registry = try SQLiteRegistryDatabase.open(directory: directory.path)
        for database in [audit.database, registry.database] {
            #expect(try database.isDurable())
            let synchronous = try database.connections.writeWithoutTransaction {
                try Int.fetchOne($0, sql: "PRAGMA synchronous")
            }
            #expect(synchronous == 2)
        }
    }

    @Test func `only the owner may read the files`() throws {
        let directory = try TemporaryDirectory()
        let store = try SQLiteAuditStore.open(directory: directory.path)
        _ = try DataDirectoryLock(directory: directory.path)
        for name in try FileManager.default.contentsOfDirectory(atPath: directory.path) {
            let attributes = try FileManager.default.attributesOfItem(atPath: "\(directory.path)/\(name)")
            #expect(attributes[.posixPermissions] as? Int == 0o600, "\(name)")
        }
        store.database.close()
    }

    @Test func `a weaker setting is noticed`() throws {
        let directory = try TemporaryDirectory()
        let database = try SQLiteAuditStore.open(directory: directory.path).database
        try database.connections.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = NORMAL") }
        #expect(try !database.isDurable())
    }

    @Test func `a database opens again with its version`() throws {
        let directory = try TemporaryDirectory()
        for _ in 0..<2 {
            let database = try SQLiteRegistryDatabase.open(directory: directory.path).database
            let version = try database.connections.read { try Int.fetchOne($0, sql: "PRAGMA user_version") }
            #expect(version == SQLiteRegistryDatabase.schema.migrations.count)
            database.close()
        }
    }

    @Test func `migrations run once, in order, on what is there`() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/x.sqlite"
        let first = DatabaseSchema(applicationID: 77, migrations: ["CREATE TABLE t (a); INSERT INTO t VALUES (1)"])
        try SQLiteDatabase.open(path: path, schema: first).close()
        let second = DatabaseSchema(applicationID: 77, migrations: first.migrations + ["UPDATE t SET a = a + 1"])
        for _ in 0..<2 {
            let database = try SQLiteDatabase.open(path: path, schema: second)
            #expect(try database.connections.read { try Int.fetchOne($0, sql: "SELECT a FROM t") } == 2)
            database.close()
        }
        #expect(throws: SQLiteStorageError.newer(path: path, version: 2, supported: 1)) {
            try SQLiteDatabase.open(path: path, schema: first)
        }
        #expect(throws: SQLiteStorageError.newer(path: path, version: 2, supported: 1)) {
            try SQLiteDatabase.openReadOnly(path: path, schema: first)
        }
    }

    @Test func `a failed migration leaves the version before it`() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/x.sqlite"
        let good = DatabaseSchema(applicationID: 77, migrations: ["CREATE TABLE t (a)"])
        let bad = DatabaseSchema(
            applicationID: 77, migrations: good.migrations + ["INSERT INTO t VALUES (1); SELECT nothing FROM nowhere"])
        #expect(throws: SQLiteStorageError.self) { try SQLiteDatabase.open(path: path, schema: bad) }
        let database = try SQLiteDatabase.open(path: path, schema: good)
        #expect(try database.connections.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM t") } == 0)
    }

    @Test func `another program's database is refused and left alone`() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/" + SQLiteAuditStore.fileName
        let foreign = try DatabaseQueue(path: path)
        try foreign.write { try $0.execute(sql: "CREATE TABLE notes (text)") }
        try foreign.close()
        #expect(throws: SQLiteStorageError.foreign(path: path)) { try SQLiteAuditStore.open(directory: directory.path) }
        #expect(throws: SQLiteStorageError.foreign(path: path)) {
            try SQLiteAuditStore.openReadOnly(directory: directory.path)
        }
        let other = try TemporaryDirectory()
        try SQLiteRegistryDatabase.open(directory: other.path).database.close()
        try FileManager.default.moveItem(
            atPath: other.path + "/" + SQLiteRegistryDatabase.fileName,
            toPath: other.path + "/" + SQLiteAuditStore.fileName)
        #expect(throws: SQLiteStorageError.foreign(path: other.path + "/" + SQLiteAuditStore.fileName)) {
            try SQLiteAuditStore.open(directory: other.path)
        }
    }

    @Test(arguments: [0, 100, 4096, 8192 + 8, 3 * 4096])
    func `a database with overwritten bytes refuses to open`(offset: Int) async throws {
        let directory = try TemporaryDirectory()
        let identity = try LogIdentity()
        let store = try SQLiteAuditStore.open(directory: directory.path)
        let log = try await identity.open(store)
        try await withRunning(log) { try await log.record(contentsOf: (0..<100).map { event($0) }) }
        store.database.close()

        let path = directory.path + "/" + SQLiteAuditStore.fileName
        let file = try #require(FileHandle(forUpdatingAtPath: path))
        try file.seek(toOffset: UInt64(offset))
        try file.write(contentsOf: Data(repeating: 0xA5, count: 64))
        try file.close()
        do {
            _ = try SQLiteAuditStore.open(directory: directory.path)
            Issue.record("opened")
        } catch {
            guard case .damaged(path: path, detail: _) = error else {
                Issue.record("\(error)")
                return
            }
        }
    }

    @Test func `a file that is no database is damaged`() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/" + SQLiteRegistryDatabase.fileName
        try Data("not a database, whatever its name says".utf8).write(to: URL(fileURLWithPath: path))
        do {
            _ = try SQLiteRegistryDatabase.open(directory: directory.path)
            Issue.record("opened")
        } catch {
            guard case .damaged = error else {
                Issue.record("\(error)")
                return
            }
        }
    }

    @Test func `a second server on a data directory is refused until the first is gone`() throws {
        let directory = try TemporaryDirectory()
        var first: DataDirectoryLock? = try DataDirectoryLock(directory: directory.path)
        #expect(throws: SQLiteStorageError.inUse(directory: directory.path)) {
            try DataDirectoryLock(directory: directory.path)
        }
        #expect(first != nil)
        first = nil
        _ = try DataDirectoryLock(directory: directory.path)
    }

    @Test func `a directory that does not exist is an error with its path`() {
        #expect(throws: SQLiteStorageError.self) { try DataDirectoryLock(directory: "/nonexistent/agentshield") }
        #expect(throws: SQLiteStorageError.self) { try SQLiteAuditStore.open(directory: "/nonexistent/agentshield") }
    }

    @Test func `a log is read while its server writes, and after it stopped`() async throws {
        let directory = try TemporaryDirectory()
        let identity = try LogIdentity()
        #expect(throws: SQLiteStorageError.notFound(path: directory.path + "/" + SQLiteAuditStore.fileName)) {
            try SQLiteAuditStore.openReadOnly(directory: directory.path)
        }
        let store = try SQLiteAuditStore.open(directory: directory.path)
        let log = try await identity.open(store)
        try await withRunning(log) {
            _ = try await log.record(event(0)).index
            let reader = try SQLiteAuditStore.openReadOnly(directory: directory.path)
            #expect(try await identity.verify(reader).size == 1)
            _ = try await log.record(event(1)).index
            #expect(try await identity.verify(reader).size == 2)
            await #expect(throws: AuditStoreError.self) {
                try await reader.commit(
                    AuditBatch(
                        entries: [AuditEntry(index: 2, leaf: [], leafHash: .emptyTree)], tiles: [], checkpoint: []))
            }
        }
        store.database.close()
        let reader = try SQLiteAuditStore.openReadOnly(directory: directory.path)
        #expect(try await identity.verify(reader).size == 2)
    }
}
