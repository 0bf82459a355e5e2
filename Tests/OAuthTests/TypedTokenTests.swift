import JOSE
import OAuth
import Testing

@Suite struct `Transaction tokens` {
    private static let now: Int64 = 1_700_000_030
    private let key = JWSSigningKey.fresh("as-1")
    private let policy = TransactionTokenPolicy(issuer: "https://as", audience: "spiffe://d")

    private func claims() throws -> TransactionClaims {
        TransactionClaims(
            issuer: "https://as", audience: "spiffe://d", subject: "user-1", transactionID: "t-1",
            issuedAt: 1_700_000_000, expiresAt: 1_700_000_060, scope: try Scope("x y"),
            requesters: ["spiffe://d/a", "spiffe://d/b"],
            details: try TransactionContext(parsing: #"{"a":[1,{"b":null}]}"#),
            context: try TransactionContext(parsing: #"{"req_ip":"192.0.2.7"}"#),
            actors: try ActorChain.extending(nil, by: Actor(subject: "spiffe://d/a", issuer: "spiffe://d")),
            subjectProfile: "user", chainRoot: "r-1")
    }

    private func refusal(
        _ text: String, _ policy: TransactionTokenPolicy? = nil, key: JWSSigningKey? = nil, now: Int64 = now
    ) -> TypedTokenError? {
        let (key, policy) = (key ?? self.key, policy ?? self.policy)
        return OAuthTests.refusal { () throws(TypedTokenError) in
            try UnverifiedTransactionToken(parsing: text).verify(with: key.verificationKey, policy: policy, now: now)
        }
    }

    private func token(_ changes: [(String, JSONValue?)], type: String? = "txntoken+jwt") throws -> String {
        try OAuthTests.token(
            type.map { [("typ", .string($0))] } ?? [], changed(try claims().json, changes), key: key)
    }

    @Test func `say after verification what was signed`() throws {
        let text = try CompactJWS.sign(
            type: TransactionToken.type, payload: TransactionToken.payload(of: claims()), key: key)
        let token = try UnverifiedTransactionToken(parsing: text)
        #expect(token.keyID == "as-1" && token.unverifiedIssuer == "https://as")
        let verified = try token.verify(with: key.verificationKey, policy: policy, now: Self.now)
        #expect(verified.claims == (try claims()))
        #expect(
            try claims().json.members.map(\.name) == [
                "iss", "aud", "sub", "txn", "exp", "iat", "scope", "req_wl", "tctx", "rctx", "act", "sub_profile",
                "chain_root",
            ])
        #expect(try claims().json["req_wl"] == "spiffe://d/a,spiffe://d/b")
    }

    @Test func `without what has to be there, or with something else, are refused`() throws {
        for name in ["iss", "sub", "txn", "exp", "iat", "scope", "req_wl", "aud", "chain_root"] {
            #expect(refusal(try token([(name, nil)])) == .missingClaim(name))
        }
        let (now, long) = (Self.now, JSONValue.string(String(repeating: "x", count: 257)))
        for (changes, error) in [
            ([("iss", "https://other")], .wrongIssuer), ([("aud", "spiffe://e")], .wrongAudience),
            ([("aud", ["spiffe://d", "spiffe://e"])], .otherAudiences), ([("txn", long)], .badClaim("txn")),
            ([("txn", 1)], .badClaim("txn")), ([("scope", "x  y")], .scope(.badToken)),
            ([("scope", "")], .badClaim("scope")), ([("req_wl", "a,,b")], .badClaim("req_wl")),
            ([("req_wl", ["a"])], .badClaim("req_wl")),
            ([("req_wl", .string((0..<17).map { "\($0)" }.joined(separator: ",")))], .tooManyRequesters),
            ([("tctx", [])], .badClaim("tctx")), ([("rctx", "x")], .badClaim("rctx")),
            ([("act", ["sub": "a"])], .actors(.missingIssuer)),
            ([("exp", .number(JSONNumber(now)))], .expired(at: now)),
            ([("exp", .number(JSONNumber(1_700_000_301)))], .lastsTooLong),
        ] as [([(String, JSONValue?)], TypedTokenError)] {
            #expect(refusal(try token(changes)) == error, "\(changes)")
        }
        #expect(
            refusal(try token([("iat", .number(JSONNumber(now + 61))), ("exp", .number(JSONNumber(now + 90)))])) != nil)
        #expect(refusal(try token([("nbf", .number(JSONNumber(now + 61)))])) != nil)
        #expect(refusal(try token([]), key: .fresh("as-1")) == .token(.invalidSignature))
    }

