import Crypto
import JOSE
import SPIFFE
import Testing

@testable import Attestation

/// The messages of `x509pop` and their limits. Chains and signatures are judged over the wire by another implementation.
@Suite struct X509PoPTests {
    private static let domain = try! TrustDomain("example.org")

    private static func verifier() -> X509PoPVerifier {
        X509PoPVerifier(
            trust: .externalPKI(authorities: []), trustDomain: domain, now: { UnixTime(seconds: 1_700_000_000) })
    }

    private static func payload(_ certificates: [String]) -> [UInt8] {
        JSONValue.object(["certificates": .array(certificates.map { .string($0) })]).serializedBytes
    }

    @Test("SPIRE 1.14.2: number and size of certificates are judged before anything is decoded or verified")
    func limitsComeFirst() {
        let rubbish = "AAAA"
        let large = Base64.encode([UInt8](repeating: 0x30, count: X509PoPAttestation.maximumCertificateLength + 1))
        let cases: [([UInt8], X509PoPError)] = [
            (Self.payload([rubbish, rubbish, rubbish, rubbish, rubbish, rubbish]), .tooManyIntermediates),
            // Not even base64: the number alone decides.
            (Self.payload([String](repeating: "%", count: 6)), .tooManyIntermediates),
            (Self.payload([large]), .certificateTooLarge),
            ([UInt8](repeating: 0x20, count: X509PoPAttestation.maximumMessageLength + 1), .messageTooLarge),
            (Self.payload([]), .noCertificate),
            (Self.payload(["%"]), .malformedPayload),
            (Array("[]".utf8), .malformedPayload),
            (Array(#"{"certificates":"AAAA"}"#.utf8), .malformedPayload),
        ]
        for (payload, expected) in cases {
            #expect(throws: expected) { _ = try Self.verifier().admit(payload) }
        }
        #expect(throws: X509PoPError.self) { _ = try Self.verifier().admit(Self.payload([rubbish])) }
    }

    @Test("challenges and responses survive their wire form")
    func wireForm() throws {
        let nonce = [UInt8](0..<32)
        for kind in [X509PoPChallenge.Kind.rsa, .ecdsa] {
            let challenge = X509PoPChallenge(kind: kind, nonce: nonce)
            #expect(try X509PoPChallenge(parsing: challenge.bytes) == challenge)
        }
        for signature in [X509PoPResponse.Signature.rsa([1, 2]), .ecdsa(r: [3], s: [4])] {
            let response = X509PoPResponse(nonce: nonce, signature: signature)
            #expect(try X509PoPResponse(parsing: response.bytes) == response)
        }
        let written = X509PoPChallenge(kind: .rsa, nonce: nonce).bytes
        #expect(
            String(decoding: written, as: UTF8.self)
                == #"{"rsa_signature":{"nonce":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="},"ecdsa_signature":null}"#
        )
    }

    @Test(
        "malformed challenges and responses are refused",
        arguments: [
            "", "{}", #"{"rsa_signature":null,"ecdsa_signature":null}"#, #"{"rsa_signature":{"nonce":"AA=="}}"#,
            #"{"rsa_signature":{},"ecdsa_signature":{}}"#, #"{"ecdsa_signature":{"nonce":5}}"#,
        ])
    func malformed(text: String) {
        #expect(throws: X509PoPError.self) { _ = try X509PoPChallenge(parsing: Array(text.utf8)) }
        #expect(throws: X509PoPError.self) { _ = try X509PoPResponse(parsing: Array(text.utf8)) }
    }

    @Test("a signature counts for its own nonces and key only")
    func signature() throws {
        let key = P256.Signing.PrivateKey()
        let theirs = [UInt8](repeating: 1, count: 32)
        let ours = [UInt8](repeating: 2, count: 32)
        let challenge = X509PoPChallenge(kind: .ecdsa, nonce: theirs)
        let raw = [UInt8](try key.signature(for: X509PoPSignature.digest(theirs, ours)).rawRepresentation)
        let good = X509PoPResponse(nonce: ours, signature: .ecdsa(r: Array(raw[..<32]), s: Array(raw[32...])))
        let padded = X509PoPResponse(
            nonce: ours, signature: .ecdsa(r: [0, 0] + raw[..<32], s: Array(raw[32...].drop { $0 == 0 })))
        let spki = SubjectPublicKey(key.publicKey)
        #expect(X509PoPSignature.isValid(good, challenge: challenge, key: spki))
        #expect(X509PoPSignature.isValid(padded, challenge: challenge, key: spki))
        let others: [(X509PoPResponse, X509PoPChallenge)] = [
            (X509PoPResponse(nonce: theirs, signature: good.signature), challenge),
            (good, X509PoPChallenge(kind: .ecdsa, nonce: ours)),
            (X509PoPResponse(nonce: ours, signature: .rsa(raw)), challenge),
            (X509PoPResponse(nonce: ours, signature: .ecdsa(r: raw, s: raw)), challenge),
            (X509PoPResponse(nonce: ours, signature: .ecdsa(r: [], s: [])), challenge),
        ]
        for (response, challenge) in others {
            #expect(!X509PoPSignature.isValid(response, challenge: challenge, key: spki))
        }
        let another = SubjectPublicKey(P256.Signing.PrivateKey().publicKey)
        #expect(!X509PoPSignature.isValid(good, challenge: challenge, key: another))
    }
}
