import AgentShieldTesting
import AuditTrail
import SPIFFE
import Testing

struct SpoolIntakeTests {
    /// Records as a spool makes them.
    private func chain(_ numbers: ClosedRange<Int>) -> [SpoolRecord] {
        var records: [SpoolRecord] = []
        var hash: [UInt8] = []
        for number in 1...numbers.upperBound {
            var event = event(number, type: .workloadAttest)
            _ = event.stamp(now: testNow) { _ in
                (0..<16).map { UInt8(truncatingIfNeeded: number &+ $0) }
            }
            let record = SpoolRecord(sequence: UInt64(number), previousHash: hash, event: event.leafBytes())
            hash = record.hash
            records.append(record)
        }
        return Array(records[(numbers.lowerBound - 1)...])
    }

    private let node: SPIFFEID

    init() throws { node = try SPIFFEID("spiffe://example.org/spire/agent/join_token/abc") }

    private struct Setup {
        let fixture: LogFixture
        let log: AuditLog
        let intake: SpoolIntake
        let plan: FaultPlan
        let cursors: FaultySpoolCursorStore
    }

    private func setup() async throws -> Setup {
        let fixture = try LogFixture()
        let log = try await fixture.open()
        let plan = FaultPlan()
        let cursors = FaultySpoolCursorStore(MemorySpoolCursorStore(), plan: plan)
        let intake = SpoolIntake(log: log, cursors: cursors)
        return Setup(fixture: fixture, log: log, intake: intake, plan: plan, cursors: cursors)
    }

    @Test func `records in order are taken with their source`() async throws {
        let setup = try await setup()
        try await withRunning(setup.log) { () async throws in
            #expect(try await setup.intake.accept(chain(1...3), fromSpool: "s", node: node) == 3)
            #expect(try await setup.intake.accept(chain(4...5), fromSpool: "s", node: node) == 5)
            #expect(try await setup.intake.accept([], fromSpool: "s", node: node) == 5)
            #expect(try await setup.intake.accept([], fromSpool: "other", node: node) == 0)
        }
        let events = try await setup.fixture.events()
        #expect(events.map(\.source?.sequence) == [1, 2, 3, 4, 5])
        #expect(events.allSatisfy { $0.source?.id == node.string && $0.source?.spool == "s" })
        #expect(events.map(\.type) == Array(repeating: .workloadAttest, count: 5))
    }

    @Test func `records that come again are named once and not recorded twice`() async throws {
        let setup = try await setup()
        try await withRunning(setup.log) { () async throws in
            _ = try await setup.intake.accept(chain(1...4), fromSpool: "s", node: node)
            #expect(try await setup.intake.accept(chain(2...5), fromSpool: "s", node: node) == 5)
        }
        let events = try await setup.fixture.events()
        #expect(events.compactMap(\.source?.sequence) == [1, 2, 3, 4, 5])
        let duplicate = try #require(events.first { $0.type == .spoolDuplicate })
        #expect(duplicate.counted == 3)
        #expect(duplicate.effect?.result["first"] == "2")
        #expect(duplicate.agent.id == node.string)
    }

    @Test func `missing records are named and the rest is taken`() async throws {
        let setup = try await setup()
        try await withRunning(setup.log) { () async throws in
            _ = try await setup.intake.accept(chain(1...2), fromSpool: "s", node: node)
            #expect(try await setup.intake.accept(chain(6...7), fromSpool: "s", node: node) == 7)
        }
        let events = try await setup.fixture.events()
        #expect(events.map(\.type) == [.workloadAttest, .workloadAttest, .spoolGap, .workloadAttest, .workloadAttest])
        #expect(events[2].counted == 3)
        #expect(events[2].effect?.result == ["first": "3", "last": "5"])
    }

    @Test func `a record that does not link to the one before is named`() async throws {
        let setup = try await setup()
        let forged = SpoolRecord(
            sequence: 3, previousHash: [UInt8](repeating: 7, count: 32), event: chain(3...3)[0].event)
        try await withRunning(setup.log) { () async throws in
            _ = try await setup.intake.accept(chain(1...2), fromSpool: "s", node: node)
            #expect(try await setup.intake.accept([forged], fromSpool: "s", node: node) == 3)
            // The true third record differs from what was taken under its number.
            _ = try await setup.intake.accept(chain(3...3), fromSpool: "s", node: node)
        }
        let types = try await setup.fixture.events().map(\.type)
        #expect(types.filter { $0 == .spoolGap }.count == 2)
    }

