import Crypto
import CryptoExtras
import JOSE
import Testing

@Suite struct CompactJWSTests {
    static let p256 = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "k-1")

    static let signingKeys = [
        p256,
        JWSSigningKey(p384: P384.Signing.PrivateKey(), keyID: "k\"2/é"),
        JWSSigningKey(ed25519: Curve25519.Signing.PrivateKey(), keyID: "k-3"),
    ]

    @Test(arguments: signingKeys)
    func `what is signed is read back and verifies`(key: JWSSigningKey) throws {
        for payload in [[], bytes("{}"), [UInt8](0...255), [UInt8](repeating: 7, count: 5000)] {
            let token = try CompactJWS.sign(
                header: [("typ", "JWT"), ("x", ["a": [1]])], payload: payload, key: key)
            let jws = try CompactJWS(parsing: token)
            try jws.verify(with: key.verificationKey)
            #expect(jws.payload == payload)
            #expect(jws.header.algorithm == key.algorithm)
            #expect(jws.header.keyID == key.keyID)
            #expect(jws.header.type == "JWT")
            #expect(jws.header.json.members.map(\.name) == ["alg", "kid", "typ", "x"])
            #expect(try CompactJWS(parsing: bytes(token)[...]).signature == jws.signature)
        }
    }

    @Test func `the header may carry the key instead of its ID`() throws {
        let jwk = JSONValue.object(Self.p256.verificationKey.jwk.json())
        let token = try CompactJWS.sign(
            header: [("typ", "dpop+jwt"), ("jwk", jwk)], payload: bytes("{}"), key: Self.p256, writesKeyID: false)
        let jws = try CompactJWS(parsing: token)
        #expect(jws.header.keyID == nil)
        let carried = try JWK(json: try #require(jws.header.json["jwk"]?.objectValue))
        try jws.verify(with: JWSVerificationKey(jwk: carried))
    }

    @Test(arguments: ["alg", "kid", "crit", "b64"])
    func `members written from the key or refused by readers cannot be set`(name: String) {
        #expect(throws: JWSError.refusedHeaderMember(name)) {
            try CompactJWS.sign(header: [(name, "x")], payload: [], key: Self.p256)
        }
    }

    @Test func `a header member cannot be set twice`() {
        #expect(throws: JWSError.refusedHeaderMember("typ")) {
            try CompactJWS.sign(header: [("typ", "a"), ("typ", "b")], payload: [], key: Self.p256)
        }
    }

    @Test(
        "refuses headers",
        arguments: [
            (#"{"alg":"none"}"#, .unsecured), (#"{"alg":"None"}"#, .unsecured), (#"{"alg":"NONE"}"#, .unsecured),
            (#"{"alg":"nOnE"}"#, .unsecured), (#"{"alg":"HS256"}"#, .unsupportedAlgorithm("HS256")),
            (#"{"alg":"HS512"}"#, .unsupportedAlgorithm("HS512")),
            (#"{"alg":"es256"}"#, .unsupportedAlgorithm("es256")),
            (#"{"alg":"ES256K"}"#, .unsupportedAlgorithm("ES256K")),
            (#"{"alg":"ES256 "}"#, .unsupportedAlgorithm("ES256 ")),
            (#"{"alg":""}"#, .unsupportedAlgorithm("")), (#"{"alg":"none "}"#, .unsupportedAlgorithm("none ")),
            (#"{}"#, .missingAlgorithm), (#"{"Alg":"ES256"}"#, .missingAlgorithm),
            (#"{"alg":null}"#, .wrongType(member: "alg")), (#"{"alg":["ES256"]}"#, .wrongType(member: "alg")),
            (#"{"alg":"ES256","kid":1}"#, .wrongType(member: "kid")),
            (#"{"alg":"ES256","typ":null}"#, .wrongType(member: "typ")),
            (#"{"alg":"ES256","crit":["exp"]}"#, .unsupportedExtension("crit")),
            (#"{"alg":"ES256","crit":[]}"#, .unsupportedExtension("crit")),
            (#"{"alg":"ES256","b64":false}"#, .unsupportedExtension("b64")),
            (#"{"alg":"ES256","b64":true}"#, .unsupportedExtension("b64")),
            (#"{"alg":"ES256","alg":"none"}"#, .invalidHeader(.duplicateMember("alg"))),
            (#"{"alg":"none","\u0061lg":"ES256"}"#, .invalidHeader(.duplicateMember("alg"))),
            (#"{"alg":"ES256","x":{"a":1,"a":2}}"#, .invalidHeader(.duplicateMember("a"))),
            (#"["ES256"]"#, .headerIsNotAnObject), (#""ES256""#, .headerIsNotAnObject),
            (#"{"alg":"ES256"} x"#, .invalidHeader(.trailingBytes(offset: 16))), ("", .invalidHeader(.unexpectedEnd)),
            (#"{'alg':'ES256'}"#, .invalidHeader(.unexpectedByte(offset: 1))),
        ] as [(String, JWSError)])
    func refusesHeader(header: String, error: JWSError) {
        #expect(throws: error) { try CompactJWS(parsing: token(header: header)) }
    }

    @Test func `all spellings of none are refused`() {
        for mask in 0..<16 {
            let name = zip("none", 0..<4).map { mask >> $1 & 1 == 1 ? $0.uppercased() : String($0) }.joined()
            for signature in [[], [1]] as [[UInt8]] {
                #expect(throws: JWSError.unsecured) {
                    try CompactJWS(parsing: token(header: #"{"alg":"\#(name)"}"#, signature: signature))
                }
            }
        }
    }

    @Test(
        "refuses what is not three strict parts",
        arguments: [
            ("", .wrongPartCount), (".", .wrongPartCount), ("a.b", .wrongPartCount), ("a.b.c.d", .wrongPartCount),
            ("..", .invalidHeader(.unexpectedEnd)), ("...", .wrongPartCount), ("....", .wrongPartCount),
            ("eyJhbGciOiJFUzI1NiJ9.e30.", .missingSignature),
            ("eyJhbGciOiJFUzI1NiJ9.e30.AQ==", .invalidEncoding(.signature, .invalidCharacter(offset: 2))),
            ("eyJhbGciOiJFUzI1NiJ9.e30.AR", .invalidEncoding(.signature, .nonCanonicalEnd)),
            ("eyJhbGciOiJFUzI1NiJ9.e31.AQ", .invalidEncoding(.payload, .nonCanonicalEnd)),
            ("eyJhbGciOiJFUzI1NiJ9.e30=.AQ", .invalidEncoding(.payload, .invalidCharacter(offset: 3))),
            ("eyJhbGciOiJFUzI1NiJ9.e30\n.AQ", .invalidEncoding(.payload, .invalidCharacter(offset: 3))),
            (" eyJhbGciOiJFUzI1NiJ9.e30.AQ", .invalidEncoding(.header, .invalidLength)),
            ("eyJhbGciOiJFUzI1NiJ9.e30.AQ ", .invalidEncoding(.signature, .invalidCharacter(offset: 2))),
            ("eyJhbGciOiJFUzI1NiJ9.e/0.AQ", .invalidEncoding(.payload, .invalidCharacter(offset: 1))),
            ("eyJhbGciOiJFUzI1NiJ.e30.AQ", .invalidEncoding(.header, .nonCanonicalEnd)),
            (#"{"alg":"ES256"}"#, .wrongPartCount), ("é.é.é", .invalidEncoding(.header, .invalidCharacter(offset: 0))),
        ] as [(String, JWSError)])
    func refusesShape(source: String, error: JWSError) {
        #expect(throws: error) { try CompactJWS(parsing: source) }
    }

    @Test func `size and header depth are limited`() throws {
        let token = try CompactJWS.sign(header: [], payload: [UInt8](repeating: 0, count: 300), key: Self.p256)
        let size = token.utf8.count
        #expect(throws: Never.self) { try CompactJWS(parsing: token, limits: JWSLimits(maximumBytes: size)) }
        #expect(throws: JWSError.tooLarge(limit: size - 1)) {
            try CompactJWS(parsing: token, limits: JWSLimits(maximumBytes: size - 1))
        }
        let long = String(repeating: "A", count: 65_537)
        #expect(throws: JWSError.tooLarge(limit: 65_536)) { try CompactJWS(parsing: long) }
        let nested =
            #"{"alg":"ES256","x":"# + String(repeating: "[", count: 16) + String(repeating: "]", count: 16) + "}"
        #expect(throws: JWSError.invalidHeader(.tooDeep(limit: 16))) {
            try CompactJWS(parsing: JOSETests.token(header: nested))
        }
    }

    @Test func `an RSA key never checks by the algorithm that the token names`() throws {
        let rsa = try _RSA.Signing.PrivateKey(keySize: .bits2048)
        let spki = [UInt8](rsa.publicKey.derRepresentation)
        let input = [bytes(#"{"alg":"PS256"}"#), bytes("{}")].map { Base64URL.encode($0) }.joined(separator: ".")
        let digest = SHA256.hash(data: bytes(input))
        let pss = try rsa.signature(for: digest, padding: .PSS)
        let jws = try CompactJWS(parsing: input + "." + Base64URL.encode([UInt8](pss.rawRepresentation)))
        try jws.verify(with: JWSVerificationKey(derSPKI: spki, keyID: nil, algorithm: .ps256))
        #expect(throws: JWSError.algorithmMismatch(expected: .rs256, found: .ps256)) {
            try jws.verify(with: JWSVerificationKey(derSPKI: spki, keyID: nil))
        }
        let pkcs1 = try rsa.signature(for: digest, padding: .insecurePKCS1v1_5)
        let swapped = try CompactJWS(parsing: input + "." + Base64URL.encode([UInt8](pkcs1.rawRepresentation)))
        #expect(throws: JWSError.invalidSignature) {
            try swapped.verify(with: JWSVerificationKey(derSPKI: spki, keyID: nil, algorithm: .ps256))
        }
    }

    @Test func `a token signed by another key or over other parts is refused`() throws {
        let token = try CompactJWS.sign(header: [("typ", "JWT")], payload: bytes("{\"a\":1}"), key: Self.p256)
        let other = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: Self.p256.keyID)
        #expect(throws: JWSError.invalidSignature) {
            try CompactJWS(parsing: token).verify(with: other.verificationKey)
        }
        let parts = token.split(separator: ".").map(String.init)
        let payload = Base64URL.encode(bytes("{\"a\":2}"))
        #expect(throws: JWSError.invalidSignature) {
            try CompactJWS(parsing: [parts[0], payload, parts[2]].joined(separator: ".")).verify(
                with: Self.p256.verificationKey)
        }
        let header = Base64URL.encode(bytes(#"{"alg":"ES256","kid":"k-1","typ":"at+jwt"}"#))
        #expect(throws: JWSError.invalidSignature) {
            try CompactJWS(parsing: [header, parts[1], parts[2]].joined(separator: ".")).verify(
                with: Self.p256.verificationKey)
        }
        let wrongCurve = Self.signingKeys[1]
        #expect(throws: JWSError.algorithmMismatch(expected: .es384, found: .es256)) {
            try CompactJWS(parsing: token).verify(with: wrongCurve.verificationKey)
        }
    }

    @Test func `a signature in DER is refused`() throws {
        let key = P256.Signing.PrivateKey()
        let input = bytes("eyJhbGciOiJFUzI1NiJ9.e30")
        let der = [UInt8](try key.signature(for: input).derRepresentation)
        #expect(!JWSVerificationKey(p256: key.publicKey, keyID: nil).isValid(signature: der, over: input))
    }

    @Test func `a signing key does not show itself`() {
        let key = P256.Signing.PrivateKey()
        let signingKey = JWSSigningKey(p256: key, keyID: "shown")
        var dumped = ""
        dump(signingKey, to: &dumped)
        #expect(dumped.contains("shown"))
        #expect(!dumped.contains("P256"))
        #expect("\(signingKey)" == "ES256 signing key `shown`")
        #expect(String(reflecting: signingKey) == "ES256 signing key `shown`")
    }
}
