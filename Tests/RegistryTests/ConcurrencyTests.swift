import Attestation
import SPIFFE
import Synchronization
import Testing

@testable import Registry

@Suite struct ConcurrencyTests {
    @Test("a lock lets one in at a time, in the order of coming")
    func lock() async {
        let lock = AsyncLock()
        let inside = Occupancy()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<300 {
                group.addTask {
                    await lock.withLock {
                        inside.enter()
                        await Task.yield()
                        inside.leave()
                    }
                }
            }
        }
        #expect(inside.most == 1)
        #expect(inside.total == 300)
    }

    @Test("a lock is free again after an error")
    func lockAndErrors() async {
        let lock = AsyncLock()
        for _ in 0..<3 {
            await #expect(throws: Unexpected.self) {
                try await lock.withLock { () async throws(Unexpected) in throw Unexpected() }
            }
        }
    }

    @Test("parallel writes of all kinds leave snapshot and store alike")
    func parallelWrites() async throws {
        try await TestBed.run { bed in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<40 {
                    group.addTask {
                        let entry = try await bed.create("/w\(number)")
                        if number % 3 == 0 {
                            try await bed.registry.deleteEntry(entry.id, by: TestBed.admin, requestID: "r")
                        }
                    }
                    group.addTask {
                        try await bed.register("n\(number)")
                        if number % 3 == 0 {
                            try await bed.registry.banNode(node("n\(number)"), by: TestBed.admin, requestID: "r")
                        }
                    }
                    group.addTask { try await bed.addBundle("td\(number)") }
                }
                try await group.waitForAll()
            }
            #expect(bed.registry.countEntries() == 26)
            #expect(bed.registry.countNodes() == 40)
            #expect(bed.registry.countNodes(NodeFilter(isBanned: true)) == 14)
            #expect(bed.registry.countFederatedBundles() == 40)
            try await bed.expectConsistent()
        }
    }

    @Test("subscribers hear the present state first, then only the latest news")
    func changes() async throws {
        try await TestBed.run { bed in
            let start = bed.registry.position
            var reader = bed.registry.changes().makeAsyncIterator()
            #expect(await reader.next() == start)
            for number in 0..<50 { try await bed.create("/w\(number)") }
            let latest = try #require(await reader.next())
            #expect(latest.entriesRevision == start.entriesRevision + 50)
            #expect(latest == bed.registry.position)
            try await bed.addBundle("x.org")
            #expect(await reader.next()?.bundlesRevision == start.bundlesRevision + 1)
        }
    }

    @Test("a refused write tells nobody")
    func silentRefusals() async throws {
        try await TestBed.run { bed in
            try await bed.create("/web")
            let position = bed.registry.position
            await #expect(throws: Unexpected.self) { try await bed.create("/web") }
            await #expect(throws: RegistryError.self) { try await bed.create("/spire") }
            #expect(bed.registry.position == position)
        }
    }

    @Test("what authorizes a node differently counts as a change of entries")
    func nodeChanges() async throws {
        try await TestBed.run { bed in
            try await bed.register("a", canReattest: true, selectors: ["x:1"])
            var revision = bed.registry.entriesRevision
            try await bed.register("a", serial: 2, canReattest: true, selectors: ["x:1"])
            #expect(bed.registry.entriesRevision == revision)
            try await bed.register("a", serial: 3, canReattest: true, selectors: ["x:2"])
            #expect(bed.registry.entriesRevision == revision + 1)
            revision = bed.registry.entriesRevision
            try await bed.registry.banNode(node("a"), by: TestBed.admin, requestID: "r")
            #expect(bed.registry.entriesRevision == revision + 1)
        }
    }

    @Test("revisions do not start over when the registry is opened again")
    func restart() async throws {
        try await TestBed.run { bed in
            try await bed.create("/web")
            bed.clock.advance(seconds: 1)
            let reopened = try await bed.reopened()
            #expect(reopened.position.entriesRevision > bed.registry.position.entriesRevision)
            #expect(try reopened.entries().items == (try bed.registry.entries().items))
        }
    }
}

/// Counts who is in a place at one time.
private final class Occupancy: Sendable {
    private let state = Mutex((now: 0, most: 0, total: 0))

    var most: Int { state.withLock { $0.most } }
    var total: Int { state.withLock { $0.total } }

    func enter() {
        state.withLock {
            $0.now += 1
            $0.most = max($0.most, $0.now)
        }
    }

    func leave() {
        state.withLock {
            $0.now -= 1
            $0.total += 1
        }
    }
}
