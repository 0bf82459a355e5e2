import AuditTrail
import Crypto
import Foundation
import JOSE
import SPIFFE
import Testing

@testable import Issuance

struct RotationTests {
    /// CA 60 s and SVID 10 s over ten minutes: what an hour of a day's life looks like, every second looked at.
    @Test func `through twenty rotations every SVID verifies from its first to its last second`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open(Authorities.Options(x509Lifetime: 60, jwtLifetime: 60))
            let issuer = domain.issuer(authorities, IssuanceDefaults(x509TTL: 10, jwtTTL: 10))
            let entry = try domain.entry()
            let request = try domain.request()
            var certificates: [IssuedX509SVID] = []
            var tokens: [IssuedJWTSVID] = []
            var usedAuthorities: Set<String> = []
            var usedKeys: Set<String> = []
            for second in 0..<600 {
                try await authorities.tick(at: domain.clock.now)
                let svid = try await issuer.issueX509SVID(for: domain.caller, entry: entry, csr: request)
                let token = try await issuer.issueJWTSVID(for: domain.caller, entry: entry, audience: ["a"])
                // Never cut short, and never longer than what signed it.
                #expect(svid.expiresAt == domain.clock.now + 10, "second \(second)")
                #expect(token.expiresAt == domain.clock.now + 10, "second \(second)")
                #expect(svid.expiresAt <= (try #require(authorities.x509Active)).notAfter)
                #expect(token.expiresAt <= (try #require(authorities.jwtActive)).notAfter)
                certificates.append(svid)
                tokens.append(token)
                usedAuthorities.insert(svid.authorityID)
                usedKeys.insert(token.authorityID)
                let bundle = authorities.bundle
                for svid in certificates.suffix(11) {
                    #expect(throws: Never.self, "second \(second)") {
                        try X509SVIDVerifier.verify(
                            chain: svid.chain, bundle: { _ in bundle.x509Bundle }, at: domain.clock.now)
                    }
                }
                for token in tokens.suffix(10) {
                    #expect(throws: Never.self, "second \(second)") {
                        try JWTSVID.verify(
                            token: token.token, audience: "a", bundles: { _ in bundle.jwtAuthorities },
                            now: domain.clock.now)
                    }
                }
                domain.clock.advance(seconds: 1)
            }
            // The first signs for fifty seconds; every next one is thirty seconds old by then and signs for thirty.
            #expect(usedAuthorities.count == 20)
            #expect(usedKeys.count == 20)
            #expect(usedAuthorities.isDisjoint(with: usedKeys))
            try await expectEveryActAudited(domain, authorities)
        }
    }

    private func expectEveryActAudited(_ domain: TestDomain, _ authorities: Authorities) async throws {
        for type in [EventType.authorityPrepare, .authorityActivate] {
            let events = try await domain.events(of: type)
            let intents = events.filter { $0.phase == .intent }
            let outcomes = events.filter { $0.phase == .outcome }
            #expect(intents.count == outcomes.count)
            #expect(Set(intents.map(\.id)) == Set(outcomes.map(\.correlation.intentID)))
            #expect(outcomes.allSatisfy { $0.effect?.observed == .occurred })
            let named = Set(outcomes.compactMap { $0.effect?.result["authority"] })
            let wanted = authorities.records.filter { type == .authorityPrepare || $0.status != .prepared }
            #expect(named == Set(wanted.map(\.id)))
        }
    }

    @Test func `an authority is verifiable before it signs, and leaves the bundle a day after its end`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open(Authorities.Options(x509Lifetime: 60, jwtLifetime: 1 << 30))
            let first = try #require(authorities.x509Active)
            domain.clock.advance(seconds: 29)
            try await authorities.tick(at: domain.clock.now)
            #expect(authorities.bundle.x509Authorities.count == 1)
            domain.clock.advance(seconds: 1)
            try await authorities.tick(at: domain.clock.now)
            #expect(authorities.bundle.x509Authorities.count == 2)
            #expect(authorities.x509Active?.id == first.id)
            domain.clock.advance(seconds: 20)
            try await authorities.tick(at: domain.clock.now)
            #expect(authorities.x509Active?.id != first.id)
            domain.clock.set(first.notAfter + 86_399)
            try await authorities.tick(at: domain.clock.now)
            #expect(authorities.records.contains { $0.id == first.id })
            domain.clock.advance(seconds: 1)
            try await authorities.tick(at: domain.clock.now)
            #expect(!authorities.records.contains { $0.id == first.id })
            #expect(!authorities.bundle.x509Authorities.contains { $0.certificate == first.certificate })
            let prunes = try await domain.events(of: .authorityPrune)
            #expect(prunes.filter { $0.resource.id == first.id }.map(\.phase) == [.intent, .outcome])
        }
    }

    @Test func `private keys exist only for what signs or will sign, and for former authorities' CRLs`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open(Authorities.Options(x509Lifetime: 60, jwtLifetime: 60))
            for _ in 0..<300 {
                domain.clock.advance(seconds: 1)
                try await authorities.tick(at: domain.clock.now)
                let wanted = authorities.records.filter {
                    $0.status == .active || $0.status == .prepared || ($0.status == .old && $0.kind == .x509)
                }
                #expect(Set(try await domain.keys.list()) == Set(wanted.compactMap(\.keyID)))
            }
        }
    }

    @Test func `the bundle's revision grows by one with each change and is told to subscribers, the last one only`()
        async throws
    {
        try await TestDomain.run { domain in
            let authorities = try await domain.open(Authorities.Options(x509Lifetime: 60, jwtLifetime: 60))
            #expect(authorities.bundleRevision == 3)
            #expect(authorities.bundle.sequenceNumber == 3)
            var slow = authorities.changes().makeAsyncIterator()
            var quick = authorities.changes().makeAsyncIterator()
            #expect(await quick.next() == 3)
            domain.clock.advance(seconds: 30)
            try await authorities.tick(at: domain.clock.now)
            #expect(authorities.bundleRevision == 6)
            #expect(await quick.next() == 6)
            #expect(await slow.next() == 6)
        }
    }

    @Test func `a restart keeps authorities, keys and revision`() async throws {
        let path = NSTemporaryDirectory() + "keys-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await TestDomain.run { domain in
            let options = Authorities.Options(x509Lifetime: 60, jwtLifetime: 60)
            let before = try await domain.open(
                options, keyStore: DiskKeyStore(directory: path, randomBytes: domain.random.draw))
            domain.clock.advance(seconds: 31)
            try await before.tick(at: domain.clock.now)
            let svid = try await domain.issuer(before).issueX509SVID(
                for: domain.caller, entry: try domain.entry(x509SVIDTTL: 5), csr: try domain.request())
            let size = domain.log.size
            let after = try await domain.open(
                options, keyStore: DiskKeyStore(directory: path, randomBytes: domain.random.draw))
            #expect(domain.log.size == size)
            #expect(after.records == before.records)
            #expect(after.bundle == before.bundle)
            #expect(after.bundleRevision == before.bundleRevision)
            #expect(after.x509Active?.id == before.x509Active?.id)
            let token = try await domain.issuer(after).issueJWTSVID(
                for: domain.caller, entry: try domain.entry(), audience: ["a"])
            #expect(throws: Never.self) {
                _ = try JWTSVID.verify(
                    token: token.token, audience: "a", bundles: { _ in before.bundle.jwtAuthorities },
                    now: domain.clock.now)
                _ = try X509SVIDVerifier.verify(
                    chain: svid.chain, bundle: { _ in after.bundle.x509Bundle }, at: domain.clock.now)
            }
        }
    }

    @Test(
        "an active authority whose key file is gone or damaged is replaced at once, on the record",
        arguments: [false, true])
    func lostKey(isDamaged: Bool) async throws {
        let path = NSTemporaryDirectory() + "keys-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await TestDomain.run { domain in
            let before = try await domain.open(
                keyStore: DiskKeyStore(directory: path, randomBytes: domain.random.draw))
            let lost = try #require(before.records.first { $0.kind == .x509 })
            let file = path + "/" + (try #require(lost.keyID)).string + ".pem"
            if isDamaged {
                try FileManager.default.removeItem(atPath: file)
                try SecretDirectory(path: path).replace((file as NSString).lastPathComponent, with: [0x30])
            } else {
                try FileManager.default.removeItem(atPath: file)
            }
            let after = try await domain.open(
                keyStore: DiskKeyStore(directory: path, randomBytes: domain.random.draw))
            let active = try #require(after.x509Active)
            #expect(active.id != lost.id)
            #expect(after.jwtActive?.id == before.jwtActive?.id)
            // What the lost one signed still verifies.
            #expect(after.records.first { $0.id == lost.id }?.status == .old)
            let reasons = try await domain.events(of: .authorityActivate).suffix(2).map(\.decision.reason)
            #expect(reasons == ["key lost", "key lost"])
            _ = try await domain.issuer(after).issueX509SVID(
                for: domain.caller, entry: try domain.entry(), csr: try domain.request())
        }
    }

    @Test func `a key of another authority under an authority's name counts as lost`() async throws {
        try await TestDomain.run { domain in
            let before = try await domain.open()
            let record = try #require(before.records.first { $0.kind == .jwt })
            _ = try await domain.keys.create(try #require(record.keyID), .p256)
            let after = try await domain.open()
            #expect(after.jwtActive?.id != record.id)
        }
    }

    @Test func `after days of standing still everything is new at once`() async throws {
        try await TestDomain.run { domain in
            let before = try await domain.open(Authorities.Options(x509Lifetime: 60, jwtLifetime: 60))
            // Keys of cards live longer.
            let old = before.records.filter { $0.kind != .card }
            domain.clock.advance(seconds: 10 * 86_400)
            let after = try await domain.open(Authorities.Options(x509Lifetime: 60, jwtLifetime: 60))
            #expect(after.records.map(\.status) == AuthorityRecord.Kind.allCases.map { _ in .active })
            #expect(Set(after.records.map(\.id)).isDisjoint(with: old.map(\.id)))
            _ = try await domain.issuer(after).issueJWTSVID(
                for: domain.caller, entry: try domain.entry(), audience: ["a"])
        }
    }

    @Test func `an authority that has ended signs nothing, even when nobody ticks`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open(Authorities.Options(x509Lifetime: 60, jwtLifetime: 60))
            domain.clock.advance(seconds: 60)
            let issuer = domain.issuer(authorities)
            await #expect(throws: IssuanceError.noAuthority) {
                _ = try await issuer.issueX509SVID(
                    for: domain.caller, entry: try domain.entry(), csr: try domain.request())
            }
            await #expect(throws: IssuanceError.noAuthority) {
                _ = try await issuer.issueJWTSVID(for: domain.caller, entry: try domain.entry(), audience: ["a"])
            }
        }
    }

    @Test func `the service ticks after every pause and ends with its task`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open(Authorities.Options(x509Lifetime: 60, jwtLifetime: 60))
            let clock = domain.clock
            let service = Task {
                await authorities.run(
                    sleep: { _ in
                        clock.advance(seconds: 1)
                        await Task.yield()
                    }, report: { Issue.record($0) })
            }
            var changes = authorities.changes().makeAsyncIterator()
            while let revision = await changes.next(), revision < 12 {}
            service.cancel()
            await service.value
            #expect(authorities.bundleRevision >= 12)
        }
    }

    @Test func `the authority's certificate has the profile of a SPIFFE authority`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let certificate = try #require(authorities.x509Active).certificate
            #expect(certificate.isCA)
            #expect(certificate.extensions.basicConstraintsAreCritical)
            #expect(certificate.keyUsage == [.keyCertSign, .cRLSign])
            #expect(certificate.extensions.keyUsageIsCritical)
            #expect(certificate.uriSANs == ["spiffe://example.org"])
            #expect(certificate.notBefore == domain.clock.now - 10)
            #expect(certificate.notAfter == domain.clock.now + 86_400)
            #expect(certificate.isSigned(by: certificate.publicKey))
            #expect(certificate.publicKey.kind == .p256)
        }
    }
}
