import AgentDirectory
import Authentication
import Crypto
import JOSE
import OAuth
import SPIFFE
import Testing
import TokenService

/// The side that lets its agents ask another authorization server.
@Suite("Token service: grants for other authorization servers")
struct AuthorizationGrantTests {
    private static let other = "https://other.example/oauth2"

    private static func id(_ letter: String) -> String { "spiffe://example.org/agent-\(letter)" }

    @Test("a grant is for one server and one use: subject, actors and chain stay, scope and life shrink")
    func chaining() async throws {
        try await TokenWorld.run { world in
            try world.openServer(Self.other, to: "b")
            let received = try await world.token("a", ["resource": TokenWorld.resourceB])
            for field in ["audience", "resource"] {
                let response = try await world.grant(
                    "b", received.token.text, [field: Self.other, "scope": "task.read"])
                #expect(response.use == .notApplicable && response.issuedTokenType == .jwt)
                #expect(response.expiresIn == 300 && response.scope?.tokens == ["task.read"])
                #expect(try CompactJWS(parsing: response.token.text).header.type == "authorization-grant+jwt")
                let claims = try world.claims(response)
                #expect(claims["iss"] == "https://as.example.org/oauth2")
                #expect(claims["aud"]?.stringValue == Self.other)
                #expect(claims["sub"]?.stringValue == Self.id("a"))
                #expect(claims["act"]?.objectValue?["sub"]?.stringValue == Self.id("b"))
                #expect(claims["scope"] == "task.read")
                #expect(claims["chain_root"] == (try world.claims(received))["jti"])
                #expect(claims["jti"]?.stringValue?.utf8.count == 22)
                #expect(claims["client_id"] == nil && claims["cnf"] == nil && claims["resource"] == nil)
            }
            #expect(try await world.events(.authorizationGrantIssue).count == 4)
        }
    }

    @Test("an ID-JAG names the client as the other server knows it, and what is behind that server")
    func identityAssertion() async throws {
        try await TokenWorld.run { world in
            try world.openServer(Self.other, to: "b")
            let received = try await world.token("a", ["resource": TokenWorld.resourceB])
            let response = try await world.grant(
                "b", received.token.text, as: .identityAssertionGrant,
                ["audience": Self.other, "resource": "https://api.other.example/mail"])
            #expect(response.issuedTokenType == .identityAssertionGrant)
            #expect(try CompactJWS(parsing: response.token.text).header.type == "oauth-id-jag+jwt")
            let claims = try world.claims(response)
            #expect(claims["client_id"]?.stringValue == Self.id("b"))
            #expect(claims["resource"] == "https://api.other.example/mail")
            #expect(claims["aud"]?.stringValue == Self.other)
            #expect(claims["scope"] == "task.run task.read")
        }
    }

    @Test(
        "where the operator has written down what an agent is called there, the grant says that, and the request never does"
    )
    func clientNames() async throws {
        try await TokenWorld.run { world in
            for server in [Self.other, "https://named.example"] {
                for letter in ["b", "c"] { try world.openServer(server, to: letter, .own) }
            }
            for (letter, server, name) in [
                ("b", "https://named.example", "0oa1b"), ("c", "https://named.example", Self.id("c")),
                ("b", Self.other, Self.id("b")),
            ] {
                let response = try await world.grant(
                    letter, world.svid(letter), subject: .jwt, as: .identityAssertionGrant, ["audience": server])
                #expect(try world.claims(response)["client_id"]?.stringValue == name)
            }
        }
    }

