import CryptoExtras
import JOSE
import OAuth
import Testing

@Suite struct `Access tokens` {
    private static let now: Int64 = 1_700_000_030
    private let key = JWSSigningKey.fresh("as-1")
    private let policy = AccessTokenPolicy(issuer: "https://as", audiences: ["api://b", "https://b"])

    private func claims() throws -> AccessTokenClaims {
        AccessTokenClaims(
            issuer: "https://as", subject: "user-1", audience: ["api://b"], clientID: "agent-a", tokenID: "t-1",
            issuedAt: 1_700_000_000, notBefore: 1_699_999_990, expiresAt: 1_700_000_300, scope: try Scope("x y"),
            confirmation: Confirmation(proofKey: key.verificationKey.jwk),
            actors: try ActorChain.extending(nil, by: Actor(subject: "agent-a", issuer: "https://as")),
            mayAct: MayAct(try Actor(subject: "agent-c", issuer: "https://as")),
            authorizationDetails: try AuthorizationDetails(parsing: #"[{"type":"pay","max":1}]"#),
            otherClaims: ["txn": "1"])
    }

    private func refusal(
        _ text: String, _ policy: AccessTokenPolicy? = nil, key: JWSSigningKey? = nil, now: Int64 = now
    ) -> AccessTokenError? {
        let (key, policy) = (key ?? self.key, policy ?? self.policy)
        return OAuthTests.refusal { () throws(AccessTokenError) in
            try UnverifiedAccessToken(parsing: text).verify(with: key.verificationKey, policy: policy, now: now)
        }
    }

    @Test func `say after verification what was signed`() throws {
        let text = try AccessToken.sign(claims(), key: key).text
        let token = try UnverifiedAccessToken(parsing: text)
        #expect(token.keyID == "as-1")
        #expect(token.unverifiedIssuer == "https://as")
        let verified = try token.verify(with: key.verificationKey, policy: policy, now: Self.now)
        #expect(verified.claims == (try claims()))
        #expect(verified.keyID == "as-1")
        #expect(
            try claims().json.members.map(\.name) == [
                "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "cnf", "act", "may_act",
                "authorization_details", "txn",
            ])
    }

    @Test func `are signed by the algorithm of the key`() throws {
        let rsa = try JWSSigningKey(rsa: _RSA.Signing.PrivateKey(keySize: .bits2048), keyID: "as-2")
        let text = try AccessToken.sign(claims(), key: rsa).text
        #expect(try CompactJWS(parsing: text).header.algorithm == .rs256)
        let token = try UnverifiedAccessToken(parsing: text)
        #expect(throws: Never.self) { try token.verify(with: rsa.verificationKey, policy: policy, now: Self.now) }
        #expect(refusal(text) == .token(.algorithmMismatch(expected: .es256, found: .rs256)))
    }

