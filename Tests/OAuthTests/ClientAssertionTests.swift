import JOSE
import OAuth
import Testing

@Suite struct `Client assertions` {
    private static let now: Int64 = 1_700_000_030
    private static let issuer = "https://as.example.com"
    private let key = JWSSigningKey.fresh()
    private let policy = ClientAssertionPolicy(kind: .privateKeyJWT, audiences: [issuer, issuer + "/token"])
    private let claims: JSONObject = [
        "iss": "agent-a", "sub": "agent-a", "aud": .string(issuer), "exp": 1_700_000_300, "iat": 1_700_000_000,
        "jti": "j",
    ]

    private func refusal(
        _ changes: [(String, JSONValue?)] = [], header: [(String, JSONValue)] = [], clientID: String? = nil,
        _ policy: ClientAssertionPolicy? = nil, key: JWSSigningKey? = nil
    ) throws -> ClientAssertionError? {
        let text = SecretText(try token(header, changed(claims, changes), key: self.key))
        let (key, policy) = (key ?? self.key, policy ?? self.policy)
        return OAuthTests.refusal { () throws(ClientAssertionError) in
            try UnverifiedClientAssertion(parsing: text).verify(
                with: key.verificationKey, policy: policy, clientID: clientID, now: Self.now)
        }
    }

    @Test func `of a client say who it is, with or without its name beside`() throws {
        #expect(try refusal() == nil)
        #expect(try refusal(clientID: "agent-a") == nil)
        #expect(try refusal(clientID: "agent-b") == .wrongClient)
        #expect(try refusal([("aud", .string(Self.issuer + "/token"))]) == nil)
        #expect(try refusal([("aud", [.string(Self.issuer)])]) == nil)
        #expect(try refusal([("exp", .number(try #require(JSONNumber(1_700_000_300.5))))]) == nil)
        let text = SecretText(try token([], claims, key: key))
        let parsed = try UnverifiedClientAssertion(parsing: text)
        #expect(parsed.unverifiedIssuer == "agent-a")
        #expect(parsed.unverifiedSubject == "agent-a")
        #expect(parsed.keyID == "k")
        let verified = try parsed.verify(
            with: key.verificationKey, policy: policy, clientID: nil, now: Self.now)
        #expect(verified.subject == "agent-a")
        #expect(verified.tokenID == "j")
        #expect(verified.expiresAt == 1_700_000_300)
        #expect(verified.claims == claims)
    }