    @Test("names of agents elsewhere are each one agent's")
    func nameLists() throws {
        func refusal(_ entries: [(String, String, String)]) throws -> ForeignClientNamesError? {
            let own = try TrustDomain("example.org")
            let entries = try entries.map {
                ForeignClientNames.Entry(issuer: $0, agent: try SPIFFEID($1), clientID: $2)
            }
            do throws(ForeignClientNamesError) {
                _ = try ForeignClientNames(entries, own: own)
                return nil
            } catch {
                return error
            }
        }
        let (one, two) = (Self.id("a"), Self.id("b"))
        #expect(try refusal([(Self.other, one, "x"), (Self.other, two, "y"), ("https://c.example", one, "x")]) == nil)
        #expect(try refusal([(Self.other, one, "x"), (Self.other, two, "x")]) == .twice(SPIFFEID(two)))
        #expect(try refusal([(Self.other, one, "x"), (Self.other, one, "y")]) == .twice(SPIFFEID(one)))
        #expect(try refusal([("http://c.example", one, "x")]) == .badIssuer("http://c.example"))
        #expect(try refusal([("https://c.example?x", one, "x")]) == .badIssuer("https://c.example?x"))
        #expect(try refusal([(Self.other, one, "")]) == .badClientID(SPIFFEID(one)))
        #expect(try refusal([(Self.other, one, "x y")]) == .badClientID(SPIFFEID(one)))
        let stranger = try SPIFFEID("spiffe://other.example/a")
        #expect(try refusal([(Self.other, stranger.string, "x")]) == .otherTrustDomain(stranger))
    }