    @Test func `may be signed elsewhere, with the same checks of claims and length`() throws {
        let token = try CompactJWS.sign(type: AccessToken.type, payload: AccessToken.payload(of: claims()), key: key)
        #expect(refusal(try AccessToken.checked(token).text) == nil)
        var endless = try claims()
        endless.expiresAt = endless.issuedAt
        #expect(throws: AccessTokenError.badTimes) { try AccessToken.payload(of: endless) }
        let long = String(repeating: "a", count: AccessToken.maximumLength + 1)
        #expect(throws: AccessTokenError.token(.tooLarge(limit: AccessToken.maximumLength))) {
            try AccessToken.checked(long)
        }
    }

    @Test func `are refused for each broken claim`() throws {
        let good = try claims().json
        let cases: [([(String, JSONValue?)], AccessTokenError)] = [
            ([("iss", nil)], .missingClaim("iss")), ([("iss", "https://as/")], .wrongIssuer),
            ([("iss", "")], .wrongIssuer),
            ([("aud", nil)], .wrongAudience), ([("aud", [])], .wrongAudience), ([("aud", "api://c")], .wrongAudience),
            ([("aud", ["api://b", "api://c"])], .otherAudiences), ([("aud", 1)], .claims(.wrongType(claim: "aud"))),
            ([("exp", nil)], .claims(.missingClaim("exp"))), ([("exp", "1")], .claims(.wrongType(claim: "exp"))),
            ([("exp", .number(JSONNumber(Self.now)))], .expired(at: Self.now)),
            ([("nbf", .number(JSONNumber(Self.now + 61)))], .claims(.notYetValid(until: Self.now + 61))),
            ([("iat", .number(JSONNumber(Self.now + 61)))], .claims(.issuedInFuture(at: Self.now + 61))),
            ([("iat", nil)], .missingClaim("iat")), ([("sub", nil)], .missingClaim("sub")),
            ([("sub", "")], .missingClaim("sub")), ([("jti", nil)], .missingClaim("jti")),
            ([("client_id", nil)], .missingClaim("client_id")), ([("client_id", "")], .missingClaim("client_id")),
            ([("client_id", 1)], .claims(.wrongType(claim: "client_id"))),
            ([("scope", ["x"])], .claims(.wrongType(claim: "scope"))), ([("scope", "x  y")], .scope(.badToken)),
            ([("cnf", "x")], .confirmation(.notAnObject)), ([("cnf", [:])], .confirmation(.notAnObject)),
            ([("cnf", ["kid": "x"])], .confirmation(.unsupportedMember("kid"))),
            ([("cnf", ["jkt": "AAAA"])], .confirmation(.badThumbprint("jkt"))),
            ([("cnf", ["x5t#S256": 1])], .confirmation(.badThumbprint("x5t#S256"))),
            ([("act", ["sub": "a"])], .actors(.missingIssuer)), ([("act", nil), ("act", "x")], .actors(.notAnObject)),
            ([("may_act", "x")], .actors(.notAnObject)),
            ([("authorization_details", [])], .authorizationDetails(.notAnArray)),
        ]
        for (changes, expected) in cases {
            let text = try token([("typ", "at+jwt")], changed(good, changes), key: key)
            #expect(refusal(text) == expected, "\(changes)")
        }
        #expect(cases.allSatisfy { $0.1.code == .invalidToken })
    }

    @Test func `that end now are refused, those that begin within the skew taken`() throws {
        let good = try claims().json
        let skewed = changed(
            good, [("iat", .number(JSONNumber(Self.now + 60))), ("nbf", .number(JSONNumber(Self.now + 60)))])
        #expect(refusal(try token([("typ", "at+jwt")], skewed, key: key)) == nil)
        let text = try token([("typ", "at+jwt")], good, key: key)
        #expect(refusal(text, now: 1_700_000_299) == nil)
        #expect(refusal(text, now: 1_700_000_300) == .expired(at: 1_700_000_300))
    }

    @Test func `of other types, keys or signers are refused`() throws {
        let good = try claims().json
        for type in ["JWT", "jwt", "at+JWT", "id+jwt", "dpop+jwt", "txntoken+jwt", "application/jwt", ""] {
            #expect(refusal(try token([("typ", .string(type))], good, key: key)) == .badType, "\(type)")
        }
        #expect(refusal(try token([], good, key: key)) == .badType)
        #expect(refusal(try token([("typ", "application/at+jwt")], good, key: key)) == nil)
        for name in ["jwk", "jku", "x5u", "x5c"] {
            #expect(refusal(try token([("typ", "at+jwt"), (name, "x")], good, key: key)) == .headerMember(name))
        }
        #expect(refusal(try token([("typ", "at+jwt")], good, key: key, writesKeyID: false)) == .missingKeyID)
        let text = try token([("typ", "at+jwt")], good, key: key)
        #expect(refusal(text, key: .fresh("as-1")) == .token(.invalidSignature))
        #expect(refusal(String(text.dropLast(4)) + "AAAA") == .token(.invalidSignature))
        #expect(refusal("a.b") == .token(.wrongPartCount))
        let unsecured = [#"{"typ":"at+jwt","alg":"none","kid":"as-1"}"#, "{}", "x"].map { Base64URL.encode(bytes($0)) }
        #expect(refusal(unsecured.joined(separator: ".")) == .token(.unsecured))
    }

    @Test func `for others too are taken where the policy says so`() throws {
        var open = policy
        open.allowsOtherAudiences = true
        let several = changed(try claims().json, [("aud", ["api://c", "https://b"])])
        #expect(refusal(try token([("typ", "at+jwt")], several, key: key), open) == nil)
        let ours = changed(try claims().json, [("aud", ["api://b", "https://b"])])
        #expect(refusal(try token([("typ", "at+jwt")], ours, key: key)) == nil)
    }

    @Test func `are not made from claims that would be refused`() throws {
        func refusal(_ change: (inout AccessTokenClaims) -> Void) throws -> AccessTokenError? {
            var claims = try claims()
            change(&claims)
            return OAuthTests.refusal { () throws(AccessTokenError) in try AccessToken.sign(claims, key: key) }
        }
        #expect(try refusal { _ in } == nil)
        #expect(try refusal { $0.expiresAt = $0.issuedAt } == .badTimes)
        #expect(try refusal { $0.issuedAt = -1 } == .badTimes)
        #expect(try refusal { $0.notBefore = -1 } == .badTimes)
        #expect(try refusal { $0.notBefore = $0.expiresAt } == .badTimes)
        #expect(try refusal { $0.notBefore = nil } == nil)
        #expect(try refusal { $0.issuer = "" } == .missingClaim("iss"))
        #expect(try refusal { $0.subject = "" } == .missingClaim("sub"))
        #expect(try refusal { $0.tokenID = "" } == .missingClaim("jti"))
        #expect(try refusal { $0.clientID = "" } == .missingClaim("client_id"))
        #expect(try refusal { $0.audience = [] } == .missingClaim("aud"))
        #expect(try refusal { $0.audience = ["a", ""] } == .missingClaim("aud"))
        #expect(try refusal { $0.otherClaims = ["act": [:]] } == .reservedClaim("act"))
        #expect(
            try refusal { $0.otherClaims = ["x": .string(String(repeating: "x", count: 16 * 1024))] }
                == .token(.tooLarge(limit: AccessToken.maximumLength)))
        let nameless = try claims()
        #expect(throws: AccessTokenError.missingKeyID) { try AccessToken.sign(nameless, key: .fresh("")) }
    }

    @Test func `are bound to a certificate or a key`() throws {
        let digest = [UInt8](repeating: 7, count: 32)
        let bound = try #require(Confirmation(certificateThumbprint: digest))
        #expect(bound.json.serializedBytes == bytes(#"{"x5t#S256":"\#(Base64URL.encode(digest))"}"#))
        #expect(try Confirmation(parsing: .object(bound.json)) == bound)
        #expect(Confirmation(certificateThumbprint: [1]) == nil)
    }

    @Test func `of the vectors are taken, and every bad one refused`() throws {
        let file = try vectors("oauth-agent.json")
        let jwk = try #require(JWKSet(json: file.object("access_tokens", "jwks")).keys.first)
        let key = try JWSVerificationKey(jwk: jwk)
        let policy = AccessTokenPolicy(
            issuer: try file.text("issuer"), audiences: ["https://booking.example.net/a2a"], actorLimit: 4)
        func verify(_ text: String) throws(AccessTokenError) -> AccessTokenClaims {
            try UnverifiedAccessToken(parsing: text).verify(with: key, policy: policy, now: Self.now).claims
        }
        let two = try verify(try file.text("access_tokens", "two_hops", "token"))
        #expect(
            two.actors?.actors.map(\.subject) == [
                "spiffe://partner.example/agent/booker", "spiffe://example.org/agent/planner",
            ])
        #expect(JSONValue.object(two.json) == .object(try file.object("access_tokens", "two_hops", "claims")))
        let delegated = try verify(try file.text("access_tokens", "delegated", "token"))
        #expect(delegated.confirmation?.keyThumbprint.map { Base64URL.encode($0) } == (try file.text("dpop", "jkt")))
        let own = try verify(try file.text("access_tokens", "self_acting", "token"))
        #expect(own.actors == nil)
        #expect(own.subject == own.clientID)
        let negatives = try file.objects("access_tokens", "negative")
        #expect(negatives.count == 7)
        var seen: Set<String> = []
        for negative in negatives {
            let text = try negative.text("token")
            let error = OAuthTests.refusal { () throws(AccessTokenError) in try verify(text) }
            let why = try negative.text("why")
            #expect(error != nil, "\(why)")
            seen.insert("\(error.map { "\($0)" } ?? "")")
        }
        #expect(seen.count == 6, "typ twice, each other rule once: \(seen)")
        // A transaction token is no access token.
        let transaction = try file.text("txn_token", "response", "access_token")
        #expect(throws: AccessTokenError.badType) { try UnverifiedAccessToken(parsing: transaction) }
    }
}
