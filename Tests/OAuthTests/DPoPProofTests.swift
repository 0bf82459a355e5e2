import Crypto
import JOSE
import OAuth
import Testing

@Suite struct `DPoP proofs` {
    private static let now: Int64 = 1_700_000_030
    private static let url = "https://api.example.net/a2a"
    private let key = JWSSigningKey.fresh()
    private let access = SecretText("the.access.token")

    private func request(_ method: String = "POST", _ url: String = url, access: SecretText? = nil) throws
        -> DPoPRequest
    {
        DPoPRequest(
            method: method, url: try WebURL(url),
            use: access.map { .resource(accessToken: $0, keyThumbprint: key.verificationKey.jwk.thumbprint) }
                ?? .tokenRequest)
    }

    private func refusal(
        _ proof: String, _ request: DPoPRequest, _ policy: DPoPPolicy = DPoPPolicy(), now: Int64 = now
    ) -> DPoPError? {
        OAuthTests.refusal { () throws(DPoPError) in
            try DPoPProof.verify(proof, request: request, policy: policy, now: now)
        }
    }

    /// A proof with header and claims changed.
    private func proof(
        header: [(String, JSONValue?)] = [], claims: [(String, JSONValue?)] = [], key other: JWSSigningKey? = nil
    ) throws -> String {
        let jwk = try JWK(key: key.verificationKey.jwk.key).json()
        let base: JSONObject = ["typ": "dpop+jwt", "jwk": .object(jwk)]
        let body: JSONObject = [
            "jti": "j", "htm": "POST", "htu": .string(Self.url), "iat": .number(JSONNumber(Self.now)),
            "ath": .string(Base64URL.encode(access.digest)),
        ]
        return try token(
            changed(base, header).members.map { ($0.name, $0.value) }, changed(body, claims), key: other ?? key,
            writesKeyID: false)
    }

