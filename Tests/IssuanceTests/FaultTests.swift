import AuditTrail
import SPIFFE
import Testing
import TransparencyLog

@testable import Issuance

/// Every write of two rotations goes wrong once in both ways, with and without a restart after it.
struct FaultTests {
    enum Place: String, CaseIterable, Sendable {
        case records, keys, log
    }

    static let options = Authorities.Options(x509Lifetime: 60, jwtLifetime: 60)
    static let tokenOptions = Authorities.Options(x509Lifetime: 1 << 30, jwtLifetime: 1 << 30, tokenLifetime: 60)

    @Test("whatever write fails, the next tick or start recovers", arguments: Place.allCases, Fault.allCases)
    func everyWrite(place: Place, fault: Fault) async throws {
        try await everyWrite(place, fault, Self.options)
    }

    @Test("the same of keys for access tokens", arguments: Place.allCases, Fault.allCases)
    func everyWriteOfTokenKeys(place: Place, fault: Fault) async throws {
        try await everyWrite(place, fault, Self.tokenOptions)
    }

    private func everyWrite(_ place: Place, _ fault: Fault, _ options: Authorities.Options) async throws {
        let writes = try await countWrites(place, options)
        #expect(writes >= 12)
        for number in 1...writes {
            for restarts in [false, true] {
                try await scenario(place, fault, number, options, restarts: restarts)
            }
        }
    }

    private func countWrites(_ place: Place, _ options: Authorities.Options) async throws -> Int {
        var count = 0
        try await TestDomain.run { domain in
            let authorities = try await domain.openAlone(options)
            try await self.walk(domain) { try await authorities.tick(at: domain.clock.now) }
            count =
                switch place {
                case .records: domain.records.writes
                case .keys: domain.keys.writes
                case .log: domain.auditStore.writes
                }
        }
        return count
    }

    /// Ninety seconds: three preparations and two activations of each kind that takes turns.
    private func walk(_ domain: TestDomain, _ tick: () async throws -> Void) async throws {
        for _ in 0..<18 {
            domain.clock.advance(seconds: 5)
            try await tick()
        }
    }

    private func scenario(
        _ place: Place, _ fault: Fault, _ number: Int, _ options: Authorities.Options, restarts: Bool
    ) async throws {
        let comment: Comment = "\(place.rawValue), write \(number) \(fault), restarts: \(restarts)"
        try await TestDomain.run { domain in
            switch place {
            case .records: domain.records.fail(write: number, fault)
            case .keys: domain.keys.fail(write: number, fault)
            case .log: domain.auditStore.fail(write: number, fault)
            }
            var failures = 0
            var opened: Authorities?
            for _ in 0..<2 where opened == nil {
                do throws(AuthoritiesError) {
                    opened = try await domain.openAlone(options)
                } catch {
                    failures += 1
                }
            }
            var authorities = try #require(opened, comment)
            var revision = authorities.bundleRevision
            try await walk(domain) {
                do throws(AuthoritiesError) {
                    try await authorities.tick(at: domain.clock.now)
                } catch {
                    failures += 1
                    if restarts {
                        authorities = try await domain.open(options)
                    } else {
                        try await authorities.tick(at: domain.clock.now)
                    }
                }
                #expect(authorities.bundleRevision >= revision, comment)
                revision = authorities.bundleRevision
                try await expectSound(domain, authorities, comment)
                // Issuing writes to the log too, and would get the fault meant for a rotation.
                if place != .log { try await expectIssuing(domain, authorities) }
            }
            #expect(failures == 1, comment)
        }
    }

    /// Memory and stores agree, and exactly one of each kind signs.
    private func expectSound(_ domain: TestDomain, _ authorities: Authorities, _ comment: Comment) async throws {
        #expect(domain.records.stored.records == authorities.records, comment)
        #expect(domain.records.stored.bundleRevision == authorities.bundleRevision, comment)
        for kind in AuthorityRecord.Kind.allCases {
            #expect(authorities.records.count { $0.kind == kind && $0.status == .active } == 1, comment)
            #expect(authorities.records.count { $0.kind == kind && $0.status == .prepared } <= 1, comment)
        }
        let kept = authorities.records.filter(\.needsKey)
        #expect(Set(try await domain.keys.list()) == Set(kept.compactMap(\.keyID)), comment)
    }

    private func expectIssuing(_ domain: TestDomain, _ authorities: Authorities) async throws {
        let entry = try domain.entry(x509SVIDTTL: 10, jwtSVIDTTL: 10)
        let issuer = domain.issuer(authorities)
        _ = try await issuer.issueX509SVID(for: domain.caller, entry: entry, csr: try domain.request())
        _ = try await issuer.issueJWTSVID(for: domain.caller, entry: entry, audience: ["a"])
    }