    @Test func `are refused for each broken claim`() throws {
        let cases: [([(String, JSONValue?)], ClientAssertionError)] = [
            ([("iss", nil)], .missingClaim("iss")), ([("iss", "")], .missingClaim("iss")),
            ([("iss", "agent-b")], .issuerIsNotSubject), ([("sub", nil)], .missingClaim("sub")),
            ([("sub", "")], .missingClaim("sub")), ([("aud", nil)], .missingClaim("aud")),
            ([("aud", [])], .missingClaim("aud")), ([("aud", "https://other")], .wrongAudience),
            ([("aud", .string(Self.issuer + "/"))], .wrongAudience),
            ([("aud", [.string(Self.issuer), "https://other"])], .severalAudiences),
            ([("aud", [.string(Self.issuer), .string(Self.issuer)])], .severalAudiences),
            ([("exp", nil)], .missingClaim("exp")),
            ([("exp", .number(JSONNumber(Self.now)))], .expired(at: Self.now)),
            ([("exp", .number(JSONNumber(Self.now + 3661)))], .lastsTooLong),
            ([("nbf", .number(JSONNumber(Self.now + 61)))], .claims(.notYetValid(until: Self.now + 61))),
            ([("iat", .number(JSONNumber(Self.now + 61)))], .claims(.issuedInFuture(at: Self.now + 61))),
            ([("jti", nil)], .missingClaim("jti")), ([("jti", "")], .badTokenID),
            ([("jti", .string(String(repeating: "j", count: 257)))], .badTokenID),
            ([("jti", 1)], .claims(.wrongType(claim: "jti"))),
        ]
        for (changes, expected) in cases { #expect(try refusal(changes) == expected, "\(changes)") }
    }

    @Test func `last as long as the policy says and the skew more`() throws {
        #expect(try refusal([("exp", .number(JSONNumber(Self.now + 3660)))]) == nil)
        var open = policy
        open.maximumLifetime = nil
        #expect(try refusal([("exp", 253_402_300_799)], open) == nil)
        open.maximumLifetime = .max
        #expect(try refusal([("exp", 253_402_300_799)], open) == nil)
    }

    @Test func `for the issuer alone are demanded where the policy names it alone`() throws {
        let strict = ClientAssertionPolicy(kind: .privateKeyJWT, audiences: [Self.issuer])
        #expect(try refusal(strict) == nil)
        #expect(try refusal([("aud", .string(Self.issuer + "/token"))], strict) == .wrongAudience)
    }

    private func refusal(_ policy: ClientAssertionPolicy) throws -> ClientAssertionError? { try refusal([], policy) }

    private func refusal(
        _ changes: [(String, JSONValue?)], _ policy: ClientAssertionPolicy
    ) throws -> ClientAssertionError? {
        try refusal(changes, header: [], clientID: nil, policy)
    }

    @Test(arguments: ["JWT", "jwt", "client-authentication+jwt"])
    func `may say their type`(type: String) throws {
        #expect(try refusal(header: [("typ", .string(type))]) == nil)
    }

    @Test(arguments: ["at+jwt", "dpop+jwt", "wit+jwt", "txntoken+jwt", "authorization-grant+jwt", "secevent+jwt", ""])
    func `of another type are refused`(type: String) throws {
        #expect(try refusal(header: [("typ", .string(type))]) == .badType)
    }

    @Test(arguments: ["jwk", "jku", "x5u"])
    func `that bring their own key are refused`(name: String) throws {
        #expect(try refusal(header: [(name, "x")]) == .headerMember(name))
    }

    @Test func `by another key or algorithm are refused`() throws {
        #expect(try refusal(key: .fresh()) == .token(.invalidSignature))
        var strict = policy
        strict.algorithms = [.ps256]
        #expect(try refusal(strict) == .algorithmNotAllowed(.es256))
    }

    @Test func `of another issuer may repeat, and are about its own subjects`() throws {
        let federated = ClientAssertionPolicy(kind: .federated, audiences: ["api://AzureADTokenExchange"])
        let changes: [(String, JSONValue?)] = [
            ("iss", "https://token.actions.githubusercontent.com"), ("sub", "repo:o/r:ref:refs/heads/main"),
            ("aud", "api://AzureADTokenExchange"), ("jti", nil),
        ]
        #expect(try refusal(changes, federated) == nil)
        #expect(try refusal(changes, header: [], clientID: "agent-a", federated) == nil)
        #expect(
            try refusal(changes + [("aud", ["api://AzureADTokenExchange", "x"])], federated) == .severalAudiences)
        #expect(try refusal(changes + [("iss", nil)], federated) == .missingClaim("iss"))
        let grant = ClientAssertionPolicy(kind: .authorizationGrant, audiences: [Self.issuer])
        #expect(
            try refusal([("iss", "https://i")], header: [("typ", "authorization-grant+jwt")], clientID: nil, grant)
                == nil)
    }

    @Test func `of the vectors' platform are taken as grant`() throws {
        let file = try vectors("oauth-agent.json")
        var key = try file.object("keys", "platform")
        key["d"] = nil
        let assertion = try UnverifiedClientAssertion(parsing: SecretText(try file.text("wag", "form", "assertion")))
        let verified = try assertion.verify(
            with: JWSVerificationKey(jwk: JWK(json: key)),
            policy: ClientAssertionPolicy(kind: .authorizationGrant, audiences: ["https://as.saas.example"]),
            clientID: nil, now: Self.now)
        #expect(verified.subject == "wimse://acme.agents.platform.example/agent/7f3d9a2e")
        // An ID-JAG has a type of its own, and rules of its own.
        let jag = try UnverifiedClientAssertion(parsing: SecretText(try file.text("id_jag", "assertion")))
        var idp = try file.object("keys", "idp")
        idp["d"] = nil
        let idpKey = try JWSVerificationKey(jwk: JWK(json: idp))
        #expect(throws: ClientAssertionError.badType) {
            try jag.verify(
                with: idpKey,
                policy: ClientAssertionPolicy(kind: .authorizationGrant, audiences: ["https://as.saas.example"]),
                clientID: nil, now: Self.now)
        }
    }
}
