import JOSE
import Testing

@Suite struct JWTClaimsTests {
    static func claims(_ source: String) throws -> JWTClaims {
        try JWTClaims(parsing: bytes(source))
    }

    @Test func `registered claims are read`() throws {
        let claims = try Self.claims(
            #"{"sub":"s","iss":"i","aud":["a","b"],"exp":30,"nbf":10,"iat":20,"jti":"j","x":[1]}"#)
        #expect(claims.subject == "s")
        #expect(claims.issuer == "i")
        #expect(claims.audience == ["a", "b"])
        #expect(claims.expiration == 30)
        #expect(claims.notBefore == 10)
        #expect(claims.issuedAt == 20)
        #expect(claims.jwtID == "j")
        #expect(claims.json["x"] == [1])
    }

    @Test func `missing claims are nil and no audience`() throws {
        let claims = try Self.claims("{}")
        #expect(claims.subject == nil && claims.issuer == nil && claims.jwtID == nil)
        #expect(claims.expiration == nil && claims.notBefore == nil && claims.issuedAt == nil)
        #expect(claims.audience.isEmpty)
    }

    @Test(
        "reads NumericDate",
        arguments: [
            ("0", 0), ("1700000000", 1_700_000_000), ("1700000000.0", 1_700_000_000), ("1700000000.999", 1_700_000_000),
            ("1.7e9", 1_700_000_000), ("253402300799", 253_402_300_799), ("253402300799.5", 253_402_300_799),
            ("0.5", 0),
            ("-0", 0),
        ] as [(String, Int64)])
    func readsDates(source: String, seconds: Int64) throws {
        #expect(try Self.claims(#"{"exp":\#(source)}"#).expiration == seconds)
    }

    @Test(
        "refuses payloads",
        arguments: [
            ("[]", .payloadIsNotAnObject), ("", .invalidPayload(.unexpectedEnd)),
            (#"{"sub":"a","sub":"b"}"#, .invalidPayload(.duplicateMember("sub"))),
            (#"{"sub":1}"#, .wrongType(claim: "sub")), (#"{"sub":null}"#, .wrongType(claim: "sub")),
            (#"{"iss":["i"]}"#, .wrongType(claim: "iss")), (#"{"jti":7}"#, .wrongType(claim: "jti")),
            (#"{"aud":1}"#, .wrongType(claim: "aud")), (#"{"aud":["a",1]}"#, .wrongType(claim: "aud")),
            (#"{"aud":null}"#, .wrongType(claim: "aud")), (#"{"aud":{"a":1}}"#, .wrongType(claim: "aud")),
            (#"{"exp":"1700000000"}"#, .wrongType(claim: "exp")), (#"{"exp":null}"#, .wrongType(claim: "exp")),
            (#"{"nbf":true}"#, .wrongType(claim: "nbf")), (#"{"iat":[]}"#, .wrongType(claim: "iat")),
            (#"{"exp":253402300800}"#, .dateOutOfRange(claim: "exp")),
            (#"{"exp":9223372036854775807}"#, .dateOutOfRange(claim: "exp")),
            (#"{"exp":9223372036854775808}"#, .dateOutOfRange(claim: "exp")),
            (#"{"exp":1e300}"#, .dateOutOfRange(claim: "exp")), (#"{"nbf":-1}"#, .dateOutOfRange(claim: "nbf")),
            (#"{"iat":-0.5}"#, .dateOutOfRange(claim: "iat")), (#"{"iat":-1e300}"#, .dateOutOfRange(claim: "iat")),
            (#"{"exp":1e999}"#, .invalidPayload(.numberOutOfRange(offset: 7))),
        ] as [(String, JWTError)])
    func refuses(source: String, error: JWTError) {
        #expect(throws: error) { try Self.claims(source) }
    }

    @Test(
        "checks times at their edges",
        arguments: [
            (29, 0, nil), (30, 0, .expired(at: 30)), (31, 0, .expired(at: 30)), (34, 5, nil), (35, 5, .expired(at: 30)),
            (10, 0, nil), (9, 0, .notYetValid(until: 10)), (5, 5, nil), (4, 5, .notYetValid(until: 10)),
            (30, -100, .expired(at: 30)), (29, -100, nil), (.max, 5, .expired(at: 30)),
            (.min, 5, .notYetValid(until: 10)),
            (.min, .max, .notYetValid(until: 10)), (20, .max, nil),
        ] as [(Int64, Int64, JWTError?)])
    func checksTimes(now: Int64, leeway: Int64, error: JWTError?) throws {
        let claims = try Self.claims(#"{"exp":30,"nbf":10,"iat":10}"#)
        if let error {
            #expect(throws: error) { try claims.checkTime(now: now, leeway: leeway) }
        } else {
            #expect(throws: Never.self) { try claims.checkTime(now: now, leeway: leeway) }
        }
    }

    @Test func `a token from the future is refused`() throws {
        let claims = try Self.claims(#"{"exp":30,"iat":20}"#)
        #expect(throws: JWTError.issuedInFuture(at: 20)) { try claims.checkTime(now: 14, leeway: 5) }
        #expect(throws: Never.self) { try claims.checkTime(now: 15, leeway: 5) }
    }

    @Test func `a token without expiration is refused unless that is allowed`() throws {
        let claims = try Self.claims("{}")
        #expect(throws: JWTError.missingClaim("exp")) { try claims.checkTime(now: 0, leeway: 0) }
        #expect(throws: Never.self) { try claims.checkTime(now: 0, leeway: 0, requiringExpiration: false) }
    }

    @Test(
        "checks the audience byte by byte",
        arguments: [
            (#"{"aud":"a"}"#, true), (#"{"aud":["b","a"]}"#, true), (#"{"aud":[]}"#, false), ("{}", false),
            (#"{"aud":"A"}"#, false), (#"{"aud":"a "}"#, false), (#"{"aud":["b"]}"#, false),
        ])
    func checksAudience(source: String, isAccepted: Bool) throws {
        let claims = try Self.claims(source)
        if isAccepted {
            #expect(throws: Never.self) { try claims.checkAudience("a") }
        } else {
            #expect(throws: JWTError.wrongAudience) { try claims.checkAudience("a") }
        }
    }

    @Test func `canonically equivalent audiences differ`() throws {
        #expect(throws: JWTError.wrongAudience) { try Self.claims(#"{"aud":"e\u0301"}"#).checkAudience("\u{E9}") }
    }
}