    @Test func `a kill between the key and its record leaves nothing behind`() async throws {
        try await TestDomain.run { domain in
            let before = try await domain.open(Self.options)
            // What the store of keys looks like when the process dies right after a key was made.
            let stray = try KeyID("x509-0123456789abcdef")
            let foreign = try KeyID("other")
            _ = try await domain.keys.create(stray, .p256)
            _ = try await domain.keys.create(foreign, .p256)
            let after = try await domain.open(Self.options)
            #expect(after.records == before.records)
            let left = Set(try await domain.keys.list())
            #expect(!left.contains(stray))
            // A key that is not an authority's is somebody else's business.
            #expect(left.contains(foreign))
        }
    }

    @Test func `a stored certificate that cannot be read keeps the server from starting`() async throws {
        try await TestDomain.run { domain in
            _ = try await domain.open(Self.options)
            domain.records.edit { stored in
                guard let index = stored.records.firstIndex(where: { $0.kind == .x509 }) else { return }
                let record = stored.records[index]
                stored.records[index] = AuthorityRecord(
                    kind: .x509, id: record.id, keyID: record.keyID, certificate: [0x30, 0x00],
                    publicKey: record.publicKey, notBefore: record.notBefore, notAfter: record.notAfter,
                    status: record.status, createdAt: record.createdAt)
            }
            let id = try #require(domain.records.stored.records.first { $0.kind == .x509 }).id
            await #expect(throws: AuthoritiesError.damaged(id: id)) { _ = try await domain.open(Self.options) }
        }
    }

    @Test("without a durable intent nothing is signed", arguments: Fault.allCases)
    func intentFails(fault: Fault) async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let issuer = domain.issuer(authorities)
            let entry = try domain.entry()
            let request = try domain.request()
            domain.auditStore.fail(write: 1, fault)
            await #expect(throws: IssuanceError.self) {
                _ = try await issuer.issueX509SVID(for: domain.caller, entry: entry, csr: request)
            }
            domain.auditStore.fail(write: 1, fault)
            await #expect(throws: IssuanceError.self) {
                _ = try await issuer.issueJWTSVID(for: domain.caller, entry: entry, audience: ["a"])
            }
            domain.auditStore.fail(write: 1, fault)
            await #expect(throws: IssuanceError.self) {
                _ = try await issuer.issueDownstreamCA(
                    for: domain.caller, entry: try domain.entry(isDownstream: true),
                    csr: try domain.request(uri: "spiffe://example.org"))
            }
            #expect(authorities.x509Active?.signatureCount == 0)
            #expect(authorities.jwtActive?.signatureCount == 0)
            // The next one goes through: a failed log is no state of the issuer.
            _ = try await issuer.issueX509SVID(for: domain.caller, entry: entry, csr: request)
            #expect(authorities.x509Active?.signatureCount == 1)
        }
    }

    @Test("without a durable outcome nothing is handed out", arguments: Fault.allCases)
    func outcomeFails(fault: Fault) async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let issuer = domain.issuer(authorities)
            domain.auditStore.fail(write: 2, fault)
            let expected: AuditError = fault == .failed ? .storageFull : .storage("injected")
            await #expect(throws: IssuanceError.outcomeNotRecorded(expected)) {
                _ = try await issuer.issueX509SVID(
                    for: domain.caller, entry: try domain.entry(), csr: try domain.request())
            }
            // The log holds the intent, so that the signature which nobody got is not a secret.
            #expect(try await domain.events(of: .x509SVIDIssue).first?.phase == .intent)
        }
    }

    @Test func `fifty at once make as many signatures as the log has intents`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let issuer = domain.issuer(authorities)
            let entry = try domain.entry()
            let request = try domain.request()
            domain.auditStore.fail(write: 5, .failed)
            let issued = await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<50 {
                    group.addTask {
                        (try? await issuer.issueX509SVID(for: domain.caller, entry: entry, csr: request)) != nil
                    }
                }
                return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            let events = try await domain.events(of: .x509SVIDIssue)
            let outcomes = events.filter { $0.phase == .outcome && $0.effect?.observed == .occurred }
            #expect(authorities.x509Active?.signatureCount == events.count { $0.phase == .intent })
            #expect(outcomes.count == issued)
            #expect(Set(outcomes.map { $0.effect?.result["serial"] }).count == issued)
        }
    }
}
