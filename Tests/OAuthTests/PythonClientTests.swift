import JOSE
import OAuth
import Testing

/// What Python's OAuth clients really sent, and tokens that other libraries signed.
@Suite struct `Python clients` {
    private let file: JSONObject
    private let now: Int64

    init() throws {
        file = try vectors("oauth-python-clients.json")
        now = try #require(file["made_at"]?.int64Value)
    }

    private func sent(_ name: String) throws -> JSONObject { try file.object("requests", name) }

    private func request(_ name: String) throws -> TokenRequest {
        let sent = try sent(name)
        #expect(FormParameters.isForm(contentType: try sent.text("content_type")))
        return try TokenRequest(
            form: form(try sent.text("body")), authorization: sent["authorization"]?.stringValue)
    }

    @Test(arguments: [
        ("authlib_basic", "s3:c/r+e%t", 1), ("requests_oauthlib_basic", "s3cret+x", 2),
    ])
    func `write basic credentials raw, and one reading is theirs`(
        name: String, secret: String, readings: Int
    ) throws {
        guard case .basic(let basic) = try request(name).client.credential else {
            Issue.record("no basic credentials")
            return
        }
        #expect(basic.candidates.count == readings)
        #expect(basic.candidates.contains { $0.clientID == "agent-a" && $0.secret.text == secret })
    }

    @Test(arguments: [("authlib_post", "s3:c/r+e%t"), ("requests_oauthlib_post", "s3cret")])
    func `write secrets into the body`(name: String, secret: String) throws {
        let request = try request(name)
        guard case .post(let found) = request.client.credential else {
            Issue.record("no secret in the body")
            return
        }
        #expect(found.text == secret)
        #expect(request.client.clientID == "agent-a")
        #expect(request.scope?.tokens == ["a", "b"])
    }

    @Test(arguments: ["authlib_private_key_jwt", "requests_oauth2client_private_key_jwt"])
    func `sign assertions that are taken until they end`(name: String) throws {
        let request = try request(name)
        guard case .assertion(.jwtBearer, let text) = request.client.credential else {
            Issue.record("no assertion")
            return
        }
        let key = try JWSVerificationKey(jwk: JWK(json: try sent(name).object("key")))
        let audiences = [try file.text("issuer"), try file.text("token_endpoint")]
        let policy = ClientAssertionPolicy(kind: .privateKeyJWT, audiences: audiences)
        let verified = try UnverifiedClientAssertion(parsing: text).verify(
            with: key, policy: policy, clientID: request.client.clientID, now: now)
        #expect(verified.subject == "agent-a")
        #expect(throws: ClientAssertionError.expired(at: verified.expiresAt)) {
            try UnverifiedClientAssertion(parsing: text).verify(
                with: key, policy: policy, clientID: nil, now: verified.expiresAt)
        }
        #expect(throws: ClientAssertionError.wrongAudience) {
            try UnverifiedClientAssertion(parsing: text).verify(
                with: key, policy: ClientAssertionPolicy(kind: .privateKeyJWT, audiences: ["https://other"]),
                clientID: nil, now: now)
        }
    }

    @Test func `name several resources`() throws {
        #expect(
            try request("requests_oauth2client_private_key_jwt").resources.map(\.string)
                == ["https://b.example", "https://c.example"])
    }

    @Test(arguments: ["authlib_exchange", "requests_oauth2client_exchange"])
    func `exchange tokens`(name: String) throws {
        let request = try request(name)
        guard case .tokenExchange(let exchange) = request.grant else {
            Issue.record("no exchange")
            return
        }
        #expect(exchange.audiences.count == 1)
        #expect((exchange.actor != nil) == (name == "requests_oauth2client_exchange"))
        #expect(exchange.subject.type == (exchange.actor == nil ? .jwt : .accessToken))
    }

    @Test func `ask about tokens`() throws {
        let sent = try sent("requests_oauth2client_introspection")
        let query = try TokenQuery(
            form: FormParameters(parsing: bytes(try sent.text("body"))), authorization: nil)
        #expect(query.token.text == "tok")
        #expect(query.hint == .accessToken)
    }

    @Test func `prove their key to the token endpoint and to a resource`() throws {
        let token = try sent("requests_oauth2client_dpop")
        let endpoint = try WebURL(try file.text("token_endpoint"))
        let first = try DPoPProof.verify(
            try token.text("dpop"), request: DPoPRequest(method: "POST", url: endpoint, use: .tokenRequest),
            policy: DPoPPolicy(), now: now)
        let call = try sent("requests_oauth2client_resource")
        let access = SecretText(try call.text("access_token"))
        let second = try DPoPProof.verify(
            try call.text("dpop"),
            request: DPoPRequest(
                method: "POST", url: try WebURL(try call.text("url")),
                use: .resource(accessToken: access, keyThumbprint: first.keyThumbprint)),
            policy: DPoPPolicy(), now: now)
        #expect(first.tokenID != second.tokenID)
    }

    @Test(arguments: ["joserfc", "pyjwt"])
    func `and libraries sign access tokens that are taken`(name: String) throws {
        let entry = try file.object("tokens", name)
        let key = try JWSVerificationKey(jwk: JWK(json: try entry.object("key")))
        let verified = try UnverifiedAccessToken(parsing: try entry.text("token")).verify(
            with: key, policy: AccessTokenPolicy(issuer: try file.text("issuer"), audiences: ["api://b"]), now: now)
        #expect(verified.claims.actors?.current.subject == "agent-a")
        #expect(try verified.claims.scope == Scope("a b"))
    }
}
