import AuditTrail
import Crypto
import CryptoExtras
import Foundation
import JOSE
import SPIFFE
import Testing

@testable import Issuance

/// Authorities for access tokens: the same life as those of SVIDs, and never in the bundle.
struct TokenAuthorityTests {
    static let kinds: [AuthorityRecord.Kind] = [.oauth, .entra]
    static let options = Authorities.Options(tokenLifetime: 60)

    private let admin = AuditEvent.AgentField(authMethod: .unixSocket)

    private func active(_ kind: AuthorityRecord.Kind, _ authorities: Authorities) throws -> TokenSigningAuthority {
        try #require(kind == .oauth ? authorities.oauthActive : authorities.entraActive)
    }

    private func keys(_ kind: AuthorityRecord.Kind, _ authorities: Authorities) -> [JWK] {
        kind == .oauth ? authorities.oauthKeys : authorities.entraKeys
    }

    private func receipt(_ domain: TestDomain) async throws -> AuditReceipt {
        try await domain.log.record(
            AuditEvent(
                type: .jwtSVIDIssue, phase: .intent, agent: admin,
                resource: AuditEvent.ResourceField(kind: "access-token", id: "t"),
                decision: AuditEvent.DecisionField(action: "issue", result: .permit),
                correlation: AuditEvent.CorrelationField(requestID: "r")))
    }

    private func sign(
        _ kind: AuthorityRecord.Kind, _ authorities: Authorities, _ domain: TestDomain, type: String = "at+jwt",
        _ payload: [UInt8] = Array("{}".utf8)
    ) async throws -> String {
        let receipt = try await receipt(domain)
        return try active(kind, authorities).sign(type: type, payload: payload, consuming: receipt)
    }

    /// Whether a token verifies by the key of the set that it names.
    private func verifies(_ token: String, _ keys: [JWK]) throws -> Bool {
        let jws = try CompactJWS(parsing: token)
        guard let key = keys.first(where: { $0.kid == jws.header.keyID }) else { return false }
        try jws.verify(with: JWSVerificationKey(jwk: key))
        return true
    }