    @Test("an agent that asks for itself is no actor, and a DPoP key goes into the grant")
    func forItself() async throws {
        try await TokenWorld.run { world in
            try world.openServer(Self.other, to: "b", .own)
            let key = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "k")
            let proof = try DPoPProof.sign(
                method: "POST", url: WebURL(TokenWorld.names.tokenEndpoint(.standard)), tokenID: "p1",
                issuedAt: world.clock.time.seconds, key: key, nonce: world.service.proofNonce)
            let response = try await world.grant(
                "b", world.svid("b"), subject: .jwt, ["audience": Self.other], proofs: [proof])
            let claims = try world.claims(response)
            #expect(claims["sub"]?.stringValue == Self.id("b") && claims["act"] == nil)
            #expect(claims["chain_root"] == claims["jti"])
            #expect(claims["cnf"]?.objectValue == Confirmation(proofKey: key.verificationKey.jwk).json)
            #expect(response.use == .notApplicable)
            // A grant for the agent's own calls is none for others.
            let received = try await world.token("a", ["resource": TokenWorld.resourceB])
            await expectRefusal(.actorUnauthorized) {
                try await world.grant("b", received.token.text, ["audience": Self.other])
            }
        }
    }

    @Test(
        "a server that wants bound grants gets none without a DPoP key: the connection's certificate is of no use there"
    )
    func binding() async throws {
        try await TokenWorld.run { world in
            try world.openServer(Self.other, to: "b", .own, binding: .required)
            let svid = try await world.svid("b")
            await expectRefusal(.invalidRequest) {
                try await world.grant("b", svid, subject: .jwt, ["audience": Self.other])
            }
            let fields = [
                "grant_type": TokenRequest.GrantType.tokenExchange.rawValue, "requested_token_type": TokenType.jwt.uri,
                "subject_token": svid, "subject_token_type": TokenType.jwt.uri, "audience": Self.other,
            ]
            let peer = try await world.peer("b")
            await expectRefusal(.invalidRequest) { try await world.service.token(world.call(fields, peer: peer)) }
        }
    }

    @Test("which servers, and with which scopes, is granted like anything else")
    func refused() async throws {
        try await TokenWorld.run { world in
            let svid = try await world.svid("b")
            func ask(
                _ fields: [String: String], _ type: TokenType = .identityAssertionGrant
            ) async throws -> TokenResponse {
                try await world.grant("b", svid, subject: .jwt, as: type, fields)
            }
            // Nobody tells whether there is such a server.
            await expectRefusal(.invalidTarget) { try await ask(["audience": Self.other]) }
            try world.openServer(Self.other, to: "a")
            for type in [TokenType.jwt, .identityAssertionGrant] {
                await expectRefusal(.invalidTarget) { try await ask(["audience": Self.other], type) }
            }
            try world.openServer(Self.other, to: "b")
            await expectRefusal(.invalidScope) { try await ask(["audience": Self.other, "scope": "task.other"]) }
            await expectRefusal(.invalidTarget) { try await ask(["resource": Self.other]) }
            await expectRefusal(.invalidTarget) { try await ask(["audience": Self.other + "/"]) }
            await expectRefusal(.invalidAuthorizationDetails) {
                try await ask(["audience": Self.other, "authorization_details": #"[{"type":"x"}]"#])
            }
            // A resource that is no authorization server, and ourselves.
            await expectRefusal(.invalidTarget) { try await ask(["audience": TokenWorld.resourceC]) }
            let own = TokenWorld.names.issuer(.standard)
            try world.openServer(own, to: "b")
            for type in [TokenType.jwt, .identityAssertionGrant] {
                await expectRefusal(.invalidTarget) { try await ask(["audience": own], type) }
            }
            // And no access token for a server.
            for type in [TokenType.accessToken.uri, nil] {
                var fields = ["resource": Self.other, "subject_token": svid, "subject_token_type": TokenType.jwt.uri]
                fields["grant_type"] = TokenRequest.GrantType.tokenExchange.rawValue
                fields["requested_token_type"] = type
                let wanted = fields
                await expectRefusal(.invalidTarget) { try await world.token("b", wanted) }
            }
            await expectRefusal(.invalidTarget) { try await world.token("b", ["resource": Self.other]) }
        }
    }

    @Test("`jwt` is a name for access tokens wherever no other server is asked for")
    func plainJWT() async throws {
        try await TokenWorld.run { world in
            let token = try await world.token("a", ["resource": TokenWorld.resourceB])
            let next = try await world.exchange(
                token, by: "b", for: TokenWorld.resourceC, ["requested_token_type": TokenType.jwt.uri])
            #expect(try CompactJWS(parsing: next.token.text).header.type == "at+jwt")
        }
    }

    @Test("a token that names who alone may act, or that is meant for somebody else, becomes no grant")
    func foreignSubjects() async throws {
        try await TokenWorld.run { world in
            try world.openServer(Self.other, to: "b")
            try world.openServer(Self.other, to: "c")
            let actor = try Actor(subject: Self.id("b"), issuer: "spiffe://example.org")
            let named = try await world.token("a") { $0.mayAct = MayAct(actor) }
            await expectRefusal(.invalidRequest) {
                try await world.grant("b", named.token.text, ["audience": Self.other])
            }
            let received = try await world.token("a", ["resource": TokenWorld.resourceB])
            await expectRefusal(.invalidRequest) {
                try await world.grant("c", received.token.text, ["audience": Self.other])
            }
            let grant = try await world.grant("b", received.token.text, ["audience": Self.other])
            for type in [TokenType.jwt, .accessToken, .identityAssertionGrant, .transactionToken] {
                await expectRefusal(.invalidRequest) {
                    try await world.grant("b", grant.token.text, subject: type, ["audience": Self.other])
                }
            }
            // Here it is nothing: an issuer never redeems its own grants.
            await expectRefusal(.invalidGrant) { try await world.redeem(grant.token.text) }
        }
    }
}

extension TokenWorld {
    /// Lets an agent ask for grants for another authorization server.
    func openServer(
        _ issuer: String, to letter: String, _ use: AgentGrant.Use = .delegated,
        binding: ProtectedResource.Binding = .preferred
    ) throws {
        let resource = ProtectedResource(
            id: issuer, scopes: try Scope("task.run task.read"), profile: .authorizationServer, binding: binding,
            createdAt: Self.start)
        directory.change { $0.put(resource) }
        try grant(letter, on: issuer, use)
    }

    /// A grant for another authorization server.
    func grant(
        _ letter: String, _ token: String, subject: TokenType = .accessToken, as type: TokenType = .jwt,
        _ fields: [String: String], proofs: [String] = []
    ) async throws -> TokenResponse {
        var fields = fields
        fields["grant_type"] = TokenRequest.GrantType.tokenExchange.rawValue
        fields["requested_token_type"] = type.uri
        fields["subject_token"] = token
        fields["subject_token_type"] = subject.uri
        return try await self.token(letter, fields, proofs: proofs)
    }
}
