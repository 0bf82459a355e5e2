import Attestation
import AuditTrail
import SPIFFE
import Testing

@testable import Registry

@Suite struct EntryBatchTests {
    private static func draft(_ path: String, id entryID: String? = nil) throws -> EntryDraft {
        EntryDraft(id: entryID, spiffeID: try id(path), selectors: [try Selector(parsing: "a:1")])
    }

    @Test func everyDraftIsAnsweredInItsPlace() async throws {
        try await TestBed.run { bed in
            let present = try await bed.create("/present", ["a:1"])
            let drafts = [
                try Self.draft("/one", id: "one"), EntryDraft(spiffeID: try id("/no-selectors"), selectors: []),
                try Self.draft("/present"), try Self.draft("/one"), try Self.draft("/other", id: "one"),
                try Self.draft("/two", id: "two"),
            ]
            let answers = await bed.registry.createEntries(drafts, by: TestBed.admin, requestID: "r")
            try #require(answers.count == drafts.count)
            guard case .created(let one) = try answers[0].get() else { throw Unexpected() }
            #expect(one.id == "one")
            guard case .failure(.invalidEntry) = answers[1] else { throw Unexpected() }
            #expect(try answers[2].get() == .similar(present))
            #expect(try answers[3].get() == .similar(one))
            #expect(throws: RegistryError.entryIDTaken) { try answers[4].get() }
            guard case .created(let two) = try answers[5].get() else { throw Unexpected() }
            #expect(Set(try bed.registry.entries().items.map(\.id)) == [present.id, one.id, two.id])
            try await bed.expectConsistent()
        }
    }

    @Test func aBatchLargerThanAPortionIsMadeWholeAndTellsIntentAndOutcomeOfEach() async throws {
        try await TestBed.run { bed in
            let count = AuditLimits.eventsPerCall * 2 + 7
            let before = bed.log.size
            let drafts = try (0..<count).map { try Self.draft("/w\($0)", id: "e\($0)") }
            let answers = await bed.registry.createEntries(drafts, by: TestBed.admin, requestID: "r")
            for (number, answer) in answers.enumerated() {
                guard case .created(let entry) = try answer.get() else { throw Unexpected() }
                #expect(entry.id == "e\(number)")
            }
            #expect(bed.registry.countEntries() == count)
            #expect(bed.log.size - before == Int64(2 * count))
            try await bed.expectConsistent()
        }
    }

    @Test("A portion whose write fails is wholly there or wholly absent", arguments: Fault.allCases, [0, 1, 2])
    func aPortionWhoseWriteFails(fault: Fault, portion: Int) async throws {
        try await TestBed.run { bed in
            let (size, last) = (AuditLimits.eventsPerCall, 3)
            let drafts = try (0..<(2 * size + last)).map { try Self.draft("/w\($0)") }
            let failing = portion * size..<min((portion + 1) * size, drafts.count)
            let before = bed.log.size
            bed.entries.table.failNextWrite(fault, after: portion)
            let answers = await bed.registry.createEntries(drafts, by: TestBed.admin, requestID: "r")
            for (number, answer) in answers.enumerated() {
                switch answer {
                case .success(.created): #expect(!failing.contains(number))
                case .failure(.storage): #expect(failing.contains(number))
                default: throw Unexpected()
                }
            }
            let there = drafts.count - (fault == .failed ? failing.count : 0)
            #expect(bed.registry.countEntries() == there)
            try await bed.expectConsistent()
            let outcomes = try await bed.events(from: before).filter { $0.phase == "outcome" }
            #expect(outcomes.count == drafts.count)
            #expect(outcomes.count { $0.observed == "occurred" } == there)

            // The same call again makes what is missing, and nothing twice.
            let again = await bed.registry.createEntries(drafts, by: TestBed.admin, requestID: "r")
            let made = again.count { if case .success(.created) = $0 { true } else { false } }
            #expect(made == drafts.count - there)
            #expect(bed.registry.countEntries() == drafts.count)
            try await bed.expectConsistent()
        }
    }

    @Test func withoutRecordedIntentsNothingIsMade() async throws {
        try await TestBed.run { bed in
            bed.auditStore.setFull(true)
            let answers = await bed.registry.createEntries(
                [try Self.draft("/one"), try Self.draft("/two")], by: TestBed.admin, requestID: "r")
            bed.auditStore.setFull(false)
            for answer in answers {
                guard case .failure(.audit) = answer else { throw Unexpected() }
            }
            #expect(bed.registry.countEntries() == 0)
            try await bed.expectConsistent()
        }
    }
}