    @Test(arguments: ["at+jwt", "JWT", "TxnToken+jwt", "application/txntoken+jwt", "authorization-grant+jwt", nil])
    func `of another type are other tokens`(type: String?) throws {
        #expect(refusal(try token([], type: type)) == .badType)
    }

    @Test func `bring no key`() throws {
        for name in ["jwk", "jku", "x5u", "x5c"] {
            let text = try OAuthTests.token([("typ", "txntoken+jwt"), (name, "x")], try claims().json, key: key)
            #expect(refusal(text) == .headerMember(name))
        }
        let text = try OAuthTests.token([("typ", "txntoken+jwt")], try claims().json, key: key, writesKeyID: false)
        #expect(refusal(text) == .missingKeyID)
    }

    @Test func `that could not be read are not made`() throws {
        for (change, error) in [
            ({ $0.expiresAt = $0.issuedAt }, .badTimes), ({ $0.expiresAt += 300 }, .lastsTooLong),
            ({ $0.subject = "" }, .missingClaim("sub")), ({ $0.scope = .empty }, .missingClaim("scope")),
            ({ $0.requesters = [] }, .missingClaim("req_wl")), ({ $0.requesters = ["a,b"] }, .badClaim("req_wl")),
            ({ $0.requesters = [String](repeating: "a", count: 17) }, .tooManyRequesters),
        ] as [((inout TransactionClaims) -> Void, TypedTokenError)] {
            var claims = try claims()
            change(&claims)
            let wanted = claims
            #expect(
                OAuthTests.refusal { () throws(TypedTokenError) in try TransactionToken.payload(of: wanted) } == error)
        }
    }

    @Test func `come in one header field, alone`() throws {
        #expect(try TransactionToken.presented(["a.b.c"]) == "a.b.c")
        for values in [["a.b.c", "a.b.c"], ["a.b.c,d.e.f"], ["a.b.c d"], [""], ["a\u{7f}"]] {
            #expect(throws: TransactionTokenRefusal.malformed) { try TransactionToken.presented(values) }
        }
        #expect(throws: TransactionTokenRefusal.noToken) { try TransactionToken.presented([]) }
    }

    @Test func `have contexts that are small json objects`() throws {
        func text(_ count: Int) -> String { #"{"a":"\#(String(repeating: "x", count: count - 8))"}"# }
        #expect(throws: Never.self) { try TransactionContext(parsing: text(2048)) }
        func nested(_ depth: Int) -> String {
            String(repeating: #"{"a":"#, count: depth) + "1" + String(repeating: "}", count: depth)
        }
        #expect(throws: Never.self) { try TransactionContext(parsing: nested(8)) }
        for text in [text(2049), nested(9), "[]", "1", "", #"{"a":1,"a":1}"#, "{}x"] {
            #expect(throws: JSONParseError.self) { try TransactionContext(parsing: text) }
        }
    }
}

@Suite struct `Grants for other authorization servers` {
    private static let now: Int64 = 1_700_000_030
    private let key = JWSSigningKey.fresh("as-1")
    private let policy = AuthorizationGrantPolicy(audience: "https://b/oauth2")

    private func claims(_ profile: AuthorizationGrant.Profile) throws -> AuthorizationGrantClaims {
        AuthorizationGrantClaims(
            profile: profile, issuer: "https://a/oauth2", subject: "user-1", audience: "https://b/oauth2",
            tokenID: "g-1", issuedAt: 1_700_000_000, expiresAt: 1_700_000_300, scope: try Scope("x y"),
            clientID: profile == .identityAssertion ? "client-1" : nil, resources: ["https://api.b/"],
            confirmation: Confirmation(proofKey: key.verificationKey.jwk),
            actors: try ActorChain.extending(nil, by: Actor(subject: "spiffe://a/x", issuer: "spiffe://a")),
            subjectProfile: "user", chainRoot: "r-1")
    }

    private func refusal(
        _ text: String, _ policy: AuthorizationGrantPolicy? = nil, key: JWSSigningKey? = nil, now: Int64 = now
    ) -> TypedTokenError? {
        let (key, policy) = (key ?? self.key, policy ?? self.policy)
        return OAuthTests.refusal { () throws(TypedTokenError) in
            try UnverifiedAuthorizationGrant(parsing: SecretText(text)).verify(
                with: key.verificationKey, policy: policy, now: now)
        }
    }

    private func token(
        _ changes: [(String, JSONValue?)], _ profile: AuthorizationGrant.Profile = .chaining, type: String? = nil
    ) throws -> String {
        try OAuthTests.token(
            [("typ", .string(type ?? profile.type))], changed(try claims(profile).json, changes), key: key)
    }

    @Test(arguments: AuthorizationGrant.Profile.allCases)
    func `say after verification what was signed`(profile: AuthorizationGrant.Profile) throws {
        let text = try CompactJWS.sign(
            type: profile.type, payload: AuthorizationGrant.payload(of: claims(profile)), key: key)
        let grant = try UnverifiedAuthorizationGrant(parsing: SecretText(text))
        #expect(grant.keyID == "as-1" && grant.unverifiedIssuer == "https://a/oauth2" && grant.profile == profile)
        let verified = try grant.verify(with: key.verificationKey, policy: policy, now: Self.now)
        #expect(verified.claims == (try claims(profile)))
    }

    @Test func `without what has to be there, or with something else, are refused`() throws {
        for name in ["iss", "sub", "aud", "exp", "iat", "jti", "scope"] {
            #expect(refusal(try token([(name, nil)])) == .missingClaim(name))
        }
        #expect(refusal(try token([("client_id", nil)], .identityAssertion)) == .missingClaim("client_id"))
        let now = Self.now
        for (changes, error) in [
            ([("aud", "https://c")], .wrongAudience), ([("aud", "https://b/oauth2/")], .wrongAudience),
            ([("aud", ["https://b/oauth2", "https://c"])], .otherAudiences),
            ([("client_id", "")], .badClaim("client_id")), ([("resource", [])], .badClaim("resource")),
            ([("resource", "x")], .badClaim("resource")), ([("resource", 1)], .badClaim("resource")),
            ([("cnf", ["kid": "x"])], .confirmation(.unsupportedMember("kid"))),
            ([("act", ["sub": "a"])], .actors(.missingIssuer)),
            ([("authorization_details", [])], .badClaim("authorization_details")),
            ([("may_act", ["sub": "a", "iss": "b"])], .badClaim("may_act")),
            ([("chain_root", "")], .badClaim("chain_root")), ([("sub_profile", 1)], .badClaim("sub_profile")),
            ([("exp", .number(JSONNumber(now)))], .expired(at: now)),
            ([("exp", .number(JSONNumber(1_700_000_301)))], .lastsTooLong),
        ] as [([(String, JSONValue?)], TypedTokenError)] {
            #expect(refusal(try token(changes)) == error, "\(changes)")
        }
        let rsaOnly = AuthorizationGrantPolicy(audience: "https://b/oauth2", algorithms: [.rs256])
        #expect(refusal(try token([]), rsaOnly) == .algorithmNotAllowed(.es256))
        #expect(refusal(try token([]), key: .fresh("as-1")) == .token(.invalidSignature))
    }

    @Test(arguments: ["at+jwt", "JWT", "txntoken+jwt", "OAuth-ID-JAG+jwt", "application/oauth-id-jag+jwt"])
    func `of another type are other tokens`(type: String) throws {
        #expect(refusal(try token([], .identityAssertion, type: type)) == .badType)
    }

    @Test func `that could not be read are not made`() throws {
        for (change, error) in [
            ({ $0.expiresAt = $0.issuedAt }, .badTimes), ({ $0.expiresAt += 1 }, .lastsTooLong),
            ({ $0.audience = "" }, .missingClaim("aud")), ({ $0.scope = .empty }, .missingClaim("scope")),
            ({ $0.clientID = "c" }, .badClaim("client_id")),
            ({ $0.profile = .identityAssertion }, .badClaim("client_id")),
        ] as [((inout AuthorizationGrantClaims) -> Void, TypedTokenError)] {
            var claims = try claims(.chaining)
            change(&claims)
            let wanted = claims
            #expect(
                OAuthTests.refusal { () throws(TypedTokenError) in try AuthorizationGrant.payload(of: wanted) }
                    == error)
        }
    }
}
