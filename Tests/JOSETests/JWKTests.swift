import Crypto
import CryptoExtras
import JOSE
import Testing

@Suite struct JWKTests {
    static let x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
    static let y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
    static let edX = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    static let modulus =
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3"
        + "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA"
        + "ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-"
        + "kEgU8awapJzKnqDKgw"

    @Test func `thumbprint of RFC 7638 section 3.1`() throws {
        let jwk = try key(#"{"kty":"RSA","n":"\#(Self.modulus)","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#)
        #expect(jwk.thumbprintBase64URL == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")
        #expect(jwk.thumbprint == (try Base64URL.decode("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")))
        #expect(jwk.kid == "2011-04-29")
        #expect(jwk.algorithm == .rs256)
    }

    @Test func `thumbprint of RFC 8037 appendix A.3`() throws {
        let jwk = try key(#"{"kty":"OKP","crv":"Ed25519","x":"\#(Self.edX)"}"#)
        #expect(jwk.thumbprintBase64URL == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")
    }

    @Test func `members are read, kept and written`() throws {
        let certificate = Base64.encode([UInt8](0...99))
        let source =
            #"{"x5t#S256":"abc","use":"jwt-svid","y":"\#(Self.y)","kty":"EC","kid":"é","crv":"P-256","x":"\#(Self.x)","#
            + #""x5c":["\#(certificate)"],"alg":"ES256","n":1}"#
        let jwk = try key(source)
        #expect(jwk.use == "jwt-svid")
        #expect(jwk.x5c == [[UInt8](0...99)])
        #expect(jwk.otherMembers == ["x5t#S256": "abc"])
        let written = jwk.json()
        #expect(written.members.map(\.name) == ["kty", "crv", "x", "y", "kid", "use", "alg", "x5c", "x5t#S256"])
        #expect(try JWK(json: written) == jwk)
    }

    @Test func `private members are never kept`() throws {
        let source = #"{"kty":"EC","crv":"P-256","x":"\#(Self.x)","y":"\#(Self.y)","d":"c2VjcmV0","k":"c2VjcmV0"}"#
        let jwk = try key(source)
        #expect(!text(jwk.json().serializedBytes).contains("c2VjcmV0"))
        #expect(!"\(jwk)".contains("c2VjcmV0"))
        #expect(JWK.hasPrivateMembers(try JSONObject(parsing: bytes(source))))
        #expect(!JWK.hasPrivateMembers(jwk.json()))
    }

    @Test(
        "refuses malformed keys",
        arguments: [
            (#"{}"#, .missingMember("kty")), (#"{"kty":1}"#, .wrongType(member: "kty")),
            (#"{"kty":"oct","k":"AAAA"}"#, .unsupportedKeyType("oct")), (#"{"kty":"ec"}"#, .unsupportedKeyType("ec")),
            ("{\"kty\":\"O\u{212A}P\",\"crv\":\"Ed25519\"}", .unsupportedKeyType("O\u{212A}P")),
            (#"{"kty":"EC"}"#, .missingMember("crv")),
            (#"{"kty":"EC","crv":"secp256k1"}"#, .unsupportedCurve("secp256k1")),
            (#"{"kty":"EC","crv":"Ed25519","x":"\#(edX)"}"#, .unsupportedCurve("Ed25519")),
            (#"{"kty":"OKP","crv":"X25519","x":"\#(edX)"}"#, .unsupportedCurve("X25519")),
            (#"{"kty":"OKP","crv":"P-256","x":"\#(x)","y":"\#(y)"}"#, .unsupportedCurve("P-256")),
            (#"{"kty":"EC","crv":"P-256","x":"\#(x)"}"#, .missingMember("y")),
            (#"{"kty":"EC","crv":"P-256","x":"\#(x)","y":null}"#, .wrongType(member: "y")),
            (#"{"kty":"EC","crv":"P-256","x":"\#(x)=","y":"\#(y)"}"#, .invalidEncoding(member: "x")),
            (#"{"kty":"EC","crv":"P-256","x":"\#(y)","y":"\#(x)"}"#, .invalidKey),
            (#"{"kty":"EC","crv":"P-256","x":"","y":""}"#, .invalidKey),
            (#"{"kty":"EC","crv":"P-256","x":"\#(x)","y":"AA"}"#, .invalidKey),
            (#"{"kty":"EC","crv":"P-384","x":"\#(x)","y":"\#(y)"}"#, .invalidKey),
            (#"{"kty":"EC","crv":"P-256","x":"\#(x)","y":"\#(y)","alg":"ES384"}"#, .algorithmMismatch),
            (#"{"kty":"EC","crv":"P-256","x":"\#(x)","y":"\#(y)","alg":"RS256"}"#, .algorithmMismatch),
            (#"{"kty":"EC","crv":"P-256","x":"\#(x)","y":"\#(y)","alg":"none"}"#, .unsupportedAlgorithm("none")),
            (#"{"kty":"EC","crv":"P-256","x":"\#(x)","y":"\#(y)","alg":1}"#, .wrongType(member: "alg")),
            (#"{"kty":"EC","crv":"P-256","x":"\#(x)","y":"\#(y)","kid":1}"#, .wrongType(member: "kid")),
            (#"{"kty":"EC","crv":"P-256","x":"\#(x)","y":"\#(y)","use":[]}"#, .wrongType(member: "use")),
            (#"{"kty":"EC","crv":"P-256","x":"\#(x)","y":"\#(y)","x5c":"AA=="}"#, .wrongType(member: "x5c")),
            (#"{"kty":"EC","crv":"P-256","x":"\#(x)","y":"\#(y)","x5c":[]}"#, .wrongType(member: "x5c")),
            (#"{"kty":"EC","crv":"P-256","x":"\#(x)","y":"\#(y)","x5c":["AA"]}"#, .invalidEncoding(member: "x5c")),
            (#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#, .invalidKey),
            (#"{"kty":"RSA","n":"\#(modulus)"}"#, .missingMember("e")),
            (#"{"kty":"RSA","n":"","e":"AQAB"}"#, .invalidKey),
            (#"{"kty":"RSA","n":"\#(modulus)","e":""}"#, .invalidKey),
            (#"{"kty":"RSA","n":"\#(modulus)","e":"AQ"}"#, .invalidKey),
            (#"{"kty":"RSA","n":"\#(modulus)","e":"Ag"}"#, .invalidKey),
            (#"{"kty":"RSA","n":"\#(modulus)","e":"AAEAAQ"}"#, .invalidKey),
            (#"{"kty":"RSA","n":"\#(modulus)","e":"\#(modulus)"}"#, .invalidKey),
            (#"{"kty":"RSA","n":"\#(modulus)","e":"AQAB","alg":"ES256"}"#, .algorithmMismatch),
            (#"{"kty":"RSA","n":"\#(modulus)","e":"AQAB","alg":"RSA-OAEP"}"#, .unsupportedAlgorithm("RSA-OAEP")),
        ] as [(String, JWKError)])
    func refuses(source: String, error: JWKError) {
        #expect(throws: error) { try key(source) }
    }

    @Test(
        "limits the size of RSA keys",
        arguments: [(1024, false), (2047, false), (2048, true), (8192, true), (8193, false)])
    func limitsRSA(bits: Int, isAccepted: Bool) throws {
        var modulus = [UInt8](repeating: 0xFF, count: (bits + 7) / 8)
        modulus[0] = UInt8(0xFF >> (modulus.count * 8 - bits))
        let material = JWK.Key.rsa(modulus: modulus, exponent: [1, 0, 1])
        if isAccepted {
            #expect(try JWK(key: material).key == material)
        } else {
            #expect(throws: JWKError.refusedRSASize(bits: bits)) { try JWK(key: material) }
        }
    }

    @Test func `a set passes over unknown types and refuses malformed known ones`() throws {
        let good = #"{"kty":"EC","crv":"P-256","kid":"a","x":"\#(Self.x)","y":"\#(Self.y)"}"#
        let unknown = #"{"kty":"oct","k":"AA"},{"kty":"OKP","crv":"X25519","x":"AA"},{"kty":"AKP","alg":"ML-DSA-44"},"#
        let encryption = #"{"kty":"RSA","n":"\#(Self.modulus)","e":"AQAB","alg":"RSA-OAEP"}"#
        let set = try JWKSet(parsing: bytes(#"{"spiffe_sequence":1,"keys":[\#(unknown)\#(good),\#(encryption)]}"#))
        #expect(set.keys.map(\.kid) == ["a"])
        #expect(set.skippedCount == 4)
        #expect(set.key(withID: "a") != nil)
        #expect(set.key(withID: "b") == nil)
        #expect(try JWKSet(parsing: set.serializedBytes).keys == set.keys)
        #expect(throws: JWKError.missingMember("y")) {
            try JWKSet(parsing: bytes(#"{"keys":[\#(good),{"kty":"EC","crv":"P-256","x":"\#(Self.x)"}]}"#))
        }
        #expect(throws: JWKError.missingMember("kty")) { try JWKSet(parsing: bytes(#"{"keys":[{}]}"#)) }
        #expect(try JWKSet(parsing: bytes(#"{"keys":[]}"#)).keys.isEmpty)
        for source in ["[]", "{}", #"{"keys":{}}"#, #"{"keys":[1]}"#, #"{"keys":null}"#] {
            #expect(throws: JWKError.notAKeySet) { try JWKSet(parsing: bytes(source)) }
        }
        #expect(throws: JWKError.json(.duplicateMember("keys"))) {
            try JWKSet(parsing: bytes(#"{"keys":[],"keys":[]}"#))
        }
    }
}
