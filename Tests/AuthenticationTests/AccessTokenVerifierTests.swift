import Crypto
import JOSE
import OAuth
import Revocation
import SPIFFE
import Synchronization
import Testing

@testable import Authentication

/// A resource server on a bench: one issuer's key, settable time and revocations, and a count of the keys that were asked for.
private final class Bench: Sendable {
    static let issuer = "https://as.example.org/oauth2"
    static let audience = "api://weather"
    static let url = "https://weather.example.org/task"
    static let certificate = [UInt8](repeating: 7, count: 32)
    static let start: Int64 = 1_900_000_000

    let issuerKey = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "issuer-1")
    let proofKey = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "")
    let time = Mutex(start)
    let revoked = Mutex<Set<RevokedSubject>>([])
    let keyQuestions = Mutex(0)
    let areKeysAway = Mutex(false)
    let areRevocationsKnown = Mutex(true)

    func verifier(isBoundOnly: Bool = false, nonces: [String]? = nil) -> AccessTokenVerifier {
        var demands = AccessTokenVerifier.Demands(
            AccessTokenPolicy(issuer: Self.issuer, audiences: [Self.audience]), isBoundOnly: isBoundOnly)
        if let nonces { demands.nonces = { nonces } }
        return AccessTokenVerifier(
            demands,
            keys: { (keyID: String, _: JWSAlgorithm) async throws(AccessTokenRefusal) -> JWSVerificationKey in
                try self.key(keyID)
            },
            revocation: { self.refusal($0) }, now: { self.time.withLock { $0 } })
    }

    private func key(_ keyID: String) throws(AccessTokenRefusal) -> JWSVerificationKey {
        keyQuestions.withLock { $0 += 1 }
        if areKeysAway.withLock({ $0 }) { throw .keysUnavailable }
        guard keyID == issuerKey.keyID else { throw .unknownKey }
        return issuerKey.verificationKey
    }

    private func refusal(_ token: VerifiedAccessToken) -> AccessTokenRefusal? {
        guard areRevocationsKnown.withLock({ $0 }), let trustDomain = try? TrustDomain("example.org") else {
            return .revocationsUnknown
        }
        let all = RevokedSubjects(revoked.withLock { $0 }, in: trustDomain)
        return all.revocation(of: token) == nil ? nil : .revoked
    }

    enum Binding {
        case none, certificate, proofKey
    }

    func token(
        _ binding: Binding = .certificate, issuer: String = Bench.issuer, audience: [String] = [Bench.audience],
        tokenID: String = "t-1", lifetime: Int64 = 300, scope: String = "Forecast.Read", chainRoot: String? = nil,
        actors: [String] = [], key: JWSSigningKey? = nil
    ) throws -> SecretText {
        var chain: ActorChain?
        for actor in actors { chain = try ActorChain.extending(chain, by: Actor(subject: actor, issuer: issuer)) }
        let confirmation: OAuth.Confirmation? =
            switch binding {
            case .none: nil
            case .certificate: OAuth.Confirmation(certificateThumbprint: Self.certificate)
            case .proofKey: OAuth.Confirmation(proofKey: proofKey.verificationKey.jwk)
            }
        var others = JSONObject()
        if let chainRoot { others[AccessTokenClaims.chainRootClaim] = .string(chainRoot) }
        let claims = AccessTokenClaims(
            issuer: issuer, subject: "spiffe://example.org/planner", audience: audience, clientID: "client-a",
            tokenID: tokenID, issuedAt: Self.start, expiresAt: Self.start + lifetime, scope: try Scope(scope),
            confirmation: confirmation, actors: chain,
            otherClaims: others)
        return try AccessToken.sign(claims, key: key ?? issuerKey)
    }

    func proof(
        for token: SecretText, method: String = "POST", url: String = Bench.url, tokenID: String = "p-1",
        nonce: String? = nil, issuedAt: Int64? = nil, key: JWSSigningKey? = nil
    ) throws -> String {
        try DPoPProof.sign(
            method: method, url: WebURL(url), tokenID: tokenID, issuedAt: issuedAt ?? time.withLock { $0 },
            key: key ?? proofKey, accessToken: token, nonce: nonce)
    }

    func shown(
        _ token: SecretText, scheme: String = "Bearer", proofs: [String] = [],
        certificate: [UInt8]? = Bench.certificate,
        method: String = "POST", url: String = Bench.url
    ) throws -> PresentedAccessToken {
        try PresentedAccessToken(
            authorization: ["\(scheme) \(token.text)"], proofs: proofs, certificateDigest: certificate,
            method: method, url: WebURL(url))
    }
}

