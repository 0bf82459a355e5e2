import AuditTrail
import SPIFFE
import Testing

@testable import Issuance

/// What administrators do to authorities: each write of each act goes wrong once, in both ways.
struct ActFaultTests {
    enum Place: String, CaseIterable, Sendable {
        case records, keys, log
    }

    enum Act: String, CaseIterable, Sendable {
        case prepare, activate, taint, revoke

        var type: EventType {
            switch self {
            case .prepare: .authorityPrepare
            case .activate: .authorityActivate
            case .taint: .authorityTaint
            case .revoke: .authorityRevoke
            }
        }
    }

    struct Row: Sendable, CustomTestStringConvertible {
        let act: Act
        let kind: AuthorityRecord.Kind
        let place: Place
        var testDescription: String { "\(act) of \(kind), \(place)" }
    }

    static let rows: [Row] = Act.allCases.flatMap { act in
        AuthorityRecord.Kind.allCases.flatMap { kind in
            Place.allCases.map { Row(act: act, kind: kind, place: $0) }
        }
    }

    private let admin = AuditEvent.AgentField(authMethod: .unixSocket)

    /// Does an act; `id` is that of the authority which `lead` has left.
    private func run(
        _ act: Act, _ kind: AuthorityRecord.Kind, _ id: String, _ authorities: Authorities
    ) async throws(AuthoritiesError) {
        switch act {
        case .prepare: _ = try await authorities.prepare(kind, by: admin, requestID: "r")
        case .activate: _ = try await authorities.activate(kind, id: id, by: admin, requestID: "r")
        case .taint: _ = try await authorities.taint(kind, id: id, by: admin, requestID: "r")
        case .revoke: _ = try await authorities.revoke(kind, id: id, by: admin, requestID: "r")
        }
    }

    /// Everything that has to be done before an act can be; gives the authority that it is about.
    private func lead(to act: Act, _ kind: AuthorityRecord.Kind, _ authorities: Authorities) async throws -> String {
        var id = ""
        for step in Act.allCases {
            switch step {
            case .prepare: break
            case .activate: id = authorities.latest(kind, .prepared)?.id ?? ""
            case .taint, .revoke: id = authorities.latest(kind, .old)?.id ?? ""
            }
            if step == act { return id }
            try await run(step, kind, id, authorities)
        }
        return id
    }

    private func writes(_ place: Place, _ domain: TestDomain) -> Int {
        switch place {
        case .records: domain.records.writes
        case .keys: domain.keys.writes
        case .log: domain.auditStore.writes
        }
    }

    /// A state without the names of its authorities.
    private func shape(_ records: [AuthorityRecord]) -> [String] {
        records.map { "\($0.kind) \($0.status) \($0.isTainted)" }.sorted()
    }

    @Test("an act is wholly there or wholly absent, and the log knows of it", arguments: rows, Fault.allCases)
    func everyWrite(row: Row, fault: Fault) async throws {
        var count = 0
        var shapes: (before: [String], after: [String]) = ([], [])
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let id = try await lead(to: row.act, row.kind, authorities)
            count = writes(row.place, domain)
            shapes.before = shape(authorities.records)
            try await run(row.act, row.kind, id, authorities)
            shapes.after = shape(authorities.records)
            count = writes(row.place, domain) - count
        }
        #expect(shapes.before != shapes.after)
        // Only keys that come or go are written: a mark has none.
        #expect(count >= (row.place == .keys ? 0 : 1))
        for number in 0..<count { try await scenario(row, fault, number + 1, shapes.before, shapes.after) }
    }

    private func scenario(
        _ row: Row, _ fault: Fault, _ number: Int, _ before: [String], _ after: [String]
    ) async throws {
        let comment: Comment = "\(row.testDescription), write \(number) \(fault)"
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let id = try await lead(to: row.act, row.kind, authorities)
            let count = try await domain.events(of: row.act.type).count
            switch row.place {
            case .records: domain.records.fail(write: number, fault)
            case .keys: domain.keys.fail(write: number, fault)
            case .log: domain.auditStore.fail(write: number, fault)
            }
            await #expect(throws: AuthoritiesError.self, comment) {
                try await run(row.act, row.kind, id, authorities)
            }
            // What is due finds out what is stored, and nothing is due here.
            try await authorities.tick(at: domain.clock.now)
            try await expectSound(domain, authorities, comment)
            let now = shape(authorities.records)
            #expect(now == before || now == after, comment)
            if row.place == .records { #expect(now == (fault == .failed ? before : after), comment) }

            let again = try await domain.open()
            #expect(again.records == authorities.records, comment)
            #expect(again.bundle == authorities.bundle, comment)
            try await expectSound(domain, again, comment)

            let events = try await domain.events(of: row.act.type).dropFirst(count)
            let intents = events.filter { $0.phase == .intent }
            let outcomes = events.filter { $0.phase == .outcome }
            // Nothing happens without an intent; one without an outcome says that something may have happened.
            if now == after { #expect(intents.count == 1, comment) }
            #expect(outcomes.count <= intents.count, comment)
            if let outcome = outcomes.first, row.place != .log {
                #expect(outcome.effect?.observed == .unknown, comment)
            }

            // And it can be done from where things stand.
            if now == before {
                try await run(row.act, row.kind, id, again)
                #expect(shape(again.records) == after, comment)
                try await expectSound(domain, again, comment)
            }
        }
    }

    private func expectSound(_ domain: TestDomain, _ authorities: Authorities, _ comment: Comment) async throws {
        #expect(domain.records.stored.records == authorities.records, comment)
        #expect(domain.records.stored.bundleRevision == authorities.bundleRevision, comment)
        for kind in AuthorityRecord.Kind.allCases {
            #expect(authorities.records.count { $0.kind == kind && $0.status == .active } == 1, comment)
        }
        let kept = authorities.records.filter(\.needsKey)
        #expect(Set(try await domain.keys.list()) == Set(kept.compactMap(\.keyID)), comment)
        let entry = try domain.entry()
        let issuer = domain.issuer(authorities)
        _ = try await issuer.issueX509SVID(for: domain.caller, entry: entry, csr: try domain.request())
        _ = try await issuer.issueJWTSVID(for: domain.caller, entry: entry, audience: ["a"])
    }
}
