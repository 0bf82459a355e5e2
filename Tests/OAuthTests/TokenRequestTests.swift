import JOSE
import OAuth
import Testing

@Suite struct `Token requests` {
    private static let exchange = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange"
    private static let jwt = "urn:ietf:params:oauth:token-type:jwt"

    private func read(_ body: String) throws -> TokenRequest {
        try TokenRequest(form: form(body), authorization: nil)
    }

    @Test func `what azure-identity sends is read, and its unknown parameters are ignored`() throws {
        let request = try read(
            "client_assertion=a.b.c%0A&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
                + "&client_id=agent-a&grant_type=client_credentials&scope=api%3A%2F%2Fagent-b%2F.default"
                + "&claims=%7B%22access_token%22%3A%7B%7D%7D&client_info=1&fmi_path=agent-1")
        guard case .clientCredentials = request.grant else {
            Issue.record("another grant")
            return
        }
        #expect(request.scope?.tokens == ["api://agent-b/.default"])
        #expect(request.client.clientID == "agent-a")
        #expect(request.form["fmi_path"] == "agent-1")
        #expect(request.resources.isEmpty)
    }

    @Test func `all parameters of an exchange are read`() throws {
        let request = try read(
            Self.exchange
                + "&subject_token=s%0A&subject_token_type=\(Self.jwt)&actor_token=a&actor_token_type=\(Self.jwt)"
                + "&requested_token_type=urn:ietf:params:oauth:token-type:access_token&resource=https://a&resource=api://b"
                + "&audience=x&audience=y&scope=p+q&authorization_details=%5B%7B%22type%22%3A%22t%22%7D%5D")
        guard case .tokenExchange(let exchange) = request.grant else {
            Issue.record("another grant")
            return
        }
        #expect(exchange.subject.token.text == "s")
        #expect(exchange.subject.type == .jwt)
        #expect(exchange.actor?.token.text == "a")
        #expect(exchange.actor?.type == .jwt)
        #expect(exchange.requestedType == .accessToken)
        #expect(exchange.audiences == ["x", "y"])
        #expect(request.resources.map(\.string) == ["https://a", "api://b"])
        #expect(request.scope?.string == "p q")
        #expect(request.authorizationDetails?.details.map(\.type) == ["t"])
    }

    private static let refusals: [(String, TokenRequestError, OAuthErrorCode)] = [
        ("", TokenRequestError.missingParameter("grant_type"), OAuthErrorCode.invalidRequest),
        ("grant_type=", .missingParameter("grant_type"), .invalidRequest),
        ("grant_type=password", .unsupportedGrantType("password"), .unsupportedGrantType),
        ("grant_type=Client_credentials", .unsupportedGrantType("Client_credentials"), .unsupportedGrantType),
        ("grant_type=client_credentials&scope=a++b", .scope(.badToken), .invalidScope),
        ("grant_type=client_credentials&resource=b", .resource(.notAbsolute), .invalidTarget),
        ("grant_type=client_credentials&resource=https://b%23f", .resource(.fragment), .invalidTarget),
        ("grant_type=client_credentials&audience=a&audience=b", .repeatedAudience, .invalidRequest),
        ("grant_type=client_credentials&client_secret=x", .client(.missingClientID), .invalidRequest),
        (
            "grant_type=client_credentials&client_assertion_type=x&client_assertion=y",
            .client(.unsupportedAssertionType("x")), .invalidClient
        ),
        (
            "grant_type=client_credentials&authorization_details=%7B%7D", .authorizationDetails(.notAnArray),
            .invalidAuthorizationDetails
        ),
        (exchange, .missingParameter("subject_token"), .invalidRequest),
        (exchange + "&subject_token=s", .missingParameter("subject_token_type"), .invalidRequest),
        (
            exchange + "&subject_token=%20&subject_token_type=\(jwt)", .missingParameter("subject_token"),
            .invalidRequest
        ),
        (exchange + "&subject_token=s&subject_token_type=jwt", .badTokenType("subject_token_type"), .invalidRequest),
        (
            exchange + "&subject_token=s&subject_token_type=\(jwt)&actor_token=a",
            .missingParameter("actor_token_type"),
            .invalidRequest
        ),
        (
            exchange + "&subject_token=s&subject_token_type=\(jwt)&actor_token_type=\(jwt)", .actorTypeWithoutActor,
            .invalidRequest
        ),
        (
            exchange + "&subject_token=s&subject_token_type=\(jwt)&requested_token_type=x",
            .badTokenType("requested_token_type"), .invalidRequest
        ),
        (exchange + "&subject_token=s&subject_token_type=\(jwt)&audience=%C3%A9", .badAudience, .invalidTarget),
        ("grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer", .missingParameter("assertion"), .invalidRequest),
    ]

