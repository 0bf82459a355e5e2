import AgentShieldTesting
import Crypto
import JOSE
import Revocation
import SPIFFE
import Testing

@Suite("Revocation snapshots")
struct SnapshotTests {
    let domain: TestTrustDomain
    let start: UnixTime

    init() throws {
        let clock = ManualClock(UnixTime(seconds: 1_900_000_000))
        start = clock.time
        domain = try TestTrustDomain("example.org", clock: clock)
    }

    func snapshot(
        _ sequence: Int64 = 7, _ subjects: Set<RevokedSubject> = [.jwtID("t-1")], life: Int64 = 600,
        issuedIn shift: Int64 = 0
    ) throws -> RevocationSnapshot {
        try RevocationSnapshot(
            trustDomain: domain.trustDomain, sequence: sequence, issuedAt: start + shift,
            expiresAt: start + shift + life, subjects: subjects)
    }

    func sign(_ snapshot: RevocationSnapshot, as path: String = SignedRevocations.signerPath) throws -> [UInt8] {
        let svid = try domain.svid(path)
        let key = try P256.Signing.PrivateKey(derRepresentation: svid.pkcs8)
        return try SignedRevocations.sign(snapshot, key: JWSSigningKey(p256: key, keyID: "k"), chain: svid.chain)
    }

    func refusal(of token: [UInt8], at time: UnixTime? = nil) -> RevocationError? {
        do throws(RevocationError) {
            _ = try SignedRevocations.verify(token, bundle: domain.bundle, at: time ?? start)
            return nil
        } catch {
            return error
        }
    }

    @Test func `what was signed is read back`() throws {
        let subjects: Set<RevokedSubject> = [
            .agent(try domain.id("/a")), .serial(try SerialNumber([0x80, 1])), .jwtID("t"), .chainRoot("r"),
            .key(try #require(SubjectPublicKey(P256.Signing.PrivateKey().publicKey).thumbprint)),
        ]
        let snapshot = try snapshot(9, subjects)
        #expect(try SignedRevocations.verify(sign(snapshot), bundle: domain.bundle, at: start) == snapshot)
        #expect(try SignedRevocations.readStored(sign(snapshot)) == snapshot)
    }

    @Test func `only the signer of snapshots signs snapshots`() throws {
        let token = try sign(snapshot(), as: "/agents/mallory")
        #expect(refusal(of: token) == .notTheSigner(try domain.id("/agents/mallory")))
    }

    @Test func `a signer of another trust domain is nobody here`() throws {
        let other = try TestTrustDomain("other.org", clock: domain.clock)
        let svid = try other.svid(SignedRevocations.signerPath)
        let key = try P256.Signing.PrivateKey(derRepresentation: svid.pkcs8)
        let token = try SignedRevocations.sign(
            snapshot(), key: JWSSigningKey(p256: key, keyID: "k"), chain: svid.chain)
        #expect(refusal(of: token) == .signer(.unknownTrustDomain(other.trustDomain)))
        // And its own genuine signer says nothing about ours.
        #expect(throws: RevocationError.otherTrustDomain) {
            try SignedRevocations.verify(token, bundle: other.bundle, at: start)
        }
    }