    @Test func `made here are taken here, for a token and with one`() throws {
        let keys = [
            key, JWSSigningKey(p384: P384.Signing.PrivateKey(), keyID: "k"),
            JWSSigningKey(ed25519: Curve25519.Signing.PrivateKey(), keyID: "k"),
        ]
        for key in keys {
            let text = try DPoPProof.sign(
                method: "GET", url: WebURL(Self.url + "?x=1"), tokenID: "j", issuedAt: Self.now, key: key,
                accessToken: access, nonce: "n")
            let resource = DPoPRequest(
                method: "GET", url: try WebURL(Self.url),
                use: .resource(accessToken: access, keyThumbprint: key.verificationKey.jwk.thumbprint))
            let verified = try DPoPProof.verify(
                text, request: resource, policy: DPoPPolicy(nonces: ["m", "n"]), now: Self.now)
            #expect(verified.keyThumbprint == key.verificationKey.jwk.thumbprint)
            #expect(verified.tokenID == "j")
            #expect(verified.issuedAt == Self.now)
            #expect(verified.replayableUntil == Self.now + 61)
            let header = try CompactJWS(parsing: text).header
            #expect(header.keyID == nil)
            #expect(!JWK.hasPrivateMembers(try #require(header.json["jwk"]?.objectValue)))
            #expect(refusal(text, try request("GET")) == nil)
        }
        #expect(throws: DPoPError.badTokenID) {
            try DPoPProof.sign(method: "GET", url: WebURL(Self.url), tokenID: "", issuedAt: 1, key: key)
        }
        #expect(throws: DPoPError.missingClaim("htm")) {
            try DPoPProof.sign(method: "", url: WebURL(Self.url), tokenID: "j", issuedAt: 1, key: key)
        }
    }

    @Test func `are refused for each broken claim`() throws {
        let cases: [([(String, JSONValue?)], DPoPError)] = [
            ([("jti", nil)], .missingClaim("jti")), ([("jti", "")], .badTokenID),
            ([("jti", 1)], .claims(.wrongType(claim: "jti"))),
            ([("jti", .string(String(repeating: "j", count: 257)))], .badTokenID),
            ([("htm", nil)], .missingClaim("htm")), ([("htm", "post")], .wrongMethod), ([("htm", "GET")], .wrongMethod),
            ([("htm", 1)], .claims(.wrongType(claim: "htm"))), ([("htu", nil)], .missingClaim("htu")),
            ([("htu", "x")], .badURL(.badScheme)), ([("htu", "https://api.example.net/")], .wrongURL),
            ([("htu", "http://api.example.net/a2a")], .wrongURL),
            ([("htu", "https://api.example.net:8443/a2a")], .wrongURL),
            ([("htu", "https://api.example.net/a2a/")], .wrongURL),
            ([("htu", "https://api.example.net/A2A")], .wrongURL),
            ([("htu", "https://u@api.example.net/a2a")], .badURL(.userInformation)),
            ([("iat", nil)], .missingClaim("iat")), ([("iat", "1")], .claims(.wrongType(claim: "iat"))),
            ([("iat", .number(JSONNumber(Self.now - 61)))], .tooOld(issuedAt: Self.now - 61)),
            ([("iat", .number(JSONNumber(Self.now + 61)))], .claims(.issuedInFuture(at: Self.now + 61))),
            ([("exp", .number(JSONNumber(Self.now - 60)))], .claims(.expired(at: Self.now - 60))),
            ([("nbf", .number(JSONNumber(Self.now + 61)))], .claims(.notYetValid(until: Self.now + 61))),
            ([("ath", nil)], .missingClaim("ath")), ([("ath", "")], .wrongAccessToken),
            ([("ath", .string(Base64URL.encode(SecretText("other").digest)))], .wrongAccessToken),
        ]
        for (changes, expected) in cases {
            #expect(refusal(try proof(claims: changes), try request(access: access)) == expected, "\(changes)")
        }
        #expect(refusal(try proof(), try request(access: access)) == nil)
    }

    @Test func `are refused for each broken header`() throws {
        let own = try JWK(key: key.verificationKey.jwk.key).json()
        let other = JWSSigningKey.fresh().verificationKey.jwk.json()
        let cases: [([(String, JSONValue?)], DPoPError)] = [
            ([("typ", nil)], .badType), ([("typ", "JWT")], .badType), ([("typ", "DPoP+jwt")], .badType),
            ([("typ", "application/dpop+jwt")], .badType), ([("typ", "at+jwt")], .badType),
            ([("jwk", nil)], .missingKey), ([("jwk", "x")], .missingKey),
            ([("jwk", .object(changed(own, [("d", "AAAA")])))], .privateKey),
            ([("jwk", ["kty": "oct", "k": "AAAA"])], .privateKey),
            ([("jwk", ["kty": "oct"])], .badKey(.unsupportedKeyType("oct"))),
            ([("jwk", .object(changed(own, [("x", nil)])))], .badKey(.missingMember("x"))),
            ([("jwk", .object(changed(own, [("alg", "ES384")])))], .badKey(.algorithmMismatch)),
            ([("jwk", .object(changed(own, [("use", "enc")])))], .badKey(.notForVerification)),
            ([("jwk", .object(other))], .token(.invalidSignature)),
            (
                [
                    (
                        "jwk",
                        .object(JWSSigningKey(p384: P384.Signing.PrivateKey(), keyID: "k").verificationKey.jwk.json())
                    )
                ],
                .token(.algorithmMismatch(expected: .es384, found: .es256))
            ),
        ]
        for (changes, expected) in cases {
            #expect(refusal(try proof(header: changes), try request()) == expected, "\(changes)")
        }
        // requests_oauth2client adds `alg`; a thumbprint knows nothing of it.
        let named = try proof(header: [("jwk", .object(changed(own, [("alg", "ES256")])))])
        #expect(refusal(named, try request(access: access)) == nil)
    }

    @Test func `by shared secrets or by nobody are refused`() throws {
        for (algorithm, expected) in [
            ("none", DPoPError.token(.unsecured)), ("HS256", .token(.unsupportedAlgorithm("HS256"))),
        ] {
            let header = try proof().split(separator: ".").dropFirst().joined(separator: ".")
            let forged = Base64URL.encode(bytes(#"{"typ":"dpop+jwt","alg":"\#(algorithm)","jwk":{}}"#)) + "." + header
            #expect(refusal(forged, try request()) == expected)
        }
        #expect(
            refusal(try proof(), try request(), DPoPPolicy(algorithms: [.eddsa])) == .algorithmNotAllowed(.es256))
        #expect(
            refusal(String(repeating: "a", count: DPoPProof.maximumLength + 1), try request())
                == .token(.tooLarge(limit: DPoPProof.maximumLength)))
    }

    @Test(arguments: [
        "https://api.example.net/a2a?x=1", "https://api.example.net/a2a#f", "HTTPS://API.example.net:443/a2a",
        "https://api.example.net/%61%32a", "https://api.example.net/x/../a2a",
    ])
    func `are for one target however it is spelled`(htu: String) throws {
        #expect(refusal(try proof(claims: [("htu", .string(htu))]), try request()) == nil)
        #expect(refusal(try proof(), try request("POST", htu)) == nil)
    }

    @Test func `have a window, and its edges are in it`() throws {
        for iat in [Self.now - 60, Self.now, Self.now + 60] {
            #expect(refusal(try proof(claims: [("iat", .number(JSONNumber(iat)))]), try request()) == nil)
        }
        let narrow = DPoPPolicy(maximumAge: 0, clockSkew: 0)
        #expect(refusal(try proof(), try request(), narrow) == nil)
        #expect(refusal(try proof(), try request(), narrow, now: Self.now + 1) == .tooOld(issuedAt: Self.now))
        #expect(refusal(try proof(), try request(), DPoPPolicy(maximumAge: .max, clockSkew: .max)) == nil)
    }

    @Test func `need a nonce where one is asked for`() throws {
        let policy = DPoPPolicy(nonces: ["n1", "n2"])
        for nonce: JSONValue? in [nil, "n3", "", 1] {
            #expect(refusal(try proof(claims: [("nonce", nonce)]), try request(), policy) == .nonceNeeded)
        }
        #expect(refusal(try proof(claims: [("nonce", "n2")]), try request(), policy) == nil)
        #expect(refusal(try proof(claims: [("nonce", "n2")]), try request(), DPoPPolicy(nonces: [])) == .nonceNeeded)
        #expect(DPoPError.nonceNeeded.code == .useDPoPNonce)
        #expect(DPoPError.wrongURL.code == .invalidDPoPProof)
    }

    @Test func `of another key than the token's are refused`() throws {
        let thief = JWSSigningKey.fresh()
        let text = try DPoPProof.sign(
            method: "POST", url: WebURL(Self.url), tokenID: "j", issuedAt: Self.now, key: thief, accessToken: access)
        #expect(refusal(text, try request(access: access)) == .wrongKey)
        #expect(DPoPError.wrongKey.code == .invalidToken)
    }

    @Test func `of the vectors are taken, and every bad one refused with its code`() throws {
        let file = try vectors("oauth-agent.json")
        let wire = try file.object("dpop", "request")
        let token = SecretText(String(try wire.text("Authorization").dropFirst("DPoP ".count)))
        let resource = DPoPRequest(
            method: try wire.text("method"), url: try WebURL(try wire.text("url")),
            use: .resource(accessToken: token, keyThumbprint: try Base64URL.decode(try file.text("dpop", "jkt"))))
        #expect(refusal(try wire.text("DPoP"), resource) == nil)
        var judged = 0
        for negative in try file.objects("dpop", "negative") where negative["DPoP"] != nil {
            let policy = DPoPPolicy(nonces: negative["server_nonce"]?.stringValue.map { [$0] })
            let error = refusal(try negative.text("DPoP"), resource, policy)
            let (expected, why) = (try negative.text("expect"), try negative.text("why"))
            #expect(error?.code.rawValue == expected, "\(why)")
            judged += 1
        }
        #expect(judged == 9)
        let redeem = DPoPRequest(method: "POST", url: try WebURL("https://as.saas.example/token"), use: .tokenRequest)
        #expect(refusal(try file.text("id_jag", "dpop"), redeem) == nil)
    }
}

