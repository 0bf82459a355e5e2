import JOSE
import OAuth
import Testing

@Suite struct `Answers of other servers` {
    @Test func `read back as they are written`() throws {
        let written = TokenResponse(
            token: SecretText("t"), use: .dpop, expiresIn: 300, scope: try Scope("a b"),
            issuedTokenType: .transactionToken,
            authorizationDetails: try AuthorizationDetails(parsing: #"[{"type":"t"}]"#),
            otherMembers: ["refresh_in": 150])
        let read = try TokenResponse(parsing: written.serializedBytes)
        #expect(read.serializedBytes == written.serializedBytes)
        #expect(read.token.text == "t")
        #expect(read.issuedTokenType == .transactionToken)
    }

    private static let uses: [(String, TokenResponse.Use)] = [
        ("bearer", .bearer), ("Bearer", .bearer), ("BEARER", .bearer), ("dpop", .dpop), ("n_a", .notApplicable),
    ]

    @Test(arguments: uses)
    func `say their use in any case`(name: String, use: TokenResponse.Use) throws {
        let response = try TokenResponse(parsing: bytes(#"{"access_token":"t","token_type":"\#(name)"}"#))
        #expect(response.use == use)
        #expect(response.expiresIn == nil)
        #expect(response.scope == nil)
    }

    private static let lifetimes: [(String, Int64?)] = [
        ("0", 0), ("3600", 3600), ("3600.0", 3600), (#""3600""#, 3600), ("-1", nil), ("1.5", nil), (#""""#, nil),
        (#""-1""#, nil), (#""+1""#, nil), (#""1x""#, nil), ("null", nil), ("9223372036854775807", nil),
        (#""99999999999999999999""#, nil), ("[]", nil),
    ]

    @Test(arguments: lifetimes)
    func `last a whole number of seconds`(text: String, seconds: Int64?) {
        let body = bytes(#"{"access_token":"t","token_type":"Bearer","expires_in":\#(text)}"#)
        if let seconds {
            #expect((try? TokenResponse(parsing: body))?.expiresIn == seconds)
        } else {
            #expect(throws: TokenResponseError.badMember("expires_in")) { try TokenResponse(parsing: body) }
        }
    }

    private static let refusals: [(String, TokenResponseError)] = [
        ("", .json(.unexpectedEnd)), ("[]", .json(.unexpectedByte(offset: 0))),
        (#"{"access_token":"t","access_token":"u","token_type":"Bearer"}"#, .json(.duplicateMember("access_token"))),
        (#"{"token_type":"Bearer"}"#, .badMember("access_token")),
        (#"{"access_token":"","token_type":"Bearer"}"#, .badMember("access_token")),
        (#"{"access_token":"a\nb","token_type":"Bearer"}"#, .badMember("access_token")),
        (#"{"access_token":"t"}"#, .badMember("token_type")),
        (#"{"access_token":"t","token_type":"mac"}"#, .unknownUse("mac")),
        (#"{"access_token":"t","token_type":"Bearer","scope":"a  b"}"#, .badMember("scope")),
        (#"{"access_token":"t","token_type":"Bearer","scope":1}"#, .badMember("scope")),
        (#"{"access_token":"t","token_type":"Bearer","issued_token_type":"x"}"#, .badMember("issued_token_type")),
        (#"{"access_token":"t","token_type":"Bearer","issued_token_type":1}"#, .badMember("issued_token_type")),
        (
            #"{"access_token":"t","token_type":"Bearer","authorization_details":{}}"#,
            .badMember("authorization_details")
        ),
    ]

    @Test(arguments: refusals)
    func `are refused where a member is not what it has to be`(text: String, expected: TokenResponseError) {
        #expect(throws: expected) { try TokenResponse(parsing: bytes(text)) }
    }

    @Test func `have limits`() {
        let long = bytes(#"{"access_token":"\#(String(repeating: "t", count: TokenResponse.maximumBytes))"}"#)
        #expect(throws: TokenResponseError.json(.tooLarge(limit: TokenResponse.maximumBytes))) {
            try TokenResponse(parsing: long)
        }
    }

    @Test func `that are errors name a code, known or not`() throws {
        for code in OAuthErrorCode.allCases {
            #expect(try ReceivedError(parsing: OAuthError(code).serializedBytes).code == code)
        }
        let slow = try ReceivedError(parsing: bytes(#"{"error":"slow_down","interval":10}"#))
        #expect(slow.interval == 10)
        let strange = try ReceivedError(parsing: bytes(#"{"error":"x","error_description":"y","interval":-1}"#))
        #expect(strange.code == nil)
        #expect(strange.name == "x")
        #expect(strange.interval == nil)
        for text in [#"{}"#, #"{"error":1}"#, #"{"error":""}"#, #"{"error":"a\n"}"#] {
            #expect(throws: TokenResponseError.badMember("error")) { try ReceivedError(parsing: bytes(text)) }
        }
    }
}
