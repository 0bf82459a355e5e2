import JOSE
import OAuth
import Testing

@Suite struct `Subject identifiers` {
    @Test(
        arguments: [
            (#"{"format":"uri","uri":"spiffe://example.org/a"}"#, .uri("spiffe://example.org/a")),
            (#"{"id":"11112222333344445555","format":"opaque"}"#, .opaque("11112222333344445555")),
            (
                #"{"format":"iss_sub","iss":"https://issuer.example.com/","sub":"145234573"}"#,
                .issuerSubject(issuer: "https://issuer.example.com/", subject: "145234573")
            ),
            (
                #"{"format":"jwt_id","iss":"https://idp.example.com/123456789/","jti":"B70BA622-9515-4353-A866"}"#,
                .tokenID(issuer: "https://idp.example.com/123456789/", tokenID: "B70BA622-9515-4353-A866")
            ),
            (#"{"format":"email","email":"user@example.com"}"#, .other(format: "email")),
            (#"{"format":"aliases","identifiers":[]}"#, .other(format: "aliases")),
            (
                #"{"user":{"format":"email","email":"a@b"},"device":{"format":"opaque","id":"1"}}"#,
                .other(format: "complex")
            ),
        ] as [(String, SubjectIdentifier)])
    func `are read in the formats of RFC 9493 and of shared signals`(text: String, subject: SubjectIdentifier) throws {
        #expect(try SubjectIdentifier(parsing: json(text)) == subject)
        if case .other = subject { return }
        #expect(try SubjectIdentifier(parsing: .object(subject.json)) == subject)
    }

    @Test(
        arguments: [
            (#""spiffe://example.org/a""#, .notAnObject), ("[]", .notAnObject), ("{}", .missingFormat),
            (#"{"uri":"x"}"#, .missingFormat), (#"{"format":7}"#, .badFormat), (#"{"format":""}"#, .badFormat),
            (#"{"format":"uri"}"#, .otherMembers), (#"{"format":"uri","id":"x"}"#, .badMember("uri")),
            (#"{"format":"uri","uri":""}"#, .badMember("uri")), (#"{"format":"uri","uri":["x"]}"#, .badMember("uri")),
            (#"{"format":"uri","uri":"a\u0000b"}"#, .badMember("uri")),
            (#"{"format":"uri","uri":"x","id":"y"}"#, .otherMembers),
            (#"{"format":"opaque","id":null}"#, .badMember("id")), (#"{"format":"iss_sub","iss":"x"}"#, .otherMembers),
            (#"{"format":"iss_sub","iss":"x","jti":"y"}"#, .badMember("sub")),
            (#"{"format":"iss_sub","iss":"x","sub":"y","tenant":"z"}"#, .otherMembers),
            (#"{"format":"jwt_id","iss":"x","sub":"y"}"#, .badMember("jti")),
        ] as [(String, SubjectIdentifier.ParseError)])
    func `that break a rule identify nobody`(text: String, error: SubjectIdentifier.ParseError) throws {
        let value = try json(text)
        #expect(throws: error) { try SubjectIdentifier(parsing: value) }
    }

    @Test func `are bounded`() throws {
        func read(_ name: String, _ member: String, _ length: Int) throws(SubjectIdentifier.ParseError) {
            var object: JSONObject = ["format": .string(name), member: .string(String(repeating: "x", count: length))]
            if name == "jwt_id" { object["iss"] = "i" }
            _ = try SubjectIdentifier(parsing: .object(object))
        }
        try read("uri", "uri", 2048)
        #expect(throws: SubjectIdentifier.ParseError.badMember("uri")) { try read("uri", "uri", 2049) }
        try read("jwt_id", "jti", 256)
        #expect(throws: SubjectIdentifier.ParseError.badMember("jti")) { try read("jwt_id", "jti", 257) }
    }
}

@Suite struct `Security events` {
    private static let now: Int64 = 1_700_000_030
    private static let audience = "https://as.example.com/ssf/events"
    private static let sessionRevoked = SecurityEvent.caep + "session-revoked"
    private let key = JWSSigningKey.fresh()
    private let claims: JSONObject = [
        "iss": "https://idp.example.com", "aud": .string(audience), "iat": 1_700_000_000, "jti": "j", "txn": "8675309",
        "sub_id": ["format": "opaque", "id": "a"],
        "events": .object([sessionRevoked: ["event_timestamp": 1_700_000_000]]),
    ]

    private func verify(
        _ changes: [(String, JSONValue?)] = [], type: String? = "secevent+jwt", header: [(String, JSONValue)] = [],
        policy: SecurityEventPolicy = SecurityEventPolicy(), key: JWSSigningKey? = nil, at time: Int64 = now
    ) throws -> VerifiedSecurityEvent {
        let header = (type.map { [("typ", JSONValue.string($0))] } ?? []) + header
        let text = try token(header, changed(claims, changes), key: self.key)
        return try UnverifiedSecurityEvent(parsing: text.utf8).verify(
            with: (key ?? self.key).verificationKey, audience: Self.audience, policy: policy, now: time)
    }

    @Test func `say who sent them, about whom, and what happened`() throws {
        for type in ["secevent+jwt", "application/secevent+jwt", "SecEvent+JWT"] {
            let event = try verify(type: type)
            #expect(event.issuer == "https://idp.example.com" && event.tokenID == "j")
            #expect(event.subject == .opaque("a") && event.events.map(\.type) == [Self.sessionRevoked])
            #expect(event.replayableUntil == 1_700_000_000 + 24 * 3600)
        }
        #expect(try verify([("aud", [.string(Self.audience)])]).subject == .opaque("a"))
        #expect(try verify([("sub_id", nil)]).subject == nil)
        #expect(try verify([("events", .object(["urn:a": [:], "urn:b": [:]]))]).events.count == 2)
    }

    @Test func `are refused for each broken rule, with the code of RFC 8935`() throws {
        typealias Row = ([(String, JSONValue?)], SecurityEventError, EventDeliveryError.Code)
        let many = JSONObject((0..<17).map { ("urn:\($0)", JSONValue.object([:])) })
        let rows: [Row] = [
            ([("iss", nil)], .missingClaim("iss"), .invalidRequest),
            ([("iss", "")], .missingClaim("iss"), .invalidRequest),
            ([("iat", nil)], .missingClaim("iat"), .invalidRequest),
            ([("jti", nil)], .missingClaim("jti"), .invalidRequest),
            ([("jti", "")], .missingClaim("jti"), .invalidRequest),
            ([("jti", .string(String(repeating: "j", count: 257)))], .missingClaim("jti"), .invalidRequest),
            ([("sub", "a")], .unexpectedClaim("sub"), .invalidRequest),
            ([("exp", 1_800_000_000)], .unexpectedClaim("exp"), .invalidRequest),
            ([("events", nil)], .badEvents, .invalidRequest), ([("events", .object([:]))], .badEvents, .invalidRequest),
            ([("events", [])], .badEvents, .invalidRequest), ([("events", .object(many))], .badEvents, .invalidRequest),
            ([("events", .object([Self.sessionRevoked: 7]))], .badEvents, .invalidRequest),
            ([("sub_id", "a")], .subject(.notAnObject), .invalidRequest),
            ([("aud", nil)], .wrongAudience, .invalidAudience), ([("aud", [])], .wrongAudience, .invalidAudience),
            ([("aud", .string(Self.audience + "/"))], .wrongAudience, .invalidAudience),
            ([("aud", [.string(Self.audience), "https://other"])], .wrongAudience, .invalidAudience),
            ([("iat", 1_700_000_091)], .claims(.issuedInFuture(at: 1_700_000_091)), .invalidRequest),
            ([("iat", .number(JSONNumber(Self.now - 24 * 3600)))], .tooOld, .invalidRequest),
        ]
        for (changes, error, code) in rows {
            #expect(throws: error, "\(changes)") { try verify(changes) }
            #expect(error.code == code, "\(changes)")
        }
        #expect(try verify([("iat", .number(JSONNumber(Self.now - 24 * 3600 + 1)))]).tokenID == "j")
        #expect(try verify([("iat", 1_700_000_090)]).tokenID == "j")
    }

    @Test(arguments: [nil, "JWT", "at+jwt", "dpop+jwt", "oauth-id-jag+jwt", "secevent"])
    func `are no tokens of another type`(type: String?) throws {
        #expect(throws: SecurityEventError.badType) { try verify(type: type) }
    }

    @Test func `are believed for nobody's key but their issuer's`() throws {
        #expect(throws: SecurityEventError.token(.invalidSignature)) { try verify(key: .fresh()) }
        #expect(SecurityEventError.token(.invalidSignature).code == .authenticationFailed)
        for name in ["jwk", "jku", "x5u"] {
            #expect(throws: SecurityEventError.headerMember(name)) { try verify(header: [(name, "x")]) }
        }
        let policy = SecurityEventPolicy(algorithms: [.rs256])
        #expect(throws: SecurityEventError.algorithmNotAllowed(.es256)) { try verify(policy: policy) }
        #expect(throws: SecurityEventError.self) { try UnverifiedSecurityEvent(parsing: bytes("x.y.z")) }
        let long = try token(
            [("typ", "secevent+jwt")], changed(claims, [("txn", .string(String(repeating: "x", count: 16_000)))]),
            key: key)
        #expect(throws: SecurityEventError.self) { try UnverifiedSecurityEvent(parsing: long.utf8) }
    }

    @Test(arguments: EventDeliveryError.Code.allCases)
    func `are refused in JSON`(code: EventDeliveryError.Code) throws {
        let body = try JSONObject(parsing: EventDeliveryError(code, "why").serializedBytes)
        #expect(body == ["err": .string(code.rawValue), "description": "why"])
    }

    @Test func `of an issuer are remembered until they are too old`() {
        var cache = ReplayCache(capacity: 2)
        #expect(!cache.contains("a", of: bytes("i")))
        #expect(cache.insert("a", of: bytes("i"), until: 10, now: 1) == .fresh)
        #expect(cache.contains("a", of: bytes("i")) && !cache.contains("a", of: bytes("other")))
        #expect(cache.insert("b", of: bytes("i"), until: 20, now: 11) == .fresh)
        #expect(!cache.contains("a", of: bytes("i")))
    }
}