    @Test func `a changed byte or another key is refused`() throws {
        var token = try sign(snapshot())
        token[token.count - 3] = token[token.count - 3] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
        #expect(refusal(of: token) == .badSignature)
        let svid = try domain.svid(SignedRevocations.signerPath)
        let foreign = try SignedRevocations.sign(
            snapshot(), key: JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "k"), chain: svid.chain)
        #expect(refusal(of: foreign) == .badSignature)
    }

    @Test func `it counts from a little before its issue until its end`() throws {
        #expect(refusal(of: try sign(snapshot(life: 600)), at: start + 599) == nil)
        #expect(refusal(of: try sign(snapshot(life: 600)), at: start + 600) == .expired)
        #expect(refusal(of: try sign(snapshot(issuedIn: 60))) == nil)
        #expect(refusal(of: try sign(snapshot(issuedIn: 61))) == .notYetValid)
    }

    @Test func `too much is refused on either end`() throws {
        let many = Set((0...RevocationSnapshot.maximumSubjects).map { RevokedSubject.jwtID("t\($0)") })
        #expect(throws: RevocationError.tooLarge) { try snapshot(1, many) }
        #expect(refusal(of: [UInt8](repeating: 0x41, count: SignedRevocations.maximumBytes + 1)) == .tooLarge)
        let wide = Set((0..<2100).map { RevokedSubject.jwtID("\($0)" + String(repeating: "x", count: 251)) })
        #expect(throws: RevocationError.tooLarge) { try sign(snapshot(1, wide)) }
    }

    @Test func `a token of another kind is no snapshot`() throws {
        let svid = try domain.svid(SignedRevocations.signerPath)
        let key = JWSSigningKey(p256: try P256.Signing.PrivateKey(derRepresentation: svid.pkcs8), keyID: "k")
        let token = try JWTSVID.sign(
            id: domain.id("/a"), audience: ["x"], issuedAt: start, expiresAt: start + 60, key: key, issuer: nil,
            jwtID: nil)
        #expect(refusal(of: Array(token.utf8)) == .malformed("typ"))
        let signed = String(decoding: try sign(snapshot()), as: UTF8.self)
        #expect(throws: JWTSVIDError.self) {
            try JWTSVID.verify(token: signed, audience: "x", bundles: { _ in [] }, now: start)
        }
    }

    @Test func `a certificate is revoked by its agent, its serial number or its key, in its own trust domain`() throws {
        let svid = try domain.svid("/a")
        let leaf = svid.leaf
        let thumbprint = try #require(leaf.publicKey.thumbprint)
        func revocation(_ subjects: RevokedSubject..., of id: SPIFFEID? = nil) throws -> RevokedSubject? {
            try snapshot(1, Set(subjects)).revoked.revocation(
                of: id ?? svid.id, serial: leaf.serialNumber, key: leaf.publicKey)
        }
        let another = try #require(SubjectPublicKey(P256.Signing.PrivateKey().publicKey).thumbprint)
        #expect(try revocation(.agent(svid.id)) == .agent(svid.id))
        #expect(try revocation(.serial(leaf.serialNumber)) == .serial(leaf.serialNumber))
        #expect(try revocation(.key(thumbprint)) == .key(thumbprint))
        #expect(try revocation(.agent(domain.id("/b")), .serial(SerialNumber([5])), .key(another)) == nil)
        // A thumbprint that stands for something else is none.
        #expect(try revocation(.jwtID(thumbprint), .chainRoot(thumbprint)) == nil)
        let foreign = try SPIFFEID("spiffe://other.org/a")
        #expect(try revocation(.serial(leaf.serialNumber), .key(thumbprint), of: foreign) == nil)
        let verified = try X509SVIDVerifier.verify(chain: svid.chain, bundle: { _ in domain.bundle }, at: start)
        #expect(try snapshot(1, [.key(thumbprint)]).revoked.revocation(of: verified) == .key(thumbprint))
    }

    private func thumbprint(_ key: P256.Signing.PrivateKey) throws -> String {
        try #require(SubjectPublicKey(key.publicKey).thumbprint)
    }

    @Test func `a JWT-SVID is revoked by its agent, its jti, or its signing key whatever that is called`() throws {
        let key = P256.Signing.PrivateKey()
        let id = try domain.id("/a")
        // Not the thumbprint, as keys of other servers may be called.
        let signer = JWSSigningKey(p256: key, keyID: "one")
        let authority = try JWTAuthority(keyID: "one", publicKey: signer.verificationKey)
        func revocation(_ subjects: RevokedSubject..., jwtID: String? = "t") throws -> RevokedSubject? {
            let token = try JWTSVID.sign(
                id: id, audience: ["x"], issuedAt: start, expiresAt: start + 60, key: signer, jwtID: jwtID)
            let verified = try JWTSVID.verify(
                token: token, audience: "x", bundles: { _ in [authority] }, now: start)
            return try snapshot(1, Set(subjects)).revoked.revocation(of: verified)
        }
        let key1 = try thumbprint(key)
        #expect(try revocation(.agent(id)) == .agent(id))
        #expect(try revocation(.jwtID("t")) == .jwtID("t"))
        #expect(try revocation(.key(key1)) == .key(key1))
        #expect(try revocation(.jwtID("t"), jwtID: nil) == nil)
        #expect(try revocation(.jwtID("one"), .jwtID("u"), .key(thumbprint(P256.Signing.PrivateKey()))) == nil)
    }

    @Test func `a WIT-SVID is revoked by its agent, its jti, its holder's key or its signing key`() throws {
        let key = P256.Signing.PrivateKey()
        let holder = P256.Signing.PrivateKey()
        let id = try domain.id("/a")
        let signer = JWSSigningKey(p256: key, keyID: "one")
        let authority = try WITAuthority(keyID: "one", derSPKI: signer.verificationKey.derSPKI)
        func revocation(_ subjects: RevokedSubject...) throws -> RevokedSubject? {
            let token = try WITSVID.sign(
                id: id, confirmationKey: JWSVerificationKey(p256: holder.publicKey, keyID: nil), issuedAt: start,
                expiresAt: start + 60, key: signer, tokenID: "t")
            let verified = try WITSVID.verify(token: token, bundles: { _ in [authority] }, now: start)
            return try snapshot(1, Set(subjects)).revoked.revocation(of: verified)
        }
        let (key1, holder1) = (try thumbprint(key), try thumbprint(holder))
        #expect(try revocation(.agent(id)) == .agent(id))
        #expect(try revocation(.jwtID("t")) == .jwtID("t"))
        #expect(try revocation(.key(holder1)) == .key(holder1))
        #expect(try revocation(.key(key1)) == .key(key1))
        #expect(try revocation(.agent(domain.id("/b")), .jwtID("u"), .chainRoot("t")) == nil)
    }

    @Test(
        "a key is named by its thumbprint alone",
        arguments: ["", "k", "sha256:AA", String(repeating: "A", count: 42), String(repeating: "A", count: 44)])
    func thumbprints(text: String) {
        #expect(throws: RevokedSubjectError.badThumbprint) { try RevokedSubject(kind: .key, value: text) }
    }

    @Test func `a lower number is a replay, an equal one must be the same`() throws {
        var held = HeldRevocations(startedAt: start, memory: .snapshot(try snapshot(7)))
        let replayed = RevocationError.replayed(held: 7, offered: 6)
        #expect(throws: replayed) { try held.take(snapshot(6, []), confirmedAt: start) }
        #expect(throws: RevocationError.replayed(held: 7, offered: 7)) {
            try held.take(snapshot(7, []), confirmedAt: start)
        }
        #expect(try held.take(snapshot(7, life: 900), confirmedAt: start) == .none)
        #expect(held.snapshot?.expiresAt == start + 900)
        #expect(try held.take(snapshot(8, []), confirmedAt: start) == .content)
    }

    @Test func `without news for longer than the limit nothing may rest on it`() throws {
        var held = HeldRevocations(startedAt: start)
        #expect(held.isFresh(at: start + 30, limit: 30_000))
        #expect(!held.isFresh(at: start + 31, limit: 30_000))
        #expect(held.isFresh(at: start + 31, limit: nil))
        #expect(try held.take(snapshot(), confirmedAt: start + 40) == .content)
        #expect(held.isFresh(at: start + 70, limit: 30_000))
        #expect(!held.isFresh(at: start + 71, limit: 30_000))
        held.confirm(at: start + 71)
        #expect(held.isFresh(at: start + 100, limit: 30_000))
        // The end of the snapshot itself ends it, whatever was confirmed.
        held.confirm(at: start + 599)
        #expect(!held.isFresh(at: start + 600, limit: 30_000))
    }

    @Test func `by a clock that was set back nothing is fresh until it is confirmed again`() throws {
        var held = HeldRevocations(startedAt: start)
        _ = try held.take(snapshot(life: 10_000), confirmedAt: start + 3600)
        #expect(held.isFresh(at: start + 3600, limit: 30_000))
        // Threads read the clock in any order: a moment counts for nothing.
        #expect(held.isFresh(at: start + 3596, limit: 30_000))
        #expect(held.age(at: start + 3596) == 0)
        #expect(!held.isFresh(at: start, limit: 30_000))
        #expect(held.age(at: start) == nil)
        #expect(held.isFresh(at: start, limit: nil))
        held.confirm(at: start)
        #expect(held.isFresh(at: start + 30, limit: 30_000))
        #expect(!held.isFresh(at: start + 31, limit: 30_000))
        #expect(held.age(at: start + 31) == 31_000)
    }

    @Test func `a snapshot from before the clock was set back makes way for the same state issued now`() throws {
        var held = HeldRevocations(startedAt: start)
        _ = try held.take(snapshot(issuedIn: 3600), confirmedAt: start + 3600)
        #expect(try held.take(snapshot(issuedIn: 3500), confirmedAt: start + 3600) == .none)
        #expect(held.snapshot?.issuedAt == start + 3600)
        #expect(try held.take(snapshot(), confirmedAt: start) == .none)
        #expect(held.snapshot?.issuedAt == start)
    }

    @Test(arguments: [30_000, nil] as [Int64?])
    func `who has forgotten what was revoked rests on nothing until the control plane has told it anew`(
        limit: Int64?
    ) throws {
        var held = HeldRevocations(startedAt: start, memory: .damaged)
        #expect(!held.isFresh(at: start, limit: limit))
        held.notOffered()
        #expect(held.isOffered)
        held.confirm(at: start)
        #expect(!held.isFresh(at: start, limit: limit))
        // Somebody hands on a snapshot that nobody has confirmed.
        #expect(try held.take(snapshot(), confirmedAt: nil) == .content)
        #expect(!held.isFresh(at: start, limit: limit))
        held.confirm(at: start + 1)
        #expect(held.isFresh(at: start + 1, limit: limit))
    }

    @Test func `revocations that were there once cannot be switched off by their absence`() throws {
        var held = HeldRevocations(startedAt: start)
        held.notOffered()
        #expect(held.isFresh(at: start + 1000, limit: 30_000))
        #expect(try held.take(snapshot(), confirmedAt: start) == .content)
        held.notOffered()
        #expect(!held.isFresh(at: start + 1000, limit: 30_000))
    }
}
