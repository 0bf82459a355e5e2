import Crypto
import JOSE
import SPIFFE
import Testing

@Suite struct `JWT-SVIDs` {
    let key: JWSSigningKey
    let authority: JWTAuthority
    let id: SPIFFEID

    init() throws {
        key = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "k1")
        authority = try JWTAuthority(keyID: "k1", publicKey: key.verificationKey)
        id = try SPIFFEID("spiffe://example.org/agent")
    }

    func token(
        audience: [String] = ["api"], issuedAt: UnixTime = now, expiresAt: UnixTime = now + 300,
        extraClaims: JSONObject = JSONObject()
    ) throws -> String {
        try JWTSVID.sign(
            id: id, audience: audience, issuedAt: issuedAt, expiresAt: expiresAt, key: key, extraClaims: extraClaims)
    }

    func error(
        _ token: String, audience: String = "api", at time: UnixTime = now,
        bundles: ((TrustDomain) -> [JWTAuthority]?)? = nil
    ) -> JWTSVIDError? {
        do throws(JWTSVIDError) {
            _ = try JWTSVID.verify(
                token: token, audience: audience,
                bundles: bundles ?? { domain in domain == id.trustDomain ? [authority] : nil }, now: time)
            return nil
        } catch {
            return error
        }
    }

    /// A token with any header and claims, signed with the authority's key.
    func raw(_ header: JSONObject, _ claims: JSONObject, key signer: JWSSigningKey? = nil) throws -> String {
        let input = Base64URL.encode(header.serializedBytes) + "." + Base64URL.encode(claims.serializedBytes)
        return input + "." + Base64URL.encode(try (signer ?? key).sign(Array(input.utf8)))
    }

    var claims: JSONObject {
        ["sub": .string(id.string), "aud": "api", "exp": .number(JSONNumber(now.seconds + 300))]
    }
    let header: JSONObject = ["alg": "ES256", "kid": "k1"]

    func with(_ object: JSONObject, _ name: String, _ value: JSONValue?) -> JSONObject {
        var object = object
        object[name] = value
        return object
    }

    @Test func `a signed token has the members that every client needs, and verifies`() throws {
        let token = try JWTSVID.sign(
            id: id, audience: ["api", "b"], issuedAt: now.adding(milliseconds: 999), expiresAt: now + 300, key: key,
            issuer: "https://issuer", jwtID: "j1", extraClaims: ["scope": ["x"]])
        let jws = try CompactJWS(parsing: token)
        #expect(jws.header.json == ["alg": "ES256", "kid": "k1", "typ": "JWT"])
        let verified = try JWTSVID.verify(token: token, audience: "b", bundles: { _ in [authority] }, now: now)
        #expect(verified.id == id)
        #expect(verified.audience == ["api", "b"])
        #expect(verified.expiresAt == now + 300)
        #expect(verified.keyID == "k1")
        #expect(
            verified.claims == [
                "sub": .string(id.string), "aud": ["api", "b"], "exp": .number(JSONNumber(now.seconds + 300)),
                "iat": .number(JSONNumber(now.seconds)), "iss": "https://issuer", "jti": "j1", "scope": ["x"],
            ])
        let one = try CompactJWS(parsing: self.token())
        #expect(try JSONValue(parsing: one.payload).objectValue?["aud"] == ["api"])
    }

    @Test func `own tokens can be looked at without a key`() throws {
        let token = try UnverifiedJWTSVID(parsing: token())
        #expect(token.unverifiedID == id)
        #expect(token.expiresAt == now + 300)
        #expect(token.issuedAt == now)
        #expect(token.audience == ["api"])
    }

    @Test func `what makes no token is refused`() throws {
        #expect(throws: JWTSVIDError.badSubject(nil)) {
            try JWTSVID.sign(id: id.trustDomain.id, audience: ["a"], issuedAt: now, expiresAt: now + 1, key: key)
        }
        for audience in [[], [""], ["a", ""]] {
            #expect(throws: JWTSVIDError.missingAudience) { try token(audience: audience) }
        }
        #expect(throws: JWTSVIDError.badTimes) { try token(expiresAt: now) }
        #expect(throws: JWTSVIDError.badTimes) { try token(expiresAt: UnixTime(milliseconds: .max)) }
        #expect(throws: JWTSVIDError.badTimes) { try token(issuedAt: UnixTime(seconds: -1)) }
        for name in ["sub", "aud", "exp", "iat", "nbf", "iss", "jti"] {
            #expect(throws: JWTSVIDError.reservedClaim(name)) { try token(extraClaims: [name: "x"]) }
        }
        #expect(throws: JWTSVIDError.algorithmNotAllowed(.eddsa)) {
            try JWTSVID.sign(
                id: id, audience: ["a"], issuedAt: now, expiresAt: now + 1,
                key: JWSSigningKey(ed25519: Curve25519.Signing.PrivateKey(), keyID: "k"))
        }
        #expect(throws: JWTSVIDError.missingKeyID) {
            try JWTSVID.sign(
                id: id, audience: ["a"], issuedAt: now, expiresAt: now + 1,
                key: JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: ""))
        }
        #expect(throws: JWTSVIDError.token(.tooLarge(limit: JWTSVID.maximumLength))) {
            try token(audience: [String(repeating: "a", count: 20_000)])
        }
    }

    @Test func `the header keeps to alg, kid and typ`() throws {
        let table: [(JSONObject, JWTSVIDError?)] = [
            (header, nil), (with(header, "typ", "JWT"), nil), (with(header, "typ", "JOSE"), nil),
            (with(header, "typ", "jwt"), .badType), (with(header, "typ", "wit+jwt"), .badType),
            (with(header, "typ", ""), .badType), (with(header, "typ", 5), .token(.wrongType(member: "typ"))),
            (with(header, "kid", nil), .missingKeyID), (with(header, "kid", ""), .missingKeyID),
            (with(header, "kid", "k2"), .unknownKey("k2")), (with(header, "kid", 1), .token(.wrongType(member: "kid"))),
            (with(header, "jwk", JSONValue.object([:])), .headerMember("jwk")),
            (with(header, "x5c", []), .headerMember("x5c")),
            (with(header, "jku", "https://x"), .headerMember("jku")),
            (with(header, "cty", "JWT"), .headerMember("cty")),
            (with(header, "crit", ["x"]), .token(.unsupportedExtension("crit"))),
            (with(header, "alg", "none"), .token(.unsecured)),
            (with(header, "alg", "HS256"), .token(.unsupportedAlgorithm("HS256"))),
            (with(header, "alg", "EdDSA"), .algorithmNotAllowed(.eddsa)),
            (with(header, "alg", nil), .token(.missingAlgorithm)),
            (with(header, "alg", "ES384"), .token(.algorithmMismatch(expected: .es256, found: .es384))),
            (with(header, "alg", "RS256"), .token(.algorithmMismatch(expected: .es256, found: .rs256))),
        ]
        for (index, (header, expected)) in table.enumerated() {
            #expect(error(try raw(header, claims)) == expected, "row \(index)")
        }
    }

    @Test func `the claims have to be there and right`() throws {
        let table: [(JSONObject, JWTSVIDError?)] = [
            (claims, nil), (with(claims, "aud", ["x", "api"]), nil), (with(claims, "sub", nil), .badSubject(nil)),
            (with(claims, "sub", ""), .badSubject(.empty)), (with(claims, "sub", "agent"), .badSubject(.wrongScheme)),
            (with(claims, "sub", "spiffe://example.org"), .badSubject(nil)),
            (with(claims, "sub", "spiffe://example.org/a/"), .badSubject(.trailingSlash)),
            (with(claims, "sub", 5), .claims(.wrongType(claim: "sub"))),
            (with(claims, "sub", "spiffe://other.org/a"), .unknownTrustDomain(try TrustDomain("other.org"))),
            (with(claims, "aud", nil), .missingAudience), (with(claims, "aud", []), .missingAudience),
            (with(claims, "aud", ""), .missingAudience), (with(claims, "aud", "API"), .wrongAudience),
            (with(claims, "aud", ["a", "b"]), .wrongAudience),
            (with(claims, "aud", [5]), .claims(.wrongType(claim: "aud"))),
            (with(claims, "exp", nil), .missingExpiration),
            (with(claims, "exp", "1"), .claims(.wrongType(claim: "exp"))),
            (with(claims, "exp", -1), .claims(.dateOutOfRange(claim: "exp"))),
            (with(claims, "exp", .number(JSONNumber(now.seconds))), .expired(now)),
            (with(claims, "nbf", .number(JSONNumber(now.seconds + 60))), nil),
            (
                with(claims, "nbf", .number(JSONNumber(now.seconds + 61))),
                .claims(.notYetValid(until: now.seconds + 61))
            ),
            (with(claims, "iat", .number(JSONNumber(now.seconds + 60))), nil),
            (
                with(claims, "iat", .number(JSONNumber(now.seconds + 61))),
                .claims(.issuedInFuture(at: now.seconds + 61))
            ),
        ]
        for (index, (claims, expected)) in table.enumerated() {
            #expect(error(try raw(header, claims)) == expected, "row \(index)")
        }
    }

    @Test func `expiry has no leeway`() throws {
        let token = try token(expiresAt: now + 300)
        #expect(error(token, at: (now + 300).adding(milliseconds: -1)) == nil)
        #expect(error(token, at: now + 300) == .expired(now + 300))
    }

    @Test func `a trust domain's key never makes an ID of another trust domain`() throws {
        let evil = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "k1")
        let other = try TrustDomain("other.org")
        let bundles = [
            id.trustDomain: [authority], other: [try JWTAuthority(keyID: "k1", publicKey: evil.verificationKey)],
        ]
        let forged = try raw(header, claims, key: evil)
        #expect(error(forged) { bundles[$0] } == .token(.invalidSignature))
        let honest = try raw(header, with(claims, "sub", "spiffe://other.org/a"), key: evil)
        #expect(error(honest) { bundles[$0] } == nil)
        let unknown = try raw(
            with(header, "kid", "k2"), claims, key: JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "k2"))
        #expect(error(unknown) { bundles[$0] } == .unknownKey("k2"))
        #expect(error(forged, bundles: { _ in [] }) == .unknownKey("k1"))
        #expect(error(forged, bundles: { _ in nil }) == .unknownTrustDomain(id.trustDomain))
    }

    @Test func `of several names one has to be in the token, and no name is never enough`() throws {
        let token = try token(audience: ["api"])
        let verify = { (names: [String]) in
            try JWTSVID.verify(token: token, anyAudience: names, bundles: { _ in [authority] }, now: now)
        }
        #expect(try verify(["x", "api"]).id == id)
        #expect(throws: JWTSVIDError.wrongAudience) { try verify(["x"]) }
        #expect(throws: JWTSVIDError.wrongAudience) { try verify([]) }
        #expect(throws: JWTSVIDError.wrongAudience) { try verify([""]) }
        // Canonically equivalent, other bytes.
        let cafe = try self.token(audience: ["caf\u{e9}"])
        #expect(error(cafe, audience: "cafe\u{301}") == .wrongAudience)
    }

    @Test func `ES384 works, and with any bit of the token changed nothing verifies`() throws {
        let p384 = JWSSigningKey(p384: P384.Signing.PrivateKey(), keyID: "k9")
        let strong = try JWTAuthority(keyID: "k9", publicKey: p384.verificationKey)
        let token = try JWTSVID.sign(id: id, audience: ["api"], issuedAt: now, expiresAt: now + 1, key: p384)
        #expect(error(token, bundles: { _ in [strong] }) == nil)
        let bytes = Array(try self.token().utf8)
        for index in bytes.indices {
            for bit in 0..<7 {
                var changed = bytes
                changed[index] ^= 1 << bit
                #expect(error(String(decoding: changed, as: UTF8.self)) != nil)
            }
            #expect(error(String(decoding: bytes.prefix(index), as: UTF8.self)) != nil)
        }
    }

    @Test func `form and size are checked first`() throws {
        for text in ["", ".", "..", "a.b.c", "a.b.c.d"] { #expect(error(text) != nil) }
        #expect(error(String(repeating: "a", count: 16_385)) == .token(.tooLarge(limit: 16_384)))
    }
}
