import AgentShieldTesting
import AuditTrail
import Crypto
import Testing
import TransparencyLog

struct AuditLogTests {
    @Test func `every one of 1,000 entries proves offline`() async throws {
        let fixture = try LogFixture()
        let log = try await fixture.open()
        try await withRunning(log) {
            _ = try await inParallel(1000) { number in try await log.record(event(number)).index }
        }
        #expect(log.size == 1000)
        for entry in try await log.entries(from: 0, count: 1000) {
            let file = try await log.proof(index: entry.index).serialize()
            let proof = try TLogProof(parsing: file)
            #expect(proof.index == entry.index)
            try proof.verify(entry: entry.leaf, verifiers: [log.verifier], origin: log.origin)
            #expect(throws: TLogProofError.self) {
                try proof.verify(entry: entry.leaf + [0x20], verifiers: [log.verifier], origin: log.origin)
            }
        }
        #expect(try await fixture.verify().size == 1000)
    }

    @Test func `a receipt names the entry that holds the event`() async throws {
        let log = try await LogFixture().open()
        try await withRunning(log) {
            _ = try await inParallel(100) { number in
                let receipt = try await log.record(event(number))
                let entry = try #require(try await log.entries(from: receipt.index, count: 1).first)
                let read = try AuditEvent(leaf: entry.leaf)
                #expect(read.id == receipt.eventID)
                #expect(read.correlation.requestID == "request-\(number)")
            }
        }
    }

    @Test func `an outcome names its intent`() async throws {
        let fixture = try LogFixture()
        let log = try await fixture.open()
        try await withRunning(log) {
            let intent = try await log.record(event(type: .jwtSVIDIssue, phase: .intent))
            try await log.recordOutcome(of: intent, event(type: .jwtSVIDIssue))
        }
        let events = try await fixture.events()
        #expect(events.map(\.phase) == [.intent, .outcome])
        #expect(events[1].correlation.intentID == events[0].id)
    }

    @Test func `events in flight share commits`() async throws {
        let plan = FaultPlan()
        let fixture = try LogFixture(store: FaultyAuditStore(MemoryAuditStore(), plan: plan))
        let log = try await fixture.open()
        let callers = Task {
            try await inParallel(50) { number in try await log.record(event(number)).index }
        }
        while log.waitingCount < 50 { await Task.yield() }
        try await withRunning(log) { _ = try await callers.value }
        #expect(log.size == 50)
        #expect(plan.writeCount == 1)
        try await fixture.verify()
    }

    @Test func `several events in one call follow each other in one commit`() async throws {
        let plan = FaultPlan()
        let fixture = try LogFixture(store: FaultyAuditStore(MemoryAuditStore(), plan: plan))
        let log = try await fixture.open()
        try await withRunning(log) {
            let ids = try await log.record(contentsOf: (0..<256).map { event($0) })
            #expect(Set(ids).count == 256)
            #expect(plan.writeCount == 1)
            await #expect(throws: AuditError.overloaded) {
                try await log.record(contentsOf: (0..<257).map { event($0) })
            }
        }
        #expect(try await fixture.events().map(\.correlation.requestID) == (0..<256).map { "request-\($0)" })
    }

    @Test func `stopping commits what waits and then refuses`() async throws {
        let fixture = try LogFixture()
        let log = try await fixture.open()
        let waiting = Task { try await inParallel(20) { try await log.record(event($0)).index } }
        while log.waitingCount < 20 { await Task.yield() }
        let service = Task { try await log.run() }
        _ = try await waiting.value
        service.cancel()
        try await service.value
        await #expect(throws: AuditError.stopped) { _ = try await log.record(event()).index }
        #expect(try await fixture.verify().size == 20)
    }

    @Test func `a full line refuses and forgets nothing`() async throws {
        let fixture = try LogFixture()
        let log = try await fixture.open(queueLimit: 10)
        let refused = Collected<AuditError>()
        let callers = Task {
            try await inParallel(25) { number in
                do throws(AuditError) { _ = try await log.record(event(number)).index } catch { refused.append(error) }
            }
        }
        while refused.all.count < 15 || log.waitingCount < 10 { await Task.yield() }
        try await withRunning(log) { _ = try await callers.value }
        #expect(refused.all == Array(repeating: .overloaded, count: 15))
        #expect(try await fixture.verify().size == 10)
    }

    @Test(arguments: Fault.allCases)
    func `a commit that throws gives its callers the error and no index twice`(fault: Fault) async throws {
        for failing in 1...4 {
            let plan = FaultPlan.failing(fault, atCall: failing)
            let base = MemoryAuditStore()
            let fixture = try LogFixture(store: FaultyAuditStore(base, plan: plan))
            let log = try await fixture.open()
            let indexes = Collected<Int64>()
            try await withRunning(log) {
                for number in 1...6 {
                    if number == failing {
                        let sizeBefore = log.size
                        await #expect(throws: AuditError.storage("injected")) {
                            _ = try await log.record(event(number)).index
                        }
                        #expect(log.size == sizeBefore)
                    } else {
                        indexes.append(try await log.record(event(number)).index)
                    }
                    try await recheck(base, fixture)
                }
            }
            let expected: [Int64] = (0..<6).map { Int64($0) }.filter { $0 != failing - 1 || fault == .before }
            #expect(indexes.all == (fault == .before ? [0, 1, 2, 3, 4] : expected))
            let reopened = try await fixture.open()
            #expect(reopened.size == (fault == .before ? 5 : 6))
        }
    }

    /// The store holds at every moment: entries, tiles and checkpoint agree.
    private func recheck(_ base: MemoryAuditStore, _ fixture: LogFixture) async throws {
        guard try await base.checkpoint() != nil else { return }
        try await fixture.verify()
    }

    @Test(arguments: Fault.allCases)
    func `while the store cannot be read after a failure, nothing is written`(fault: Fault) async throws {
        let plan = FaultPlan()
        let fixture = try LogFixture(store: FaultyAuditStore(MemoryAuditStore(), plan: plan))
        let log = try await fixture.open()
        try await withRunning(log) {
            _ = try await log.record(event(0)).index
            plan.arm(fault)
            plan.armRead()
            for number in 1...2 {
                await #expect(throws: AuditError.storage("injected")) {
                    _ = try await log.record(event(number)).index
                }
            }
            #expect(plan.writeCount == 2)
            let index = try await log.record(event(3)).index
            #expect(index == (fault == .before ? 1 : 2))
        }
        try await fixture.verify()
    }

    @Test func `somebody else's commit stops the log for good`() async throws {
        let plan = FaultPlan()
        let base = MemoryAuditStore()
        let fixture = try LogFixture(store: FaultyAuditStore(base, plan: plan))
        let log = try await fixture.open()
        let other = try await AuditLog.open(
            store: base, signer: fixture.signer, origin: fixture.origin, now: testNow, randomBytes: testRandomBytes)
        try await withRunning(log) {
            _ = try await log.record(event(0)).index
            try await withRunning(other) {
                await #expect(throws: AuditError.self) { _ = try await other.record(event(1)).index }
            }
            let third = try await fixture.open()
            try await withRunning(third) { _ = try await third.record(event(2)).index }
            for _ in 0..<3 {
                await #expect(throws: AuditError.self) { _ = try await log.record(event(3)).index }
            }
        }
        guard case .inconsistent = log.failure else {
            Issue.record("the log did not notice")
            return
        }
        #expect(try await fixture.verify().size == 2)
    }

    @Test func `opening refuses another key, another origin and changed tiles`() async throws {
        let fixture = try LogFixture()
        let log = try await fixture.open()
        try await withRunning(log) { try await log.record(contentsOf: (0..<200).map { event($0) }) }

        let otherKey = try NoteSigner(name: fixture.origin, privateKey: Curve25519.Signing.PrivateKey())
        await expectInconsistent(fixture.store, signer: otherKey, origin: fixture.origin)
        await expectInconsistent(fixture.store, signer: fixture.signer, origin: "example.net/log")
        for change in TailChange.allCases {
            await expectInconsistent(
                ChangedTail(base: fixture.store, change: change), signer: fixture.signer, origin: fixture.origin)
        }
        #expect(try await fixture.open().size == 200)
    }

    private func expectInconsistent(_ store: any AuditStore, signer: NoteSigner, origin: String) async {
        do {
            _ = try await AuditLog.open(
                store: store, signer: signer, origin: origin, now: testNow, randomBytes: testRandomBytes)
            Issue.record("opened")
        } catch {
            guard case .inconsistent = error else {
                Issue.record("\(error)")
                return
            }
        }
    }

    @Test func `later checkpoints continue earlier ones`() async throws {
        let fixture = try LogFixture()
        let log = try await fixture.open()
        try await withRunning(log) {
            var earlier: [Checkpoint] = [log.checkpoint().checkpoint]
            for step in [1, 2, 100, 160, 250, 3] {
                try await log.record(contentsOf: (0..<step).map { event($0) })
                let now = log.checkpoint().checkpoint
                for old in earlier {
                    let proof = try await ConsistencyProof.make(oldSize: old.size, newSize: now.size) {
                        try await log.tile($0)
                    }
                    try proof.verify(oldRoot: old.root, newRoot: now.root)
                }
                earlier.append(now)
            }
        }
    }

    @Test func `an index or a tile beyond the log is not found`() async throws {
        let fixture = try LogFixture()
        let log = try await fixture.open()
        try await withRunning(log) { try await log.record(contentsOf: (0..<5).map { event($0) }) }
        for index in [-1, 5, Int64.max] {
            await #expect(throws: AuditError.notFound) { try await log.proof(index: index) }
        }
        await #expect(throws: AuditError.notFound) {
            try await log.tile(TileCoordinate(level: 0, index: 0, width: 6))
        }
        #expect(try await log.tile(TileCoordinate(level: 0, index: 0, width: 3)).hashes.count == 3)
        #expect(try await log.entries(from: 4, count: 10).map(\.index) == [4])
        #expect(try await log.entries(from: 5, count: 10).isEmpty)
        #expect(try await log.entries(from: -1, count: 10).isEmpty)
    }
}

