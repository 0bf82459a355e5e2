import Authentication
import Crypto
import JOSE
import OAuth
import Revocation
import SPIFFE
import Synchronization
import Testing

@Suite struct TransactionTokenVerifierTests {
    private static let now: Int64 = 1_900_000_000
    private static let issuer = "https://as.example/oauth2"
    private let key = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "k")

    private func token(_ change: (inout TransactionClaims) throws -> Void = { _ in }) throws -> String {
        var claims = TransactionClaims(
            issuer: Self.issuer, audience: "spiffe://own.example", subject: "spiffe://own.example/a",
            transactionID: "t-1", issuedAt: Self.now, expiresAt: Self.now + 60, scope: try Scope("run"),
            requesters: ["spiffe://own.example/b", "spiffe://own.example/c"],
            actors: try .extending(
                nil, by: Actor(subject: "spiffe://own.example/d", issuer: "spiffe://own.example")), chainRoot: "r-1")
        try change(&claims)
        return try CompactJWS.sign(
            type: TransactionToken.type, payload: TransactionToken.payload(of: claims), key: key)
    }

    private func verifier(
        revoked: Set<RevokedSubject> = [], asked: Asked = Asked(), areKeysAway: Bool = false
    ) throws -> TransactionTokenVerifier {
        let subjects = RevokedSubjects(revoked, in: try TrustDomain("own.example"))
        return TransactionTokenVerifier(
            TransactionTokenPolicy(issuer: Self.issuer, audience: "spiffe://own.example"),
            keys: {
                [key] (keyID: String, _: JWSAlgorithm) async throws(TransactionTokenRefusal) -> JWSVerificationKey in
                asked.count()
                guard !areKeysAway else { throw .keysUnavailable }
                guard keyID == "k" else { throw .unknownKey }
                return key.verificationKey
            },
            revocation: { subjects.revocation(of: $0) == nil ? nil : .revoked }, now: { Self.now })
    }

    /// Counts questions for keys.
    private final class Asked: Sendable {
        private let number = Mutex(0)

        func count() { number.withLock { $0 += 1 } }
        var times: Int { number.withLock { $0 } }
    }

    @Test func `a token says what it said when it was made`() async throws {
        let verified = try await verifier().verify([try token()])
        #expect(verified.claims.transactionID == "t-1" && verified.claims.requesters.count == 2)
        #expect(verified.claims.everybody.map(\.path) == ["/a", "/d", "/b", "/c"])
    }

    @Test func `for a token of another issuer no key is asked for`() async throws {
        let asked = Asked()
        await #expect(throws: TransactionTokenRefusal.token(.wrongIssuer)) {
            try await verifier(asked: asked).verify([try token { $0.issuer = "https://evil.example" }])
        }
        #expect(asked.times == 0)
        await #expect(throws: TransactionTokenRefusal.keysUnavailable) {
            try await verifier(asked: asked, areKeysAway: true).verify([try token()])
        }
        #expect(asked.times == 1)
    }

    @Test(arguments: [
        RevokedSubject.jwtID("t-1"), .chainRoot("r-1"), .key("k"), .agent(try! SPIFFEID("spiffe://own.example/a")),
        .agent(try! SPIFFEID("spiffe://own.example/b")), .agent(try! SPIFFEID("spiffe://own.example/c")),
        .agent(try! SPIFFEID("spiffe://own.example/d")),
    ])
    func `whatever is revoked of it ends it`(subject: RevokedSubject) async throws {
        await #expect(throws: TransactionTokenRefusal.revoked) {
            try await verifier(revoked: [subject]).verify([try token()])
        }
        let others: Set<RevokedSubject> = [
            .jwtID("t-2"), .chainRoot("t-1"), .agent(try SPIFFEID("spiffe://own.example/e")),
        ]
        _ = try await verifier(revoked: others).verify([try token()])
    }
}
