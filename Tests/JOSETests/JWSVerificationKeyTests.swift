import Crypto
import CryptoExtras
import JOSE
import Testing

@Suite struct JWSVerificationKeyTests {
    static func jwk(_ extra: String) throws -> JWK {
        try key(#"{"kty":"EC","crv":"P-256","x":"\#(JWKTests.x)","y":"\#(JWKTests.y)"\#(extra)}"#)
    }

    static func rsa(_ extra: String = "") throws -> JWK {
        try key(#"{"kty":"RSA","e":"AQAB","n":"\#(JWKTests.modulus)"\#(extra)}"#)
    }

    @Test func `the key's own statement wins over the default, the curve over both`() throws {
        #expect(try JWSVerificationKey(jwk: Self.rsa()).algorithm == .rs256)
        #expect(try JWSVerificationKey(jwk: Self.rsa(), defaultAlgorithm: .ps512).algorithm == .ps512)
        #expect(try JWSVerificationKey(jwk: Self.rsa(#","alg":"PS256""#), defaultAlgorithm: .rs384).algorithm == .ps256)
        #expect(try JWSVerificationKey(jwk: Self.jwk(""), defaultAlgorithm: .rs256).algorithm == .es256)
        #expect(throws: JWKError.algorithmMismatch) {
            try JWSVerificationKey(jwk: Self.rsa(), defaultAlgorithm: .es256)
        }
    }

    @Test(
        "refuses keys that are for something else",
        arguments: [
            (#","use":"enc""#, .notForVerification), (#","key_ops":["sign"]"#, .notForVerification),
            (#","key_ops":[]"#, .notForVerification), (#","key_ops":"verify""#, .wrongType(member: "key_ops")),
        ] as [(String, JWKError)])
    func refusesOtherUses(extra: String, error: JWKError) throws {
        let jwk = try Self.jwk(extra)
        #expect(throws: error) { try JWSVerificationKey(jwk: jwk) }
    }

    @Test(arguments: [#","use":"sig""#, #","use":"jwt-svid""#, #","key_ops":["verify"]"#, ""])
    func `accepts keys for signatures`(extra: String) throws {
        #expect(try JWSVerificationKey(jwk: Self.jwk(extra)).algorithm == .es256)
    }

    @Test func `every type of key survives SubjectPublicKeyInfo and JWK`() throws {
        let rsa = try _RSA.Signing.PrivateKey(keySize: .bits2048).publicKey
        let keys: [([UInt8], JWSAlgorithm)] = [
            ([UInt8](P256.Signing.PrivateKey().publicKey.derRepresentation), .es256),
            ([UInt8](P384.Signing.PrivateKey().publicKey.derRepresentation), .es384),
            ([UInt8](P521.Signing.PrivateKey().publicKey.derRepresentation), .es512),
            ([UInt8](rsa.derRepresentation), .rs256),
            (hex("302a300506032b6570032100") + Curve25519.Signing.PrivateKey().publicKey.rawRepresentation, .eddsa),
        ]
        for (der, algorithm) in keys {
            let verificationKey = try JWSVerificationKey(derSPKI: der, keyID: "k")
            #expect(verificationKey.algorithm == algorithm)
            #expect(verificationKey.derSPKI == der)
            let jwk = verificationKey.jwk
            #expect(jwk.kid == "k")
            #expect(jwk.algorithm == algorithm)
            #expect(try JWSVerificationKey(jwk: JWK(json: jwk.json())).derSPKI == der)
        }
    }

    @Test func `changed or foreign SubjectPublicKeyInfo is refused`() throws {
        let der = [UInt8](P256.Signing.PrivateKey().publicKey.derRepresentation)
        for length in 0..<der.count {
            #expect(throws: JWKError.self) { try JWSVerificationKey(derSPKI: [UInt8](der[..<length]), keyID: nil) }
        }
        for index in 0..<27 {
            var changed = der
            changed[index] ^= 0x01
            #expect(throws: JWKError.self) { try JWSVerificationKey(derSPKI: changed, keyID: nil) }
        }
        #expect(throws: JWKError.self) { try JWSVerificationKey(derSPKI: der + [0], keyID: nil) }
        let zeroPoint = Array(der.prefix(27)) + [UInt8](repeating: 0, count: 64)
        #expect(throws: JWKError.invalidKey) { try JWSVerificationKey(derSPKI: zeroPoint, keyID: nil) }
        #expect(throws: JWKError.algorithmMismatch) {
            try JWSVerificationKey(derSPKI: der, keyID: nil, algorithm: .rs256)
        }
        let rsa = [UInt8](try _RSA.Signing.PrivateKey(keySize: .bits2048).publicKey.derRepresentation)
        for length in [0, 1, 4, 19, 20, 30, rsa.count - 1] {
            #expect(throws: JWKError.self) { try JWSVerificationKey(derSPKI: [UInt8](rsa[..<length]), keyID: nil) }
        }
        #expect(throws: JWKError.self) { try JWSVerificationKey(derSPKI: rsa + [0], keyID: nil) }
        #expect(throws: JWKError.invalidKey) {
            try JWSVerificationKey(derSPKI: [UInt8](repeating: 0x30, count: 5000), keyID: nil)
        }
    }
}