    @Test(arguments: refusals)
    func `each rule has its refusal and the standard's code`(
        body: String, expected: TokenRequestError, code: OAuthErrorCode
    ) {
        #expect(throws: expected) { try read(body) }
        #expect(expected.code == code)
    }

    @Test func `the bodies of the vectors are read as their fields say`() throws {
        let file = try vectors("oauth-agent.json")
        for (body, fields) in [
            (try file.text("client_auth_jwt_spiffe", "body"), try file.object("client_auth_jwt_spiffe", "form")),
            (try file.text("token_exchange", "body"), try file.object("token_exchange", "delegation_request")),
            (try file.text("txn_token", "body"), try file.object("txn_token", "request")),
        ] {
            let request = try read(body)
            #expect(request.form.fields.count == fields.count)
            for (name, value) in fields.members { #expect(request.form[name] == value.stringValue, "\(name)") }
        }
        guard case .tokenExchange(let exchange) = try read(try file.text("txn_token", "body")).grant else {
            Issue.record("another grant")
            return
        }
        #expect(exchange.requestedType == .transactionToken)
        #expect(exchange.audiences == ["trust-domain.example"])
        let wag = try file.object("wag", "form").members.map { ($0.name, $0.value.stringValue ?? "") }
        let request = try TokenRequest(form: FormParameters(wag), authorization: nil)
        guard case .jwtBearer(let assertion) = request.grant else {
            Issue.record("another grant")
            return
        }
        #expect(assertion.text == (try file.text("wag", "form", "assertion")))
    }

    private static let queries: [(String, TokenQuery.Hint?)] = [
        ("token=t", nil), ("token=t&token_type_hint=access_token", TokenQuery.Hint.accessToken),
        ("token=t&token_type_hint=refresh_token", .refreshToken), ("token=t&token_type_hint=x", nil),
    ]

    @Test(arguments: queries)
    func `questions about a token are read, and unknown hints ignored`(body: String, hint: TokenQuery.Hint?) throws {
        let query = try TokenQuery(form: form(body), authorization: basic("a:b"))
        #expect(query.token.text == "t")
        #expect(query.hint == hint)
        #expect(throws: TokenRequestError.missingParameter("token")) {
            try TokenQuery(form: form(String(body.dropFirst(7))), authorization: nil)
        }
    }

    private static let detailRefusals: [(String, AuthorizationDetailsError)] = [
        (#"[]"#, AuthorizationDetailsError.notAnArray), (#"[1]"#, .notAnObject), (#"[{}]"#, .missingType),
        (#"[{"type":1}]"#, .missingType), (#"[{"type":""}]"#, .missingType), (#"[{"type":"t"},{}]"#, .missingType),
        (#"[{"type":"t","type":"u"}]"#, .json(.duplicateMember("type"))), (#"["#, .json(.unexpectedEnd)),
        ("[" + Array(repeating: #"{"type":"t"}"#, count: 17).joined(separator: ",") + "]", .tooMany),
        (String(repeating: "[", count: 13), .json(.tooDeep(limit: 12))),
        (String(repeating: " ", count: 16 * 1024 + 1), .json(.tooLarge(limit: 16 * 1024))),
    ]

    @Test(arguments: detailRefusals)
    func `authorization details are typed objects, not too many`(text: String, expected: AuthorizationDetailsError) {
        #expect(throws: expected) { try AuthorizationDetails(parsing: text) }
    }

    @Test func `authorization details are kept as they were`() throws {
        let text = #"[{"type":"t","actions":["a"],"x":{"y":1.5}},{"type":"u"}]"#
        #expect(try AuthorizationDetails(parsing: text).json.serializedBytes == bytes(text))
    }
}