    @Test(arguments: kinds)
    func `a key is published before it signs, and verifies until a day after its end`(
        kind: AuthorityRecord.Kind
    ) async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open(Self.options)
            let first = try active(kind, authorities)
            var known = keys(kind, authorities)
            var tokens: [String] = []
            var signers: Set<String> = []
            for second in 0..<150 {
                try await authorities.tick(at: domain.clock.now)
                let token = try await sign(kind, authorities, domain)
                // Whoever read the keys a second ago knows this one.
                #expect(try verifies(token, known), "second \(second)")
                tokens.append(token)
                known = keys(kind, authorities)
                #expect(known.first?.kid == (try active(kind, authorities)).id)
                #expect(try active(kind, authorities).notAfter > domain.clock.now)
                signers.insert(try active(kind, authorities).id)
                domain.clock.advance(seconds: 1)
            }
            for token in tokens { #expect(try verifies(token, known)) }
            #expect(signers.count == 5)
            #expect(Set(known.map(\.kid)).isSuperset(of: signers))
            #expect(known.allSatisfy { $0.use == "sig" && $0.algorithm == (kind == .oauth ? .es256 : .rs256) })
            #expect(known.allSatisfy { $0.keyType == (kind == .oauth ? "EC" : "RSA") })
            #expect(known.allSatisfy { $0.kid == $0.thumbprintBase64URL })

            domain.clock.set(first.notAfter + 86_399)
            try await authorities.tick(at: domain.clock.now)
            #expect(try verifies(tokens[0], keys(kind, authorities)))
            domain.clock.advance(seconds: 1)
            try await authorities.tick(at: domain.clock.now)
            #expect(try !verifies(tokens[0], keys(kind, authorities)))
            #expect(try await domain.events(of: .authorityPrune).contains { $0.resource.id == first.id })
        }
    }

    @Test(arguments: kinds)
    func `a signature takes a receipt and names type, key and algorithm`(kind: AuthorityRecord.Kind) async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let authority = try active(kind, authorities)
            #expect(authority.signatureCount == 0)
            let token = try await sign(kind, authorities, domain, type: "JWT", Array(#"{"a":1}"#.utf8))
            let jws = try CompactJWS(parsing: token)
            #expect(jws.header.json.members.map(\.name) == ["alg", "kid", "typ"])
            #expect(jws.header.algorithm == (kind == .oauth ? .es256 : .rs256))
            #expect(jws.header.keyID == authority.id)
            #expect(jws.header.type == "JWT")
            #expect(jws.payload == Array(#"{"a":1}"#.utf8))
            try jws.verify(with: authority.verificationKey)
            #expect(authority.signatureCount == 1)
            #expect(authority.notAfter == domain.clock.now + 86_400)
        }
    }

    @Test(arguments: kinds)
    func `a key that is revoked vanishes at once, one that is only marked stays`(
        kind: AuthorityRecord.Kind
    ) async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let old = try active(kind, authorities).id
            let token = try await sign(kind, authorities, domain)
            let bundle = (authorities.bundle.spiffeJSON(), authorities.bundleRevision)
            var revision = authorities.tokenKeys.revision
            func expectChange(_ ids: [String?]) {
                #expect(keys(kind, authorities).map(\.kid) == ids)
                #expect(authorities.tokenKeys.revision == revision + 1)
                revision = authorities.tokenKeys.revision
            }
            let next = try await authorities.prepare(kind, by: admin, requestID: "r").id
            expectChange([old, next])
            _ = try await authorities.activate(kind, id: next, by: admin, requestID: "r")
            expectChange([next, old])
            _ = try await authorities.taint(kind, id: old, by: admin, requestID: "r")
            #expect(try verifies(token, keys(kind, authorities)))
            #expect(authorities.tokenKeys.revision == revision)
            _ = try await authorities.revoke(kind, id: old, by: admin, requestID: "r")
            expectChange([next])
            #expect(try !verifies(token, keys(kind, authorities)))
            #expect(keys(kind, try await domain.open()).map(\.kid) == [next])
            #expect(authorities.bundle.spiffeJSON() == bundle.0)
            #expect(authorities.bundleRevision == bundle.1)
        }
    }

    @Test func `the bundle does not know them, through all their turns`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open(
                Authorities.Options(x509Lifetime: 1 << 30, jwtLifetime: 1 << 30, tokenLifetime: 60))
            let (bundle, revision) = (authorities.bundle, authorities.bundleRevision)
            let documents =
                { [$0.spiffeJSON(), $0.jwtJWKS(), $0.witJWKS()] as [[UInt8]] } as (TrustBundle) -> [[UInt8]]
            let before = documents(bundle)
            var published: [JWK] = []
            for _ in 0..<30 {
                domain.clock.advance(seconds: 5)
                try await authorities.tick(at: domain.clock.now)
                published += authorities.oauthKeys + authorities.entraKeys
                #expect(authorities.bundle == bundle)
                #expect(documents(authorities.bundle) == before)
                #expect(authorities.bundleRevision == revision)
            }
            #expect(Set(published.compactMap(\.kid)).count >= 10)
            let text = before.map { String(decoding: $0, as: UTF8.self) }.joined()
            for key in published {
                for name in ["kid", "n", "x", "y"] {
                    guard let value = key.json()[name]?.stringValue else { continue }
                    #expect(!text.contains(value))
                }
            }
            // The search finds what is there.
            #expect(text.contains(try #require(authorities.jwtActive).id))
        }
    }

    @Test(arguments: kinds)
    func `no verifier of SVIDs takes what they sign`(kind: AuthorityRecord.Kind) async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let issuer = domain.issuer(authorities)
            let id = try active(kind, authorities).id
            let jwt = try await issuer.issueJWTSVID(for: domain.caller, entry: try domain.entry(), audience: ["a"])
            let sameClaims = try await sign(
                kind, authorities, domain, type: "JWT", try CompactJWS(parsing: jwt.token).payload)
            #expect(throws: JWTSVIDError.unknownKey(id)) {
                try JWTSVID.verify(
                    token: sameClaims, audience: "a", bundles: { _ in authorities.bundle.jwtAuthorities },
                    now: domain.clock.now)
            }
            let wit = try await issuer.issueWITSVID(
                for: domain.caller, entry: try domain.entry(),
                publicKey: [UInt8](P256.Signing.PrivateKey().publicKey.derRepresentation))
            let jws = try CompactJWS(parsing: wit.token)
            let sameWIT = try await sign(kind, authorities, domain, type: try #require(jws.header.type), jws.payload)
            #expect(throws: WITSVIDError.self) {
                try WITSVID.verify(
                    token: sameWIT, bundles: { _ in authorities.bundle.witAuthorities }, now: domain.clock.now)
            }
            #expect(try active(kind, authorities).signatureCount == 2)
        }
    }

    @Test func `another server's token key cannot take their place in the bundle`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let before = authorities.bundle
            let own = try active(.oauth, authorities)
            let other = [UInt8](P256.Signing.PrivateKey().publicKey.derRepresentation)
            for (id, key) in [(own.id, other), ("theirs", own.verificationKey.derSPKI)] {
                await #expect(throws: AuthoritiesError.keyForTwoPurposes) {
                    try await authorities.append(
                        jwt: [try JWTAuthority(keyID: id, derSPKI: key)], by: admin, requestID: "r")
                }
                await #expect(throws: AuthoritiesError.keyForTwoPurposes) {
                    try await authorities.append(
                        wit: [try WITAuthority(keyID: id, derSPKI: key)], by: admin, requestID: "r")
                }
            }
            #expect(authorities.bundle == before)
        }
    }

    @Test func `opening makes no RSA key, and the first round after it does`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.openAlone()
            #expect(authorities.oauthActive != nil)
            #expect(authorities.entraActive == nil)
            #expect(authorities.entraKeys.isEmpty)
            #expect(try await domain.keys.list().allSatisfy { $0.kind != .entra })
            let revision = authorities.tokenKeys.revision
            try await authorities.tick(at: domain.clock.now)
            #expect(authorities.entraKeys.map(\.kid) == [try active(.entra, authorities).id])
            #expect(authorities.tokenKeys.revision > revision)
            // From then on opening brings it.
            let again = try await domain.openAlone()
            #expect(try active(.entra, again).id == active(.entra, authorities).id)
        }
    }

    @Test func `a store from before they were known opens as it is and gets them`() async throws {
        try await TestDomain.run { domain in
            let new = try await domain.open()
            let known = new.records.filter(\.kind.isInBundle)
            domain.records.edit { $0.records.removeAll { !$0.kind.isInBundle } }
            for id in try await domain.keys.list() where id.kind?.isInBundle == false {
                try await domain.keys.remove(id)
            }
            let opened = try await domain.open()
            #expect(opened.records.prefix(known.count) == known[...])
            // RSA keys are left to the first round.
            #expect(opened.records.dropFirst(known.count).map(\.kind) == [.oauth, .card, .entra])
            #expect(opened.bundle == new.bundle)
            #expect(opened.bundleRevision == new.bundleRevision)
            for kind in Self.kinds { #expect(try await verifies(sign(kind, opened, domain), keys(kind, opened))) }
        }
    }

    @Test func `a restart keeps them, and a key file of the wrong type counts as lost`() async throws {
        let path = NSTemporaryDirectory() + "keys-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await TestDomain.run { domain in
            func open() async throws -> Authorities {
                try await domain.open(keyStore: DiskKeyStore(directory: path, randomBytes: domain.random.draw))
            }
            func file(_ kind: AuthorityRecord.Kind, _ authorities: Authorities) throws -> String {
                path + "/" + (try #require(authorities.latest(kind, .active)?.keyID)).string + ".pem"
            }
            let before = try await open()
            let text = try Self.kinds.map { try String(contentsOfFile: file($0, before), encoding: .utf8) }
            let p256 = try P256.Signing.PrivateKey(pemRepresentation: text[0])
            let rsa = try _RSA.Signing.PrivateKey(pemRepresentation: text[1])
            #expect([UInt8](p256.publicKey.derRepresentation) == before.latest(.oauth, .active)?.publicKey)
            #expect([UInt8](rsa.publicKey.derRepresentation) == before.latest(.entra, .active)?.publicKey)
            #expect(rsa.keySizeInBits == 2048)

            let size = domain.log.size
            let after = try await open()
            #expect(domain.log.size == size)
            #expect(after.records == before.records)
            #expect(after.oauthKeys == before.oauthKeys)
            #expect(after.entraKeys == before.entraKeys)
            var tokens: [AuthorityRecord.Kind: String] = [:]
            for kind in Self.kinds {
                let token = try await sign(kind, after, domain)
                #expect(try verifies(token, keys(kind, before)))
                tokens[kind] = token
            }

            let directory = try SecretDirectory(path: path)
            for (kind, other) in zip(Self.kinds, text.reversed()) {
                let name = (try file(kind, after) as NSString).lastPathComponent
                try directory.replace(name, with: Array(other.utf8))
            }
            let replaced = try await open()
            for kind in Self.kinds {
                #expect(try active(kind, replaced).id != active(kind, before).id)
                // What the lost ones signed still verifies.
                #expect(try verifies(try #require(tokens[kind]), keys(kind, replaced)))
                #expect(try await verifies(sign(kind, replaced, domain), keys(kind, replaced)))
            }
            #expect(replaced.jwtActive?.id == before.jwtActive?.id)
            #expect(replaced.bundle == before.bundle)
        }
    }

    @Test(arguments: kinds)
    func `a stored key of another algorithm keeps the server from starting`(kind: AuthorityRecord.Kind) async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let record = try #require(authorities.latest(kind, .active))
            let wrong = try #require(authorities.latest(kind == .oauth ? .entra : .oauth, .active)).publicKey
            domain.records.edit { stored in
                stored.records.removeAll { $0.kind == kind }
                stored.records.append(
                    AuthorityRecord(
                        kind: kind, id: record.id, keyID: record.keyID, certificate: nil, publicKey: wrong,
                        notBefore: record.notBefore, notAfter: record.notAfter, status: .old,
                        createdAt: record.createdAt))
            }
            await #expect(throws: AuthoritiesError.damaged(id: record.id)) { _ = try await domain.open() }
        }
    }
}
