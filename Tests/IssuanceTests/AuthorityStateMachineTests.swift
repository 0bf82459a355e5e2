import SPIFFE
import Testing

@testable import Issuance

struct AuthorityStateMachineTests {
    typealias Action = AuthorityStateMachine.Action

    static let start = UnixTime(seconds: 1_800_000_000)

    private func record(
        _ id: String, _ status: AuthorityRecord.Status, from: Int64 = 0, life: Int64 = 60,
        kind: AuthorityRecord.Kind = .x509
    ) -> AuthorityRecord {
        AuthorityRecord(
            kind: kind, id: id, keyID: nil, certificate: nil, publicKey: [], notBefore: Self.start + from,
            notAfter: Self.start + from + life, status: status, createdAt: Self.start + from)
    }

    /// Keys for tokens that need nothing, so that only the X.509 authorities of a row matter.
    private func machine(_ records: [AuthorityRecord], keyless: Set<String> = []) -> AuthorityStateMachine {
        AuthorityStateMachine(
            stored: StoredAuthorities(
                records: records
                    + AuthorityRecord.Kind.allCases.dropFirst().map {
                        record("quiet", .active, life: 1 << 40, kind: $0)
                    }),
            keyless: keyless)
    }

    @Test func `without any authority one is prepared and then activated`() {
        var machine = machine([])
        #expect(machine.nextAction(now: Self.start) == .prepare(.x509, .missing))
        let fresh = record("a", .prepared)
        _ = machine.prepare(fresh)
        #expect(machine.nextAction(now: Self.start) == .activate(fresh, .missing))
        _ = machine.activate(fresh)
        #expect(machine.nextAction(now: Self.start) == nil)
    }

    @Test func `what is due follows the active authority's life`() {
        let active = record("a", .active)
        let prepared = record("b", .prepared, from: 30)
        let alone = machine([active])
        let both = machine([active, prepared])
        #expect(alone.nextAction(now: Self.start + 29) == nil)
        #expect(alone.nextAction(now: Self.start + 30) == .prepare(.x509, .schedule))
        #expect(both.nextAction(now: Self.start + 49) == nil)
        #expect(both.nextAction(now: Self.start + 50) == .activate(prepared, .schedule))
        #expect(alone.nextAction(now: Self.start + 55) == .prepare(.x509, .schedule))
        #expect(alone.nextAction(now: Self.start + 5000) == .prepare(.x509, .schedule))
    }

    @Test func `an active authority without its key gives way at once and stays in the bundle`() {
        let active = record("a", .active)
        var machine = machine([active], keyless: ["a"])
        #expect(machine.nextAction(now: Self.start) == .prepare(.x509, .keyLost))
        let fresh = record("b", .prepared)
        _ = machine.prepare(fresh)
        #expect(machine.nextAction(now: Self.start) == .activate(fresh, .keyLost))
        let stored = machine.activate(fresh)
        #expect(stored.records.map(\.status) == [.old, .active, .active, .active, .active, .active, .active])
        #expect(machine.nextAction(now: Self.start) == nil)
    }

    @Test func `a prepared authority that cannot sign any more is thrown away`() {
        let active = record("a", .active, life: 1000)
        let prepared = record("b", .prepared)
        #expect(
            machine([active, prepared], keyless: ["b"]).nextAction(now: Self.start) == .prune(prepared, .keyLost))
        #expect(machine([active, prepared]).nextAction(now: Self.start + 60) == .prune(prepared, .ended))
    }

    @Test func `an authority is pruned a day after its end and not before`() {
        let old = record("a", .old)
        let active = record("b", .active, life: 1 << 40)
        let machine = machine([old, active])
        #expect(machine.nextAction(now: Self.start + 60 + 86_399) == nil)
        #expect(machine.nextAction(now: Self.start + 60 + 86_400) == .prune(old, .ended))
    }

    @Test func `an active authority is never pruned, however long it has been over`() {
        let active = record("a", .active)
        #expect(machine([active]).nextAction(now: Self.start + 1_000_000) == .prepare(.x509, .schedule))
    }

    @Test func `the bundle's revision grows with its keys and with nothing else`() {
        var machine = machine([record("a", .active)])
        let fresh = record("b", .prepared)
        #expect(machine.prepare(fresh).bundleRevision == 1)
        #expect(machine.activate(fresh).bundleRevision == 1)
        #expect(machine.prune(record("a", .old)).bundleRevision == 2)
    }

    @Test(arguments: AuthorityRecord.Kind.allCases)
    func `only what is in the bundle changes its revision`(kind: AuthorityRecord.Kind) {
        var machine = machine([])
        var revision = machine.stored.bundleRevision
        func expectStep(_ stored: StoredAuthorities) {
            #expect(stored.bundleRevision == revision + (kind.isInBundle ? 1 : 0))
            revision = stored.bundleRevision
        }
        let fresh = record("b", .prepared, kind: kind)
        expectStep(machine.prepare(fresh))
        expectStep(machine.taint(fresh))
        expectStep(machine.append(record("c", .external, kind: kind)))
        expectStep(machine.prune(fresh))
    }

    @Test func `a kind that is left out waits for the round that has it`() {
        var machine = AuthorityStateMachine(stored: StoredAuthorities())
        for kind in AuthorityRecord.Kind.quick {
            #expect(machine.nextAction(now: Self.start, of: AuthorityRecord.Kind.quick) == .prepare(kind, .missing))
            let fresh = record("a", .prepared, kind: kind)
            _ = machine.prepare(fresh)
            _ = machine.activate(fresh)
        }
        #expect(AuthorityRecord.Kind.quick == [.x509, .jwt, .wit, .oauth, .card])
        #expect(machine.nextAction(now: Self.start, of: AuthorityRecord.Kind.quick) == nil)
        #expect(machine.nextAction(now: Self.start) == .prepare(.entra, .missing))
    }
}
