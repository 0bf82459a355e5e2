import AuditTrail
import Foundation
import Testing

struct AuditSpoolTests {
    private func open(_ directory: TemporaryDirectory, limitBytes: Int = 1 << 20) throws -> AuditSpool {
        try AuditSpool.open(
            directory: directory.path + "/spool", limitBytes: limitBytes, now: testNow, randomBytes: testRandomBytes)
    }

    /// Opens the spool, uses it, and closes it, so that the directory is free when this returns.
    @discardableResult
    private func opened<Value>(
        _ directory: TemporaryDirectory, limitBytes: Int = 1 << 20, _ body: (AuditSpool) async throws -> Value
    ) async throws -> Value {
        let spool = try open(directory, limitBytes: limitBytes)
        do {
            let value = try await body(spool)
            await spool.close()
            return value
        } catch {
            await spool.close()
            throw error
        }
    }

    private func requests(_ records: [SpoolRecord]) throws -> [String] {
        try records.map { try AuditEvent(leaf: $0.event).correlation.requestID }
    }

    /// Each record continues the one before.
    private func expectChain(_ records: [SpoolRecord]) {
        for (record, next) in zip(records, records.dropFirst()) {
            #expect(next.sequence == record.sequence + 1)
            #expect(next.previousHash == record.hash)
        }
    }

