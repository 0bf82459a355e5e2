import AgentShieldTesting
import AuditTrail
import Foundation
import GRDB
import Testing
import TransparencyLog

@testable import SQLiteFile
@testable import SQLiteStorage

/// The implementations that have to behave alike.
enum AuditStoreKind: CaseIterable {
    case memory, sqliteInMemory, sqliteFile

    func make(_ directory: TemporaryDirectory) throws -> any AuditStore {
        switch self {
        case .memory: MemoryAuditStore()
        case .sqliteInMemory: try SQLiteAuditStore.inMemory()
        case .sqliteFile: try SQLiteAuditStore.open(directory: directory.path)
        }
    }
}

struct AuditStoreTests {
    private let directory: TemporaryDirectory
    private let identity: LogIdentity

    init() throws {
        directory = try TemporaryDirectory()
        identity = try LogIdentity()
    }

    @Test(arguments: AuditStoreKind.allCases)
    func `an empty store has an empty tail`(kind: AuditStoreKind) async throws {
        let store = try kind.make(directory)
        let tail = try await store.loadTail()
        #expect(tail.size == 0)
        #expect(tail.checkpoint == nil)
        #expect(tail.edge.isEmpty)
        #expect(try await store.checkpoint() == nil)
        #expect(try await store.entries(from: 0, count: 10).isEmpty)
        #expect(try await store.tile(TileCoordinate(level: 0, index: 0, width: 1)) == nil)
    }

    @Test(arguments: AuditStoreKind.allCases)
    func `what is committed is read back over tile borders`(kind: AuditStoreKind) async throws {
        let store = try kind.make(directory)
        let log = try await identity.open(store)
        try await withRunning(log) {
            for step in [1, 254, 1, 1, 256, 7] {
                try await log.record(contentsOf: (0..<step).map { event($0) })
                try await identity.verify(store)
                let reopened = try await identity.open(store)
                #expect(reopened.size == log.size)
                #expect(reopened.checkpoint().bytes == log.checkpoint().bytes)
            }
        }
        #expect(try await store.loadTail().size == 520)
        #expect(try await store.entries(from: 255, count: 3).map(\.index) == [255, 256, 257])
        #expect(try await store.entries(from: 519, count: 5).map(\.index) == [519])
        let full = try #require(try await store.tile(TileCoordinate(level: 0, index: 1)))
        let partial = try await store.tile(TileCoordinate(level: 0, index: 1, width: 17))
        #expect(partial == full.prefix(width: 17))
        #expect(try await store.tile(TileCoordinate(level: 0, index: 2, width: 9)) == nil)
        #expect(try await store.tile(TileCoordinate(level: 1, index: 0, width: 2)) != nil)
    }