enum TailChange: CaseIterable {
    case noCheckpoint, largerSize, smallerSize, changedHash, noTiles
}

/// A store whose end was changed behind the log's back.
struct ChangedTail: AuditStore {
    let base: any AuditStore
    let change: TailChange

    func loadTail() async throws(AuditStoreError) -> AuditTail {
        let tail = try await base.loadTail()
        switch change {
        case .noCheckpoint: return AuditTail(size: tail.size, checkpoint: nil, edge: tail.edge)
        case .largerSize: return AuditTail(size: tail.size + 1, checkpoint: tail.checkpoint, edge: tail.edge)
        case .smallerSize: return AuditTail(size: tail.size - 1, checkpoint: tail.checkpoint, edge: tail.edge)
        case .noTiles: return AuditTail(size: tail.size, checkpoint: tail.checkpoint, edge: [])
        case .changedHash:
            let edge = tail.edge.map { tile -> Tile in
                var hashes = tile.hashes
                hashes.swapAt(0, hashes.count - 1)
                return (try? Tile(coordinate: tile.coordinate, hashes: hashes)) ?? tile
            }
            return AuditTail(size: tail.size, checkpoint: tail.checkpoint, edge: edge)
        }
    }

    func commit(_ batch: AuditBatch) async throws(AuditStoreError) { try await base.commit(batch) }
    func entries(from index: Int64, count: Int) async throws(AuditStoreError) -> [AuditEntry] {
        try await base.entries(from: index, count: count)
    }
    func tile(_ coordinate: TileCoordinate) async throws(AuditStoreError) -> Tile? { try await base.tile(coordinate) }
    func checkpoint() async throws(AuditStoreError) -> [UInt8]? { try await base.checkpoint() }
}
