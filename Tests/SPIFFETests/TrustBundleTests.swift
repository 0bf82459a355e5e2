import Crypto
import JOSE
import SPIFFE
import Testing

@Suite struct `Trust bundles` {
    let domain: TrustDomain
    let root: TestAuthority
    let jwt: JWTAuthority

    init() throws {
        root = try TestAuthority()
        domain = root.trustDomain
        jwt = try JWTAuthority(
            keyID: "k1", publicKey: JWSVerificationKey(p256: P256.Signing.PrivateKey().publicKey, keyID: "k1"))
    }

    func object(_ bytes: [UInt8]) throws -> JSONObject { try #require(try JSONValue(parsing: bytes).objectValue) }

    @Test func `a document is written by the standard and read back`() throws {
        let second = try TestAuthority(serial: 2)
        let p384 = try JWTAuthority(
            keyID: "k2", publicKey: JWSVerificationKey(p384: P384.Signing.PrivateKey().publicKey, keyID: "k2"))
        let bundle = TrustBundle(
            trustDomain: domain,
            x509Authorities: [
                X509Authority(certificate: root.certificate), X509Authority(certificate: second.certificate),
            ],
            jwtAuthorities: [jwt, p384], refreshHint: 300, sequenceNumber: 42)
        let bytes = bundle.spiffeJSON()
        #expect(try TrustBundle(parsingSPIFFEJSON: bytes, trustDomain: domain) == bundle)
        let document = try object(bytes)
        #expect(document["spiffe_sequence"]?.int64Value == 42)
        #expect(document["spiffe_refresh_hint"]?.int64Value == 300)
        let keys = try #require(document["keys"]?.arrayValue).compactMap(\.objectValue)
        #expect(keys.map { $0["use"]?.stringValue } == ["x509-svid", "x509-svid", "jwt-svid", "jwt-svid"])
        #expect(keys.map { $0["kid"]?.stringValue } == [nil, nil, "k1", "k2"])
        #expect(keys.map { $0["kty"]?.stringValue } == ["EC", "EC", "EC", "EC"])
        #expect(keys[0]["x5c"]?.stringArrayValue == [Base64.encode(root.der)])
        let point = [UInt8](root.key.publicKey.rawRepresentation)
        #expect(keys[0]["x"]?.stringValue == Base64URL.encode(point.prefix(32)))
        #expect(keys[0]["y"]?.stringValue == Base64URL.encode(point.suffix(32)))
    }

    @Test func `an empty document revokes everything and has no hint`() throws {
        let bytes = TrustBundle(trustDomain: domain).spiffeJSON()
        #expect(String(decoding: bytes, as: UTF8.self) == #"{"keys":[],"spiffe_sequence":0}"#)
        let bundle = try TrustBundle(parsingSPIFFEJSON: Array(#"{"keys":[]}"#.utf8), trustDomain: domain)
        #expect(bundle == TrustBundle(trustDomain: domain))
    }

    @Test func `the Workload API set has JWT keys only, with kid and nothing of SPIFFE`() throws {
        let bundle = TrustBundle(
            trustDomain: domain, x509Authorities: [X509Authority(certificate: root.certificate)],
            jwtAuthorities: [jwt], refreshHint: 1, sequenceNumber: 1)
        let set = try object(bundle.jwtJWKS())
        #expect(set.members.map(\.name) == ["keys"])
        let keys = try #require(set["keys"]?.arrayValue).compactMap(\.objectValue)
        #expect(keys.count == 1)
        #expect(Set(keys[0].members.map(\.name)) == ["kty", "crv", "x", "y", "kid"])
        #expect(try JWTAuthority.parse(jwks: bundle.jwtJWKS()) == [jwt])
        #expect(String(decoding: TrustBundle(trustDomain: domain).jwtJWKS(), as: UTF8.self) == #"{"keys":[]}"#)
    }

    @Test func `an RSA key keeps an algorithm that it would not have by itself`() throws {
        let spki = try rsaSPKI()
        for (algorithm, stated) in [(JWSAlgorithm.rs256, nil), (.ps384, "PS384")] as [(JWSAlgorithm, String?)] {
            let authority = try JWTAuthority(keyID: "r", derSPKI: spki, algorithm: algorithm)
            let bundle = TrustBundle(trustDomain: domain, jwtAuthorities: [authority])
            let keys = try #require(try object(bundle.jwtJWKS())["keys"]?.arrayValue)
            #expect(keys[0].objectValue?["alg"]?.stringValue == stated)
            #expect(try JWTAuthority.parse(jwks: bundle.jwtJWKS()) == [authority])
        }
    }

    @Test func `X.509 authorities go through PEM and through plain DER`() throws {
        let second = try TestAuthority(serial: 2)
        let bundle = TrustBundle(
            trustDomain: domain,
            x509Authorities: [
                X509Authority(certificate: root.certificate), X509Authority(certificate: second.certificate),
            ])
        #expect(try TrustBundle(trustDomain: domain, pem: bundle.pem) == bundle)
        let plain = bundle.x509Bundle
        #expect(plain.derConcatenated == root.der + second.der)
        #expect(try X509Bundle(trustDomain: domain, derConcatenated: plain.derConcatenated) == plain)
        #expect(try X509Bundle(trustDomain: domain, derConcatenated: []).authorities.isEmpty)
        #expect(throws: X509BundleError.malformed(.truncated)) {
            try X509Bundle(trustDomain: domain, derConcatenated: root.der + [0x30])
        }
        #expect(throws: X509BundleError.malformed(.unexpectedTag)) {
            try X509Bundle(trustDomain: domain, derConcatenated: [0x04, 0])
        }
        #expect(throws: X509BundleError.certificate(.malformed(.truncated))) {
            try X509Bundle(trustDomain: domain, derConcatenated: [0x30, 0])
        }
        #expect(throws: X509BundleError.malformed(.trailingBytes)) {
            try X509Bundle(
                trustDomain: domain, derConcatenated: Array(repeating: [0x30, 0], count: 257).flatMap { $0 })
        }
    }

    func jwk(_ members: JSONObject, of key: JWSVerificationKey? = nil) throws -> JSONValue {
        var json = (key ?? jwt.publicKey).jwk.json()
        json["kid"] = nil
        json["alg"] = nil
        for (name, value) in members.members { json[name] = value }
        return .object(json)
    }

    @Test func `entries are read, passed over or refused`() throws {
        let rootKey = JWSVerificationKey(p256: root.key.publicKey, keyID: nil)
        let x5c: JSONValue = .array([.string(Base64.encode(root.der))])
        let eddsa = JWSVerificationKey(ed25519: Curve25519.Signing.PrivateKey().publicKey, keyID: nil)
        let unreadable: JSONValue = .array([.string(Base64.encode([0x30, 0]))])
        let table: [([JSONValue], Int, Int, BundleError?)] = [
            ([try jwk(["use": "jwt-svid", "kid": "a"])], 0, 1, nil),
            ([try jwk(["use": "jwt-svid", "kid": "a"]), try jwk(["use": "jwt-svid", "kid": "b"])], 0, 2, nil),
            ([try jwk(["use": "x509-svid", "x5c": x5c], of: rootKey)], 1, 0, nil),
            (
                [
                    try jwk(
                        ["use": "x509-svid", "x5c": .array([.string(Base64.encode(root.der)), .string("AAAA")])],
                        of: rootKey)
                ], 1, 0, nil
            ),
            ([try jwk(["use": "wit-svid", "kid": "a"])], 0, 0, nil),
            ([try jwk(["use": "sig", "kid": "a"])], 0, 0, nil),
            ([try jwk(["kid": "a"])], 0, 0, nil), ([try jwk(["use": "jwt-svid", "kid": "a"], of: eddsa)], 0, 0, nil),
            ([["kty": "oct", "use": "jwt-svid", "k": "AAAA"]], 0, 0, nil),
            ([["kty": "EC", "crv": "secp256k1", "use": "jwt-svid", "kid": "a"]], 0, 0, nil),
            ([["use": "jwt-svid", "kid": "a"]], 0, 0, .badMember("kty")), ([["kty": 5]], 0, 0, .badMember("kty")),
            ([try jwk(["use": 5])], 0, 0, .badMember("use")), ([5], 0, 0, .notABundle),
            ([try jwk(["use": "jwt-svid"])], 0, 0, .missingKeyID),
            ([try jwk(["use": "jwt-svid", "kid": ""])], 0, 0, .missingKeyID),
            (
                [try jwk(["use": "jwt-svid", "kid": "a"]), try jwk(["use": "jwt-svid", "kid": "a"])], 0, 0,
                .duplicateKeyID("a")
            ),
            ([try jwk(["use": "x509-svid"], of: rootKey)], 0, 0, .badMember("x5c")),
            ([try jwk(["use": "x509-svid", "x5c": x5c])], 0, 0, .keyIsNotTheCertificates),
            (
                [try jwk(["use": "x509-svid", "x5c": unreadable], of: rootKey)], 0, 0,
                .certificate(.malformed(.truncated))
            ),
            ([try jwk(["use": "jwt-svid", "kid": "a", "x": "AA"])], 0, 0, .key(.invalidKey)),
            ([try jwk(["use": "jwt-svid", "kid": 5])], 0, 0, .key(.wrongType(member: "kid"))),
        ]
        for (index, (entries, x509, jwts, error)) in table.enumerated() {
            let bytes = JSONObject([("keys", .array(entries))]).serializedBytes
            if let error {
                #expect(throws: error, "row \(index)") {
                    try TrustBundle(parsingSPIFFEJSON: bytes, trustDomain: domain)
                }
            } else {
                let bundle = try TrustBundle(parsingSPIFFEJSON: bytes, trustDomain: domain)
                #expect(bundle.x509Authorities.count == x509, "row \(index)")
                #expect(bundle.jwtAuthorities.count == jwts, "row \(index)")
            }
        }
    }

    @Test(
        arguments: [
            ("", nil), ("[]", BundleError.notABundle), ("{}", .notABundle), (#"{"keys":{}}"#, .notABundle),
            (#"{"keys":null}"#, .notABundle), (#"{"keys":[],"spiffe_sequence":-1}"#, .badNumber("spiffe_sequence")),
            (#"{"keys":[],"spiffe_sequence":"1"}"#, .badNumber("spiffe_sequence")),
            (#"{"keys":[],"spiffe_sequence":1.5}"#, .badNumber("spiffe_sequence")),
            (#"{"keys":[],"spiffe_refresh_hint":1e30}"#, .badNumber("spiffe_refresh_hint")),
            (#"{"keys":[],"keys":[]}"#, .json(.duplicateMember("keys"))),
        ] as [(String, BundleError?)])
    func `documents that are none are refused`(_ text: String, _ error: BundleError?) {
        let thrown = #expect(throws: BundleError.self) {
            try TrustBundle(parsingSPIFFEJSON: Array(text.utf8), trustDomain: domain)
        }
        if let error { #expect(thrown == error) }
    }

    @Test func `too many keys and bad key IDs are refused`() throws {
        let many = try (0...256).map { try jwk(["use": "jwt-svid", "kid": .string("k\($0)")]) }
        #expect(throws: BundleError.tooManyKeys) {
            try TrustBundle(
                parsingSPIFFEJSON: JSONObject([("keys", .array(many))]).serializedBytes, trustDomain: domain)
        }
        for keyID in ["", String(repeating: "k", count: 1025)] {
            #expect(throws: BundleError.badKeyID) { try JWTAuthority(keyID: keyID, publicKey: jwt.publicKey) }
        }
        let eddsa = JWSVerificationKey(ed25519: Curve25519.Signing.PrivateKey().publicKey, keyID: "e")
        #expect(throws: BundleError.algorithmNotAllowed) { try JWTAuthority(keyID: "e", publicKey: eddsa) }
        #expect(throws: BundleError.algorithmNotAllowed) { try JWTAuthority(keyID: "e", derSPKI: eddsa.derSPKI) }
        #expect(throws: BundleError.key(.unsupportedKeyType("SubjectPublicKeyInfo"))) {
            try JWTAuthority(keyID: "e", derSPKI: [])
        }
    }
}

/// The public half of the RSA test key.
func rsaSPKI() throws -> [UInt8] {
    try ParsedCertificate(der: PEM.decodeAll(Fixtures.pssSHA256, label: "CERTIFICATE", limit: 1)[0]).publicKey.derSPKI
}