    private func segmentPaths(_ directory: TemporaryDirectory) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory.path + "/spool")
            .filter { $0.hasPrefix("records-") }.sorted().map { directory.path + "/spool/" + $0 }
    }

    @Test func `records are numbered from 1 and linked`() async throws {
        let directory = try TemporaryDirectory()
        let spool = try open(directory)
        for number in 1...5 { try await spool.append(event(number)) }
        let records = try await spool.pending(limit: 100)
        #expect(records.map(\.sequence) == [1, 2, 3, 4, 5])
        #expect(records[0].previousHash.isEmpty)
        #expect(try requests(records) == (1...5).map { "request-\($0)" })
        expectChain(records)
        #expect(try await spool.pending(limit: 2).map(\.sequence) == [1, 2])
        #expect(try await spool.pending(limit: 100, bytes: 1).map(\.sequence) == [1])
    }

    @Test func `acknowledged records are forgotten, also after opening again`() async throws {
        let directory = try TemporaryDirectory()
        let name = try await opened(directory) { spool in
            for number in 1...6 { try await spool.append(event(number)) }
            try await spool.acknowledge(upTo: 4)
            #expect(try await spool.pending(limit: 100).map(\.sequence) == [5, 6])
            return spool.name
        }
        try await opened(directory) { spool in
            #expect(spool.name == name)
            #expect(await spool.pendingCount() == 2)
            try await spool.append(event(7))
            #expect(try await spool.pending(limit: 100).map(\.sequence) == [5, 6, 7])
            try await spool.acknowledge(upTo: 1000)
            #expect(try await spool.pending(limit: 100).isEmpty)
            // It goes on being written to.
            #expect(try segmentPaths(directory).count == 1)
        }
        let spool = try open(directory)
        try await spool.append(event(8))
        let records = try await spool.pending(limit: 100)
        #expect(records.map(\.sequence) == [8])
        #expect(records[0].previousHash.count == 32)
    }

    @Test func `a spool that is always acknowledged in time stays small`() async throws {
        let directory = try TemporaryDirectory()
        try await opened(directory, limitBytes: 40_000) { spool in
            for number in 1...300 {
                try await spool.append(event(number))
                try await spool.acknowledge(upTo: UInt64(number))
            }
            #expect(try segmentPaths(directory).count <= 2)
        }
        let spool = try open(directory, limitBytes: 40_000)
        try await spool.append(event(301))
        let records = try await spool.pending(limit: 100)
        #expect(records.map(\.sequence) == [301])
        #expect(records[0].previousHash.count == 32)
    }

    @Test func `a backlog larger than what is kept in memory is shipped whole and in order`() async throws {
        let directory = try TemporaryDirectory()
        let spool = try open(directory, limitBytes: 8 << 20)
        let count = 3000
        for start in stride(from: 1, through: count, by: 250) {
            _ = try await inParallel(250) { try await spool.append(event(start + $0)) }
        }
        var shipped: [SpoolRecord] = []
        while let last = try await {
            let portion = try await spool.pending(limit: 100)
            shipped += portion
            return portion.last
        }() {
            try await spool.acknowledge(upTo: last.sequence)
        }
        #expect(shipped.reduce(0) { $0 + $1.event.count } > 1 << 20)
        #expect(shipped.count == count)
        expectChain(shipped)
    }

    @Test func `events in flight are all kept, in segments`() async throws {
        let directory = try TemporaryDirectory()
        try await opened(directory, limitBytes: 8 << 20) { spool in
            _ = try await inParallel(1500) { try await spool.append(event($0)) }
        }
        let segments = try segmentPaths(directory).count
        #expect(segments > 1)
        let spool = try open(directory, limitBytes: 8 << 20)
        let records = try await spool.pending(limit: 5000, bytes: 8 << 20)
        #expect(Set(try requests(records)) == Set((0..<1500).map { "request-\($0)" }))
        expectChain(records)
        try await spool.acknowledge(upTo: 1400)
        #expect(try await spool.pending(limit: 5000).first?.sequence == 1401)
        // Where the last segment began depends on how the writes were grouped.
        #expect(try segmentPaths(directory).count < segments)
    }

    @Test func `an interrupted write is cut off at whatever byte it ended`() async throws {
        let directory = try TemporaryDirectory()
        try await opened(directory) { spool in
            for number in 1...3 { try await spool.append(event(number)) }
        }
        let path = try #require(try segmentPaths(directory).first)
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        // All three records have the same length.
        let length = whole.count / 3
        #expect(whole.count == length * 3)
        for cut in (2 * length)..<whole.count {
            try whole.prefix(cut).write(to: URL(fileURLWithPath: path))
            let kept = try await opened(directory) { try await $0.pending(limit: 10).map(\.sequence) }
            #expect(kept == [1, 2], "cut at \(cut)")
        }
        let spool = try open(directory)
        try await spool.append(event(4))
        let records = try await spool.pending(limit: 10)
        #expect(try requests(records) == ["request-1", "request-2", "request-4"])
        expectChain(records)
    }

    @Test func `zeros behind the last record are cut off`() async throws {
        let directory = try TemporaryDirectory()
        try await opened(directory) { try await $0.append(event(1)) }
        let path = try #require(try segmentPaths(directory).first)
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        for count in [1, 76, 500] {
            try (whole + Data(count: count)).write(to: URL(fileURLWithPath: path))
            let kept = try await opened(directory) { try await $0.pending(limit: 10).count }
            #expect(kept == 1)
        }
    }

    @Test func `a changed byte before the last record is found`() async throws {
        let directory = try TemporaryDirectory()
        try await opened(directory) { spool in
            for number in 1...3 { try await spool.append(event(number)) }
        }
        let path = try #require(try segmentPaths(directory).first)
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        for position in stride(from: 4, to: whole.count / 3 * 2, by: 7) {
            var changed = whole
            changed[position] ^= 0x40
            try changed.write(to: URL(fileURLWithPath: path))
            #expect(throws: SpoolError.damaged(file: path), "byte \(position)") { _ = try open(directory) }
        }
    }

    @Test func `a missing segment and a missing position are found`() async throws {
        let directory = try TemporaryDirectory()
        try await opened(directory, limitBytes: 8 << 20) { spool in
            _ = try await inParallel(1500) { try await spool.append(event($0)) }
        }
        let paths = try segmentPaths(directory)
        let first = try Data(contentsOf: URL(fileURLWithPath: paths[0]))
        try FileManager.default.removeItem(atPath: paths[0])
        #expect(throws: SpoolError.self) { _ = try open(directory, limitBytes: 8 << 20) }
        try first.write(to: URL(fileURLWithPath: paths[0]))
        try await opened(directory, limitBytes: 8 << 20) { #expect(await $0.pendingCount() == 1500) }
        try FileManager.default.removeItem(atPath: directory.path + "/spool/position")
        #expect(throws: SpoolError.damaged(file: directory.path + "/spool/position")) { _ = try open(directory) }
    }

    @Test func `a full spool refuses until records are acknowledged`() async throws {
        let directory = try TemporaryDirectory()
        let spool = try open(directory, limitBytes: 4000)
        var taken = 0
        while taken < 100, (try? await spool.append(event(taken))) != nil { taken += 1 }
        #expect((1..<10).contains(taken))
        await #expect(throws: SpoolError.full) { try await spool.append(event()) }
        try await spool.acknowledge(upTo: UInt64(taken))
        try await spool.append(event())
        #expect(try await spool.pending(limit: 10).map(\.sequence) == [UInt64(taken) + 1])
    }

    @Test func `a second owner and a closed spool are refused`() async throws {
        let directory = try TemporaryDirectory()
        let spool = try open(directory)
        #expect(throws: SpoolError.inUse) { _ = try open(directory) }
        await spool.close()
        await #expect(throws: SpoolError.closed) { try await spool.append(event()) }
        await #expect(throws: SpoolError.closed) { try await spool.pending(limit: 1) }
        await #expect(throws: SpoolError.closed) { try await spool.acknowledge(upTo: 1) }
        try await opened(directory) { try await $0.append(event()) }
    }
}
