import Authentication
import JOSE
import OAuth
import Testing

@Suite("An issuer in the configuration")
struct TrustedIssuerTests {
    private func refusal(
        _ issuer: String = issuerName, jwksURI: String? = nil, jwks: String? = nil, loopback: Bool = false,
        algorithms: [JWSAlgorithm] = JWSAlgorithm.allCases, lifetime: Int64? = nil
    ) -> TrustedIssuerError? {
        do throws(TrustedIssuerError) {
            _ = try TrustedIssuer(
                issuer: issuer, jwksURI: jwksURI, jwks: jwks.map { Array($0.utf8) }, allowsLoopbackHTTP: loopback,
                algorithms: algorithms, maximumAssertionLifetime: lifetime)
            return nil
        } catch {
            return error
        }
    }

    @Test(
        "is an https URL",
        arguments: [
            "https://token.actions.githubusercontent.com", "https://kubernetes.default.svc.cluster.local",
            "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0",
            "https://[2001:db8::1]:8443/a",
        ])
    func accepted(issuer: String) {
        #expect(refusal(issuer) == nil)
    }

    @Test(
        "is nothing else",
        arguments: [
            "http://issuer.example", "http://127.0.0.1", "https://issuer.example?a=b", "https://issuer.example#a",
            "https://user:secret@issuer.example", "issuer.example", "spiffe://example.org", "", "https://",
            "https://issuer.example/" + String(repeating: "a", count: 1024),
        ])
    func refused(issuer: String) {
        #expect(refusal(issuer) == .badIssuer)
    }

    @Test(
        "is http only on this machine and only when the operator says so",
        arguments: [
            ("http://127.0.0.1:8080", true), ("http://[::1]:8080", true), ("http://localhost", true),
            ("http://127.0.0.1.example", false), ("http://10.0.0.1", false), ("http://0", false),
        ])
    func loopback(issuer: String, isAccepted: Bool) {
        #expect(refusal(issuer) == .badIssuer)
        #expect((refusal(issuer, loopback: true) == nil) == isAccepted)
    }

    @Test("has one place of its keys at most, and that is https too")
    func places() {
        #expect(refusal(jwksURI: keysURL) == nil)
        #expect(refusal(jwksURI: keysURL, jwks: keySet(jwk("a"))) == .twoKeySources)
        #expect(refusal(jwksURI: "http://127.0.0.1:8001/openid/v1/jwks") == .badKeysURL)
        #expect(refusal(jwksURI: "http://127.0.0.1:8001/openid/v1/jwks", loopback: true) == nil)
        #expect(refusal(jwksURI: "http://keys.example", loopback: true) == .badKeysURL)
        #expect(refusal(jwksURI: "https://keys.example#a") == .badKeysURL)
    }

    @Test("does not come with private keys, without keys, or with what is no key set")
    func fixedKeys() {
        #expect(refusal(jwks: keySet(jwk("a"))) == nil)
        #expect(refusal(jwks: keySet(jwk("a"), jwk("b", adding: #","d":"AA""#))) == .secretKeys)
        #expect(refusal(jwks: keySet()) == .noKeys)
        #expect(refusal(jwks: keySet(jwk("a")), algorithms: [.rs256]) == .noKeys)
        #expect(refusal(jwks: "{}") == .badKeys(.notAKeySet))
    }

    @Test("has an algorithm and a positive life of its assertions, if any")
    func numbers() {
        #expect(refusal(algorithms: []) == .noAlgorithm)
        #expect(refusal(lifetime: 0) == .badLifetime)
        #expect(refusal(lifetime: 1) == nil)
    }

    @Test("says what its assertions have to be like")
    func policy() throws {
        let issuer = try TrustedIssuer(issuer: issuerName, algorithms: [.rs256], maximumAssertionLifetime: 600)
        let policy = issuer.assertionPolicy(audiences: ["us"])
        guard case .federated = policy.kind else {
            Issue.record("\(policy.kind)")
            return
        }
        #expect(policy.audiences == ["us"])
        #expect(policy.algorithms == [.rs256])
        #expect(policy.maximumLifetime == 600)
        #expect(try TrustedIssuer(issuer: issuerName).assertionPolicy(audiences: ["us"]).maximumLifetime == 3600)
    }
}