    @Test func `a new spool of the node is named`() async throws {
        let setup = try await setup()
        try await withRunning(setup.log) { () async throws in
            _ = try await setup.intake.accept(chain(1...2), fromSpool: "old", node: node)
            #expect(try await setup.intake.accept(chain(1...1), fromSpool: "new", node: node) == 1)
        }
        let events = try await setup.fixture.events()
        #expect(events.map(\.type) == [.workloadAttest, .workloadAttest, .spoolReset, .workloadAttest])
        #expect(events[2].effect?.result == ["old_spool": "old", "old_sequence": "2"])
    }

    @Test func `a record that holds no event keeps its place and stops nothing`() async throws {
        let setup = try await setup()
        let bad = SpoolRecord(sequence: 1, previousHash: [], event: Array("{}".utf8))
        let good = SpoolRecord(sequence: 2, previousHash: bad.hash, event: chain(1...1)[0].event)
        try await withRunning(setup.log) { () async throws in
            #expect(try await setup.intake.accept([bad, good], fromSpool: "s", node: node) == 2)
        }
        #expect(try await setup.fixture.events().map(\.type) == [.spoolGap, .workloadAttest])
    }

    @Test func `malformed shipments are refused as a whole`() async throws {
        let setup = try await setup()
        let event = chain(1...1)[0].event
        let hash = [UInt8](repeating: 1, count: 32)
        let bad: [[SpoolRecord]] = [
            [SpoolRecord(sequence: 0, previousHash: [], event: event)],
            [SpoolRecord(sequence: .max, previousHash: hash, event: event)],
            [SpoolRecord(sequence: 2, previousHash: [], event: event)],
            [SpoolRecord(sequence: 1, previousHash: [1], event: event)],
            chain(1...3).reversed(),
            [chain(1...1)[0], chain(1...1)[0]],
        ]
        try await withRunning(setup.log) { () async throws in
            for records in bad {
                await #expect(throws: SpoolIntakeError.self) {
                    try await setup.intake.accept(records, fromSpool: "s", node: node)
                }
            }
            for name in ["", "a b", "a\u{0}", "ü", String(repeating: "a", count: 129)] {
                await #expect(throws: SpoolIntakeError.badSpoolName) {
                    try await setup.intake.accept(chain(1...1), fromSpool: name, node: node)
                }
            }
            await #expect(throws: SpoolIntakeError.tooMany(limit: SpoolIntake.maximumRecords)) {
                try await setup.intake.accept(
                    chain(1...(SpoolIntake.maximumRecords + 1)), fromSpool: "s", node: node)
            }
            let most = try await setup.intake.accept(
                chain(1...SpoolIntake.maximumRecords), fromSpool: "s", node: node)
            #expect(most == UInt64(SpoolIntake.maximumRecords))
        }
    }

    @Test(arguments: Fault.allCases, [false, true])
    func `a cursor that is not saved makes the node ship again and loses nothing`(
        fault: Fault, reopens: Bool
    ) async throws {
        let setup = try await setup()
        try await withRunning(setup.log) { () async throws in
            setup.plan.arm(fault)
            await #expect(throws: SpoolIntakeError.log(.storage("injected"))) {
                try await setup.intake.accept(chain(1...3), fromSpool: "s", node: node)
            }
            let intake = reopens ? SpoolIntake(log: setup.log, cursors: setup.cursors) : setup.intake
            // Where the node stands is what the store says.
            #expect(
                try await intake.accept([], fromSpool: "s", node: node) == (fault == .afterPersisting ? 3 : 0))
            #expect(try await intake.accept(chain(1...3), fromSpool: "s", node: node) == 3)
            #expect(try await intake.accept([], fromSpool: "s", node: node) == 3)
        }
        let events = try await setup.fixture.events()
        #expect(Set(events.compactMap(\.source?.sequence)) == [1, 2, 3])
        #expect(events.contains { $0.type == .spoolDuplicate } == (fault == .afterPersisting))
        try await setup.fixture.verify()
    }

    @Test func `a spool ships itself into the log`() async throws {
        let setup = try await setup()
        let directory = try TemporaryDirectory()
        let spool = try AuditSpool.open(
            directory: directory.path + "/spool", now: testNow, randomBytes: testRandomBytes)
        try await withRunning(setup.log) { () async throws in
            for number in 0..<300 { try await spool.append(event(number)) }
            while await spool.pendingCount() > 0 {
                let records = try await spool.pending(limit: SpoolIntake.maximumRecords)
                let taken = try await setup.intake.accept(records, fromSpool: spool.name, node: node)
                try await spool.acknowledge(upTo: taken)
            }
        }
        let events = try await setup.fixture.events()
        #expect(events.map(\.correlation.requestID) == (0..<300).map { "request-\($0)" })
    }
}