@Suite("Access tokens: who calls a resource") struct AccessTokenVerifierTests {
    private let bench = Bench()

    private func refusal(
        _ verifier: AccessTokenVerifier, _ presented: PresentedAccessToken
    ) async -> AccessTokenRefusal? {
        do throws(AccessTokenRefusal) {
            _ = try await verifier.verify(presented)
            return nil
        } catch {
            return error
        }
    }

    @Test func `a caller is believed who holds what the token is bound to`() async throws {
        let verifier = bench.verifier(isBoundOnly: true)
        let bound = try bench.token(.certificate, actors: ["spiffe://example.org/desk", "spiffe://example.org/hop"])
        let caller = try await verifier.verify(bench.shown(bound))
        #expect(caller.isBound)
        #expect(caller.subject == "spiffe://example.org/planner")
        #expect(caller.actor == "spiffe://example.org/hop")
        #expect(caller.chain.map(\.subject) == ["spiffe://example.org/hop", "spiffe://example.org/desk"])
        try caller.require("Forecast.Read")
        #expect(throws: AccessTokenRefusal.scope(missing: ["Forecast.Write"])) {
            try caller.require("Forecast.Read", "Forecast.Write")
        }

        let dpop = try bench.token(.proofKey)
        let shown = try bench.shown(dpop, scheme: "DPoP", proofs: [bench.proof(for: dpop)], certificate: nil)
        #expect(try await verifier.verify(shown).isBound)
    }

    @Test func `a bearer token is taken only where no binding is demanded`() async throws {
        let token = try bench.token(.none)
        let caller = try await bench.verifier().verify(bench.shown(token, certificate: nil))
        #expect(!caller.isBound)
        #expect(await refusal(bench.verifier(isBoundOnly: true), try bench.shown(token)) == .notBound)
        // A proof does not make more of it.
        let proved = try bench.shown(token, scheme: "DPoP", proofs: [bench.proof(for: token)])
        #expect(await refusal(bench.verifier(), proved) == .notTheHolder)
    }

    @Test func `whoever copied a bound token cannot use it`() async throws {
        let verifier = bench.verifier()
        let bound = try bench.token(.certificate)
        let proved = try bench.token(.proofKey)
        let stranger = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "")
        let cases: [(String, PresentedAccessToken, AccessTokenRefusal)] = [
            (
                "another certificate", try bench.shown(bound, certificate: [UInt8](repeating: 8, count: 32)),
                .notTheHolder
            ),
            ("a longer digest", try bench.shown(bound, certificate: Bench.certificate + [0]), .notTheHolder),
            ("no certificate", try bench.shown(bound, certificate: nil), .notTheHolder),
            (
                "certificate-bound under DPoP",
                try bench.shown(bound, scheme: "DPoP", proofs: [bench.proof(for: bound)]), .notTheHolder
            ),
            ("downgrade to Bearer", try bench.shown(proved), .notTheHolder),
            (
                "downgrade to Bearer with a proof", try bench.shown(proved, proofs: [bench.proof(for: proved)]),
                .notTheHolder
            ),
            ("no proof", try bench.shown(proved, scheme: "DPoP"), .notTheHolder),
            (
                "two proofs",
                try bench.shown(
                    proved, scheme: "DPoP",
                    proofs: [bench.proof(for: proved, tokenID: "a"), bench.proof(for: proved, tokenID: "b")]),
                .notTheHolder
            ),
            (
                "another key's proof",
                try bench.shown(proved, scheme: "DPoP", proofs: [bench.proof(for: proved, key: stranger)]),
                .proof(.wrongKey)
            ),
            (
                "a proof for another token",
                try bench.shown(proved, scheme: "DPoP", proofs: [bench.proof(for: bound)]), .proof(.wrongAccessToken)
            ),
            (
                "a proof for another method",
                try bench.shown(proved, scheme: "DPoP", proofs: [bench.proof(for: proved, method: "GET")]),
                .proof(.wrongMethod)
            ),
            (
                "a proof for another path",
                try bench.shown(proved, scheme: "DPoP", proofs: [bench.proof(for: proved, url: Bench.url + "s")]),
                .proof(.wrongURL)
            ),
            (
                "a proof for another host",
                try bench.shown(
                    proved, scheme: "DPoP", proofs: [bench.proof(for: proved, url: "https://other.example/task")]),
                .proof(.wrongURL)
            ),
            (
                "an old proof",
                try bench.shown(
                    proved, scheme: "DPoP", proofs: [bench.proof(for: proved, issuedAt: Bench.start - 61)]),
                .proof(.tooOld(issuedAt: Bench.start - 61))
            ),
        ]
        for (name, presented, expected) in cases {
            #expect(await refusal(verifier, presented) == expected, "\(name)")
        }
        // None of the refused proofs has used up the good one.
        let good = try bench.shown(proved, scheme: "DPoP", proofs: [bench.proof(for: proved)])
        #expect(await refusal(verifier, good) == nil)
    }

    @Test func `a proof counts once, and with a nonce of the server where one is demanded`() async throws {
        let token = try bench.token(.proofKey)
        let verifier = bench.verifier()
        let shown = try bench.shown(token, scheme: "DPoP", proofs: [bench.proof(for: token)])
        #expect(await refusal(verifier, shown) == nil)
        #expect(await refusal(verifier, shown) == .replayed)
        #expect(AccessTokenRefusal.replayed.code == .invalidDPoPProof)

        let strict = bench.verifier(nonces: ["n1"])
        for (nonce, expected) in [
            (nil, AccessTokenRefusal.proof(.nonceNeeded)), ("n0", .proof(.nonceNeeded)), ("n1", nil),
        ] as [(String?, AccessTokenRefusal?)] {
            let proof = try bench.proof(for: token, tokenID: "p-\(nonce ?? "-")", nonce: nonce)
            #expect(await refusal(strict, try bench.shown(token, scheme: "DPoP", proofs: [proof])) == expected)
        }
        #expect(AccessTokenRefusal.proof(.nonceNeeded).code == .useDPoPNonce)
    }

    @Test func `tokens that are not for here are refused`() async throws {
        let verifier = bench.verifier()
        let forged = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "issuer-1")
        let unknown = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "issuer-2")
        let cases: [(String, SecretText, AccessTokenRefusal)] = [
            ("other audience", try bench.token(audience: ["api://bank"]), .token(.wrongAudience)),
            (
                "audiences beside ours", try bench.token(audience: ["api://weather", "api://bank"]),
                .token(.otherAudiences)
            ),
            ("unknown key", try bench.token(key: unknown), .unknownKey),
        ]
        for (name, token, expected) in cases {
            #expect(await refusal(verifier, try bench.shown(token)) == expected, "\(name)")
        }
        for token in [try bench.token(key: forged), SecretText("a.b.c")] {
            let found = await refusal(verifier, try bench.shown(token))
            guard case .token(.token) = found else {
                Issue.record("\(String(describing: found))")
                continue
            }
            #expect(found?.code == .invalidToken)
        }
    }

    @Test func `for a token of another issuer no key is asked for`() async throws {
        let verifier = bench.verifier()
        for issuer in [
            "https://as.example.org/oauth2/", "https://evil.example/oauth2", "https://AS.example.org/oauth2",
        ] {
            let token = try bench.token(issuer: issuer)
            #expect(await refusal(verifier, try bench.shown(token)) == .token(.wrongIssuer), "\(issuer)")
        }
        #expect(bench.keyQuestions.withLock { $0 } == 0)
    }

    @Test func `a token ends with its last second, remembered or not`() async throws {
        let verifier = bench.verifier()
        let token = try bench.token(lifetime: 300)
        for (time, expected) in [
            (Bench.start + 299, nil), (Bench.start + 300, AccessTokenRefusal.token(.expired(at: Bench.start + 300))),
            (Bench.start + 9999, .token(.expired(at: Bench.start + 300))),
        ] as [(Int64, AccessTokenRefusal?)] {
            bench.time.withLock { $0 = time }
            #expect(await refusal(verifier, try bench.shown(token)) == expected, "\(time)")
        }
    }

    @Test func `a token that verified is remembered, but not across a clock that is set back`() async throws {
        let verifier = bench.verifier()
        let shown = try bench.shown(try bench.token())
        bench.time.withLock { $0 = Bench.start + 100 }
        for _ in 0..<3 { #expect(await refusal(verifier, shown) == nil) }
        #expect(bench.keyQuestions.withLock { $0 } == 1)
        bench.time.withLock { $0 = Bench.start + 50 }
        #expect(await refusal(verifier, shown) == nil)
        #expect(bench.keyQuestions.withLock { $0 } == 2)
        // Before the token was made by more than clocks differ: it is not even valid yet.
        bench.time.withLock { $0 = Bench.start - 61 }
        guard case .token(.claims) = await refusal(verifier, shown) else {
            Issue.record("a token of the future was taken")
            return
        }
    }

    @Test func `who is revoked in whatever way is refused, also with a token that is remembered`() async throws {
        let verifier = bench.verifier()
        let token = try bench.token(
            .proofKey, tokenID: "t-9", chainRoot: "t-1",
            actors: ["spiffe://example.org/desk", "spiffe://example.org/hop"])
        func look(_ number: Int) async throws -> AccessTokenRefusal? {
            let proof = try bench.proof(for: token, tokenID: "look-\(number)")
            return await refusal(verifier, try bench.shown(token, scheme: "DPoP", proofs: [proof]))
        }
        let subjects: [RevokedSubject] = [
            .jwtID("t-9"), .chainRoot("t-1"), .agent(try SPIFFEID("spiffe://example.org/planner")),
            .agent(try SPIFFEID("spiffe://example.org/desk")), .agent(try SPIFFEID("spiffe://example.org/hop")),
            .key(bench.proofKey.verificationKey.jwk.thumbprintBase64URL), .key("issuer-1"),
        ]
        #expect(try await look(0) == nil)
        for (number, subject) in subjects.enumerated() {
            bench.revoked.withLock { $0 = [subject] }
            #expect(try await look(2 * number + 1) == .revoked, "\(subject)")
            bench.revoked.withLock { $0 = [.jwtID("t-8"), .chainRoot("t-2")] }
            #expect(try await look(2 * number + 2) == nil)
        }
        #expect(bench.keyQuestions.withLock { $0 } == 1)
        #expect(AccessTokenRefusal.revoked.code == .invalidToken)
    }

    @Test func `the first token of a chain ends with its chain`() async throws {
        bench.revoked.withLock { $0 = [.chainRoot("t-1")] }
        #expect(await refusal(bench.verifier(), try bench.shown(try bench.token(tokenID: "t-1"))) == .revoked)
        #expect(await refusal(bench.verifier(), try bench.shown(try bench.token(tokenID: "t-2"))) == nil)
    }

    @Test func `what nobody knows is refused`() async throws {
        let verifier = bench.verifier()
        let shown = try bench.shown(try bench.token())
        bench.areKeysAway.withLock { $0 = true }
        #expect(await refusal(verifier, shown) == .keysUnavailable)
        bench.areKeysAway.withLock { $0 = false }
        #expect(await refusal(verifier, shown) == nil)
        bench.areRevocationsKnown.withLock { $0 = false }
        #expect(await refusal(verifier, shown) == .revocationsUnknown)
        for refusal in [AccessTokenRefusal.keysUnavailable, .revocationsUnknown, .tooManyProofs] {
            #expect(refusal.code == .temporarilyUnavailable)
        }
    }

    @Test(
        arguments: [
            ([], AccessTokenRefusal.noToken), (["Basic YTpi"], .noToken), (["Bearer"], .malformed),
            (["Bearer "], .malformed),
            (["Bearer a b"], .malformed), (["Bearer  a"], .malformed), (["Bearer a", "Bearer a"], .malformed),
            (["Bearer a", "Basic b"], .malformed), ([""], .malformed), (["bearer a"], nil), (["dPoP a"], nil),
        ] as [([String], AccessTokenRefusal?)]) func `only one token in one header field is one`(
            values: [String], expected: AccessTokenRefusal?
        ) throws
    {
        let url = try WebURL(Bench.url)
        do throws(AccessTokenRefusal) {
            _ = try PresentedAccessToken(
                authorization: values, proofs: [], certificateDigest: nil, method: "GET", url: url)
            #expect(expected == nil)
        } catch {
            #expect(error == expected)
        }
    }

    @Test func `the memory for tokens is bounded, and the eldest give way`() async throws {
        var known = KnownTokens(capacity: 2)
        let policy = AccessTokenPolicy(issuer: Bench.issuer, audiences: [Bench.audience])
        let texts = try (0..<3).map { try bench.token(tokenID: "t-\($0)") }
        for text in texts + texts {
            let token = try UnverifiedAccessToken(parsing: text.text)
                .verify(with: bench.issuerKey.verificationKey, policy: policy, now: Bench.start)
            known.insert(token, text.digest, at: Bench.start)
            #expect(known.count <= 2)
            #expect(known.token(text.digest, at: Bench.start)?.claims.tokenID == token.claims.tokenID)
        }
        #expect(known.token(texts[0].digest, at: Bench.start) == nil)
        #expect(known.token(texts[2].digest, at: Bench.start + 300) == nil)
    }
}