@Suite struct `Replay caches` {
    @Test func `take an identifier once until it ends`() {
        var cache = ReplayCache(capacity: 8)
        #expect(cache.insert("j", of: [1], until: 20, now: 10) == .fresh)
        #expect(cache.insert("j", of: [1], until: 20, now: 10) == .replayed)
        #expect(cache.insert("j", of: [1], until: 90, now: 19) == .replayed)
        #expect(cache.insert("J", of: [1], until: 20, now: 19) == .fresh)
        #expect(cache.insert("j", of: [2], until: 20, now: 19) == .fresh)
        #expect(cache.count == 3)
        #expect(cache.insert("j", of: [1], until: 30, now: 20) == .fresh)
        #expect(cache.count == 1)
    }

    @Test func `tell holder and identifier apart where they meet`() {
        var cache = ReplayCache(capacity: 8)
        #expect(cache.insert("bc", of: bytes("a"), until: 20, now: 10) == .fresh)
        #expect(cache.insert("c", of: bytes("ab"), until: 20, now: 10) == .fresh)
        #expect(cache.insert("abc", of: [], until: 20, now: 10) == .fresh)
    }

    @Test func `take nothing more when they are full, until something ends`() {
        var cache = ReplayCache(capacity: 2)
        #expect(cache.insert("a", of: [], until: 30, now: 10) == .fresh)
        #expect(cache.insert("b", of: [], until: 20, now: 10) == .fresh)
        #expect(cache.insert("c", of: [], until: 20, now: 10) == .full)
        #expect(cache.insert("a", of: [], until: 20, now: 10) == .replayed)
        #expect(cache.insert("c", of: [], until: 40, now: 20) == .fresh)
        #expect(cache.insert("d", of: [], until: 40, now: 20) == .full)
        var none = ReplayCache(capacity: -1)
        #expect(none.insert("a", of: [], until: 30, now: 10) == .full)
    }

    @Test func `do not take back what they forgot when the clock is set back`() {
        var cache = ReplayCache(capacity: 8)
        #expect(cache.insert("a", of: [], until: 20, now: 10) == .fresh)
        #expect(cache.insert("b", of: [], until: 100, now: 50) == .fresh)
        #expect(cache.insert("a", of: [], until: 20, now: 10) == .ended)
        #expect(cache.insert("c", of: [], until: 50, now: 50) == .ended)
        #expect(cache.insert("d", of: [], until: 51, now: .min) == .fresh)
    }

    @Test func `forget in the order of ends, whatever the order of coming`() {
        var cache = ReplayCache(capacity: 1000)
        for index in 0..<1000 {
            // Every end from 100 to 1099 once, in a scattered order.
            #expect(cache.insert("\(index)", of: [], until: Int64(100 + index * 379 % 1000), now: 0) == .fresh)
        }
        for time in stride(from: Int64(99), through: 1099, by: 50) {
            _ = cache.insert("probe", of: [], until: time, now: time)
            #expect(cache.count == Int(1099 - time))
        }
    }
}
