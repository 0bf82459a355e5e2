import Crypto
import CryptoExtras
import JOSE
import Testing

/// RS256 (RFC 7518 §3.3): RSA with PKCS #1 v1.5 and SHA-256.
@Suite struct RSASigningTests {
    static let privateKey = try! _RSA.Signing.PrivateKey(keySize: .bits2048)

    private func key(_ id: String = "rsa-1") throws -> JWSSigningKey {
        try JWSSigningKey(rsa: Self.privateKey, keyID: id)
    }

    @Test func `what is signed verifies here and by the library alone`() throws {
        let key = try key()
        for payload in [[], bytes("{}"), [UInt8](repeating: 7, count: 5000)] {
            let token = try CompactJWS.sign(type: "at+jwt", payload: payload, key: key)
            let jws = try CompactJWS(parsing: token)
            try jws.verify(with: key.verificationKey)
            #expect(jws.payload == payload)
            #expect(
                text(try Base64URL.decode(token.split(separator: ".")[0].utf8))
                    == #"{"alg":"RS256","kid":"rsa-1","typ":"at+jwt"}"#)
            #expect(jws.signature.count == 256)
            let signature = _RSA.Signing.RSASignature(rawRepresentation: jws.signature)
            let digest = SHA256.hash(data: jws.signingInput)
            let publicKey = Self.privateKey.publicKey
            #expect(publicKey.isValidSignature(signature, for: digest, padding: .insecurePKCS1v1_5))
            #expect(!publicKey.isValidSignature(signature, for: digest, padding: .PSS))
        }
    }

    @Test func `a public key goes through its JWK and verifies as RS256`() throws {
        let key = try key()
        let jwk = key.verificationKey.jwk
        #expect(jwk.json().members.map(\.name) == ["kty", "n", "e", "kid", "alg"])
        #expect(jwk.algorithm == .rs256)
        let read = try JWK(json: try JSONObject(parsing: jwk.json().serializedBytes))
        #expect(read == jwk)
        #expect(read.thumbprint == jwk.thumbprint)
        let verificationKey = try JWSVerificationKey(jwk: read)
        #expect(verificationKey.derSPKI == [UInt8](Self.privateKey.publicKey.derRepresentation))
        try CompactJWS(parsing: CompactJWS.sign(type: "t", payload: [], key: key)).verify(with: verificationKey)
    }

    @Test func `a key signs by its own algorithm and is checked by no other`() throws {
        let (rsa, p256) = (try key("k"), JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "k"))
        let byRSA = try CompactJWS(parsing: CompactJWS.sign(type: "t", payload: [], key: rsa))
        let byP256 = try CompactJWS(parsing: CompactJWS.sign(type: "t", payload: [], key: p256))
        #expect((rsa.algorithm, byRSA.header.algorithm) == (.rs256, .rs256))
        #expect((p256.algorithm, byP256.header.algorithm) == (.es256, .es256))
        #expect(throws: JWSError.algorithmMismatch(expected: .es256, found: .rs256)) {
            try byRSA.verify(with: p256.verificationKey)
        }
        #expect(throws: JWSError.algorithmMismatch(expected: .rs256, found: .es256)) {
            try byP256.verify(with: rsa.verificationKey)
        }
        for algorithm in JWSAlgorithm.allCases where algorithm.usesRSA && algorithm != .rs256 {
            let other = try JWSVerificationKey(
                derSPKI: rsa.verificationKey.derSPKI, keyID: "k", algorithm: algorithm)
            #expect(throws: JWSError.algorithmMismatch(expected: algorithm, found: .rs256)) {
                try byRSA.verify(with: other)
            }
            #expect(!other.isValid(signature: byRSA.signature, over: byRSA.signingInput))
        }
        let stranger = try JWSSigningKey(rsa: _RSA.Signing.PrivateKey(keySize: .bits2048), keyID: "k")
        #expect(throws: JWSError.invalidSignature) { try byRSA.verify(with: stranger.verificationKey) }
    }

    @Test(arguments: [1024, 1920])
    func `a key of fewer than 2048 bits signs nothing`(bits: Int) throws {
        let small = try _RSA.Signing.PrivateKey(unsafeKeySize: .init(bitCount: bits))
        #expect(throws: JWKError.refusedRSASize(bits: bits)) { try JWSSigningKey(rsa: small, keyID: "k") }
    }

    @Test func `an RSA key does not show itself`() throws {
        var dumped = ""
        dump(try key("shown"), to: &dumped)
        #expect(dumped.contains("shown"))
        #expect(!dumped.contains("_RSA"))
        #expect("\(try key("shown"))" == "RS256 signing key `shown`")
    }
}