    @Test(arguments: AuditStoreKind.allCases)
    func `a batch that does not begin at the end is refused as a whole`(kind: AuditStoreKind) async throws {
        let store = try kind.make(directory)
        let log = try await identity.open(store)
        try await withRunning(log) { try await log.record(contentsOf: (0..<3).map { event($0) }) }
        for indexes in [[2], [4], [0], [3, 5], [3, 3]] as [[Int64]] {
            let entries = indexes.map { AuditEntry(index: $0, leaf: [1], leafHash: .emptyTree) }
            await #expect(throws: AuditStoreError.self) {
                try await store.commit(AuditBatch(entries: entries, tiles: [], checkpoint: [9]))
            }
            #expect(try await store.loadTail().size == 3)
            try await identity.verify(store)
        }
    }

    @Test(arguments: AuditStoreKind.allCases, Fault.allCases)
    func `after each fault the log goes on and holds`(kind: AuditStoreKind, fault: Fault) async throws {
        let base = try kind.make(directory)
        let plan = FaultPlan()
        let log = try await identity.open(FaultyAuditStore(base, plan: plan))
        try await withRunning(log) {
            _ = try await log.record(event(0)).index
            for number in 1..<5 {
                plan.arm(fault)
                await #expect(throws: AuditError.storage("injected")) { _ = try await log.record(event(number)).index }
                try await identity.verify(base)
                _ = try await log.record(event(number)).index
                try await identity.verify(base)
            }
        }
        #expect(try await identity.open(base).size == (fault == .before ? 5 : 9))
    }

    @Test func `a kill at any moment loses nothing that had a receipt`() async throws {
        let store = try SQLiteAuditStore.open(directory: directory.path)
        let log = try await identity.open(store)
        try await withRunning(log) {
            for round in 0..<5 {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<60 { group.addTask { _ = try await log.record(event(number)).index } }
                    let before = log.size
                    let copy = try directory.copied()
                    try await group.waitForAll()
                    let rest = try SQLiteAuditStore.open(directory: copy.path)
                    let reopened = try await identity.open(rest)
                    #expect(reopened.size >= before)
                    if reopened.size > 0 { try await identity.verify(rest) }
                    try await withRunning(reopened) { _ = try await reopened.record(event(round)).index }
                    try await identity.verify(rest)
                }
            }
        }
    }

    @Test func `a store that is opened again without closing goes on`() async throws {
        let first = try SQLiteAuditStore.open(directory: directory.path)
        let log = try await identity.open(first)
        try await withRunning(log) { _ = try await log.record(event(0)).index }
        let second = try SQLiteAuditStore.open(directory: directory.path)
        let again = try await identity.open(second)
        try await withRunning(again) {
            let index = try await again.record(event(1)).index
            #expect(index == 1)
        }
        try await identity.verify(second)
    }

    @Test(arguments: [0, 1, 255, 256, 299])
    func `a changed entry is named`(index: Int64) async throws {
        let store = try await filled()
        try await store.database.connections.write {
            try $0.execute(
                sql: "UPDATE entry SET leaf = replace(leaf, 'permit', 'denied') WHERE idx = ?", arguments: [index])
        }
        await #expect(throws: AuditLogVerification.Failure.tree(.wrongEntry(index: index))) {
            try await identity.verify(store)
        }
    }

    @Test(arguments: [0, 256, 299])
    func `an entry changed together with its hash is still named`(index: Int64) async throws {
        let store = try await filled()
        let leaf = Array("{}".utf8)
        try await store.database.connections.write {
            try $0.execute(
                sql: "UPDATE entry SET leaf = ?, hash = ? WHERE idx = ?",
                arguments: [Data(leaf), Data(TreeHasher.leaf(leaf).bytes), index])
        }
        await #expect(throws: AuditLogVerification.Failure.tree(.wrongEntry(index: index))) {
            try await identity.verify(store)
        }
    }

    @Test func `a removed entry, tile or checkpoint is named`() async throws {
        let removals: [(String, AuditLogVerification.Failure)] = [
            ("DELETE FROM entry WHERE idx = 10", .tree(.missingEntries(from: 10))),
            ("DELETE FROM entry WHERE idx = 299", .tree(.missingEntries(from: 299))),
            (
                "DELETE FROM tile WHERE level = 0 AND idx = 0",
                .tree(.missingTile(try TileCoordinate(level: 0, index: 0)))
            ),
            ("DELETE FROM checkpoint", .noCheckpoint),
        ]
        for (sql, failure) in removals {
            let store = try await filled()
            try await store.database.connections.write { try $0.execute(sql: sql) }
            await #expect(throws: failure, "\(sql)") { try await identity.verify(store) }
        }
    }

    private func filled() async throws -> SQLiteAuditStore {
        let store = try SQLiteAuditStore.inMemory()
        let log = try await identity.open(store)
        try await withRunning(log) {
            try await log.record(contentsOf: (0..<150).map { event($0) })
            try await log.record(contentsOf: (150..<300).map { event($0) })
        }
        return store
    }

    @Test func `a full disk is its own error and service goes on when there is space`() async throws {
        let store = try SQLiteAuditStore.open(directory: directory.path)
        let log = try await identity.open(store)
        try await withRunning(log) {
            _ = try await log.record(event(0)).index
            let pages = try await limitPages(store.database, toCurrentPlus: 5)
            var taken = 1
            var failure: AuditError?
            while taken < 1000, failure == nil {
                do throws(AuditError) {
                    _ = try await log.record(event(taken)).index
                    taken += 1
                } catch { failure = error }
            }
            #expect(failure == .storageFull)
            // Reading goes on, and so does the log when there is space again.
            #expect(try await identity.verify(store).size == Int64(taken))
            _ = try await log.proof(index: 0)
            try await store.database.connections.writeWithoutTransaction {
                _ = try Int.fetchOne($0, sql: "PRAGMA max_page_count = \(pages + 1000)")
            }
            let index = try await log.record(event(taken)).index
            #expect(index == Int64(taken))
        }
        try await identity.verify(store)
    }
}

/// Leaves the database so many pages to grow by, and returns how many it has.
func limitPages(_ database: SQLiteDatabase, toCurrentPlus more: Int) async throws -> Int {
    try await database.connections.writeWithoutTransaction { db in
        let pages = try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0
        _ = try Int.fetchOne(db, sql: "PRAGMA max_page_count = \(pages + more)")
        return pages
    }
}
