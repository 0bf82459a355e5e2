import Authentication
import Crypto
import JOSE
import OAuth

/// What a resource server pays for an access token: the first time, every further time, and for the curve alone.
enum TokenVerification {
    private static let issuer = "https://bench.test/oauth2"
    private static let audience = "api://ledger"
    private static let time: Int64 = 1_800_000_000

    private enum Failure: Error {
        case wrongSignature
    }

    static func measure(count: Int, only: String?) async throws -> [Measurement] {
        let key = P256.Signing.PrivateKey()
        let signer = JWSSigningKey(p256: key, keyID: "bench-key")
        let url = try WebURL("https://ledger.bench.test/payments")
        let tokens = try (0..<count).map { number in
            try PresentedAccessToken(
                authorization: ["Bearer " + AccessToken.sign(claims(number), key: signer).text], proofs: [],
                certificateDigest: nil, method: "GET", url: url)
        }
        let verifier = AccessTokenVerifier(
            AccessTokenVerifier.Demands(AccessTokenPolicy(issuer: issuer, audiences: [audience])),
            keys: { _, _ in signer.verificationKey }, revocation: { _ in nil }, now: { time })
        var results: [Measurement] = []
        func take(_ name: String, count: Int, _ body: () async throws -> Void) async throws {
            guard only.map({ name.contains($0) }) ?? true else { return }
            results.append(try await Measurement.take(name, count: count, body))
        }
        let (body, publicKey) = ([UInt8](repeating: 7, count: 450), key.publicKey)
        let signature = try key.signature(for: body)
        try await take("P-256 verification alone", count: count) {
            for _ in 0..<count {
                guard publicKey.isValidSignature(signature, for: body) else { throw Failure.wrongSignature }
            }
        }
        try await take("access token, ES256, all checks", count: count) {
            for token in tokens { _ = try await verifier.verify(token, scopes: ["pay"]) }
        }
        guard let last = tokens.last else { return results }
        _ = try await verifier.verify(last)
        try await take("access token, the same again", count: count * 20) {
            for _ in 0..<(count * 20) { _ = try await verifier.verify(last, scopes: ["pay"]) }
        }
        return results
    }

    private static func claims(_ number: Int) throws -> AccessTokenClaims {
        AccessTokenClaims(
            issuer: issuer, subject: "spiffe://bench.test/agents/refund-assistant", audience: [audience],
            clientID: "7f3d9a52-8a55-4d52-9c27-0d9d6ad8f0aa", tokenID: "bench-token-\(number)", issuedAt: time - 10,
            notBefore: time - 10, expiresAt: time + 300, scope: try Scope("pay read"),
            otherClaims: ["sub_profile": "ai_agent"])
    }
}
