import AuditTrail
import Crypto
import JOSE
import SPIFFE
import Testing

@testable import Issuance

struct ExternalAuthorityTests {
    private let admin = AuditEvent.AgentField(authMethod: .unixSocket)

    private func certificate(
        _ domain: TestDomain, life: Int64 = 3600, trustDomain: String = "example.org"
    ) throws -> X509Authority {
        let key = try P256.Signing.PrivateKey.fresh(randomBytes: domain.random.draw)
        let template = try CertificateTemplate.authority(
            trustDomain: try TrustDomain(trustDomain), publicKey: SubjectPublicKey(key.publicKey),
            serialNumber: try SerialNumber([1]), notBefore: domain.clock.now - 10, notAfter: domain.clock.now + life)
        return try X509Authority(der: try template.sign(with: key))
    }

    private func tokenKey(_ domain: TestDomain, expiresAt: UnixTime?) throws -> JWTAuthority {
        let key = try P256.Signing.PrivateKey.fresh(randomBytes: domain.random.draw).publicKey
        return try JWTAuthority(
            keyID: "theirs", publicKey: JWSVerificationKey(p256: key, keyID: "theirs"), expiresAt: expiresAt)
    }

    @Test func `another server's keys enter the bundle once, survive a restart and never sign here`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let root = try certificate(domain)
            let key = try tokenKey(domain, expiresAt: nil)
            let active = (authorities.x509Active?.id, authorities.jwtActive?.id)
            for _ in 0..<2 {
                try await authorities.append(x509: [root], jwt: [key], by: admin, requestID: "r")
            }
            #expect(authorities.bundle.x509Authorities.last?.der == root.der)
            #expect(authorities.bundle.jwtAuthorities.last?.keyID == "theirs")
            #expect(authorities.bundleRevision == 5)
            let again = try await domain.open()
            #expect(again.bundle == authorities.bundle)
            #expect(again.x509Active?.id == active.0)
            #expect(again.jwtActive?.id == active.1)
            let events = try await domain.events(of: .bundleAppend)
            #expect(events.map(\.phase) == [.intent, .outcome, .intent, .outcome])
            #expect(events.allSatisfy { $0.agent == admin && $0.decision.result == .permit })
            domain.clock.set(root.certificate.notAfter + 86_400)
            try await again.tick(at: domain.clock.now)
            #expect(!again.bundle.x509Authorities.contains { $0.der == root.der })
            #expect(again.bundle.jwtAuthorities.contains { $0.keyID == "theirs" })
        }
    }

    @Test func `another server's WIT key verifies WIT-SVIDs, and is never among the keys for JWT-SVIDs`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let before = authorities.bundle
            let key = try P256.Signing.PrivateKey.fresh(randomBytes: domain.random.draw)
            let signer = JWSSigningKey(p256: key, keyID: "theirs")
            let theirs = try WITAuthority(keyID: "theirs", derSPKI: signer.verificationKey.derSPKI)
            for _ in 0..<2 { try await authorities.append(wit: [theirs], by: admin, requestID: "r") }
            let again = try await domain.open()
            for bundle in [authorities.bundle, again.bundle] {
                #expect(bundle.witAuthorities.last?.keyID == "theirs")
                #expect(bundle.witAuthorities.last?.derSPKI == theirs.derSPKI)
                #expect(bundle.witAuthorities.count == before.witAuthorities.count + 1)
                #expect(bundle.jwtAuthorities == before.jwtAuthorities)
            }
            let id = try SPIFFEID("spiffe://example.org/nested")
            let token = try WITSVID.sign(
                id: id, confirmationKey: signer.verificationKey, issuedAt: domain.clock.now,
                expiresAt: domain.clock.now + 60, key: signer)
            let verified = try WITSVID.verify(
                token: token, bundles: { _ in again.bundle.witAuthorities }, now: domain.clock.now)
            #expect(verified.id == id)
            let jwt = try JWTSVID.sign(
                id: id, audience: ["a"], issuedAt: domain.clock.now, expiresAt: domain.clock.now + 60, key: signer)
            #expect(throws: JWTSVIDError.unknownKey("theirs")) {
                try JWTSVID.verify(
                    token: jwt, audience: "a", bundles: { _ in again.bundle.jwtAuthorities }, now: domain.clock.now)
            }
        }
    }

    @Test func `a key and its ID are for tokens of one kind`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let (ownJWT, ownWIT) = (
                try #require(authorities.bundle.jwtAuthorities.first),
                try #require(authorities.bundle.witAuthorities.first)
            )
            let jwt = try tokenKey(domain, expiresAt: nil)
            try await authorities.append(jwt: [jwt], by: admin, requestID: "r")
            let before = authorities.bundle
            let other = try P256.Signing.PrivateKey.fresh(randomBytes: domain.random.draw).publicKey
            let spki = [UInt8](other.derRepresentation)
            for (id, key) in [("theirs", spki), ("new", jwt.derSPKI), (ownJWT.keyID, spki), ("new", ownJWT.derSPKI)] {
                await #expect(throws: AuthoritiesError.keyForTwoPurposes) {
                    try await authorities.append(
                        wit: [try WITAuthority(keyID: id, derSPKI: key)], by: admin, requestID: "r")
                }
            }
            for (id, key) in [(ownWIT.keyID, spki), ("new", ownWIT.derSPKI)] {
                await #expect(throws: AuthoritiesError.keyForTwoPurposes) {
                    try await authorities.append(
                        jwt: [try JWTAuthority(keyID: id, derSPKI: key)], by: admin, requestID: "r")
                }
            }
            await #expect(throws: AuthoritiesError.keyForTwoPurposes) {
                try await authorities.append(
                    jwt: [try JWTAuthority(keyID: "x", derSPKI: spki)],
                    wit: [try WITAuthority(keyID: "y", derSPKI: spki)], by: admin, requestID: "r")
            }
            #expect(authorities.bundle == before)
        }
    }

    @Test func `a leaf, an ended root and one of another trust domain are refused`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let leaf = try await domain.issuer(authorities).issueX509SVID(
                for: domain.caller, entry: try domain.entry(), csr: try domain.request())
            let ended = try certificate(domain, life: 0)
            for bad in [
                X509Authority(certificate: leaf.leaf), ended, try certificate(domain, trustDomain: "other.test"),
            ] {
                await #expect(throws: AuthoritiesError.notAnAuthority) {
                    try await authorities.append(x509: [bad], by: admin, requestID: "r")
                }
            }
            #expect(authorities.bundleRevision == 3)
        }
    }

    @Test func `the bundle does not grow beyond what readers take`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let many = try (0..<Authorities.maximumRecords).map { _ in try certificate(domain) }
            await #expect(throws: AuthoritiesError.bundleFull) {
                try await authorities.append(x509: many, by: admin, requestID: "r")
            }
            #expect(authorities.records.count == Authorities.maximumRecords)
        }
    }
}
