import AgentDirectory
import JOSE
import OAuth
import Revocation
import SPIFFE
import Testing
import TokenService

@Suite("Token service: transaction tokens")
struct TransactionTokenTests {
    /// The names of agents in tokens.
    private static func id(_ letter: String) -> String { "spiffe://example.org/agent-\(letter)" }

    @Test("what an agent received becomes a transaction for everybody in the trust domain")
    func begins() async throws {
        try await TokenWorld.run { world in
            try world.openTransactions("b")
            let received = try await world.token(
                "a", ["scope": "task.read task.run", "resource": TokenWorld.resourceB])
            let response = try await world.transaction(
                "b", received.token.text, scope: "task.read",
                [
                    "request_details": #"{"action":"BUY","quantity":"100"}"#,
                    "request_context": #"{"req_ip":"192.0.2.7"}"#,
                ])
            #expect(response.use == .notApplicable && response.issuedTokenType == .transactionToken)
            #expect(response.expiresIn == 60)
            #expect(response.scope == (try Scope("task.read")))
            let jws = try CompactJWS(parsing: response.token.text)
            #expect(jws.header.type == "txntoken+jwt")
            let claims = try world.claims(response)
            #expect(claims["iss"] == "https://as.example.org/oauth2")
            #expect(claims["aud"] == "spiffe://example.org")
            #expect(claims["sub"]?.stringValue == Self.id("a"))
            #expect(claims["scope"] == "task.read")
            #expect(claims["req_wl"]?.stringValue == Self.id("b"))
            #expect(claims["act"]?.objectValue?["sub"]?.stringValue == Self.id("b"))
            #expect(claims["tctx"] == ["action": "BUY", "quantity": "100"])
            #expect(claims["rctx"] == ["req_ip": "192.0.2.7"])
            #expect(claims["chain_root"] == (try world.claims(received))["jti"])
            #expect(claims["iat"]?.int64Value == world.clock.time.seconds)
            #expect(claims["txn"]?.stringValue?.utf8.count == 22)
            #expect(claims["cnf"] == nil && claims["client_id"] == nil)
            let log = try await world.events(.transactionTokenIssue)
            #expect(log.count == 2 && log[0].contains("\"intent\"") && log[1].contains("\"outcome\""))
            #expect(!log.joined().contains("192.0.2.7"))
        }
    }

    @Test("an agent begins a transaction of its own with its own SVID, and with nobody else's")
    func beginsItself() async throws {
        try await TokenWorld.run { world in
            try world.openTransactions("b", .own)
            let own = try await world.transaction("b", world.svid("b"), .jwt, scope: "task.run")
            let claims = try world.claims(own)
            #expect(claims["sub"]?.stringValue == Self.id("b") && claims["act"] == nil)
            #expect(claims["chain_root"] == claims["txn"])
            await expectRefusal(.invalidRequest) {
                try await world.transaction("b", world.svid("a"), .jwt, scope: "task.run")
            }
            // A grant for the agent's own transactions is none for those of others.
            let received = try await world.token("a", ["resource": TokenWorld.resourceB])
            await expectRefusal(.actorUnauthorized) {
                try await world.transaction("b", received.token.text, scope: "task.run")
            }
        }
    }

    @Test("a token that replaces another keeps transaction, subject, actors and context, and only gets narrower")
    func replaced() async throws {
        try await TokenWorld.run { world in
            try world.openTransactions("b")
            try world.openTransactions("c")
            let received = try await world.token("a", ["resource": TokenWorld.resourceB])
            let first = try await world.transaction(
                "b", received.token.text, scope: "task.read task.run", ["request_details": #"{"a":1}"#])
            world.clock.advance(seconds: 10)
            let second = try await world.transaction("c", first.token.text, .transactionToken, scope: "task.read")
            let (before, after) = (try world.claims(first), try world.claims(second))
            for name in ["txn", "sub", "aud", "act", "tctx", "chain_root", "exp"] {
                #expect(after[name] == before[name], "\(name)")
            }
            #expect(after["scope"] == "task.read")
            #expect(after["req_wl"]?.stringValue == Self.id("b") + "," + Self.id("c"))
            await expectRefusal(.invalidScope) {
                try await world.transaction("c", second.token.text, .transactionToken, scope: "task.read task.run")
            }
            for name in ["request_details", "request_context"] {
                await expectRefusal(.invalidRequest) {
                    try await world.transaction(
                        "c", first.token.text, .transactionToken, scope: "task.read", [name: #"{"a":2}"#])
                }
            }
            world.clock.advance(seconds: 50)
            await expectRefusal(.invalidRequest) {
                try await world.transaction("c", first.token.text, .transactionToken, scope: "task.read")
            }
        }
    }

    @Test("so many workloads ask for a token one after another, and no more")
    func requesters() async throws {
        try await TokenWorld.run { world in
            try world.openTransactions("b")
            var token = try await world.transaction("b", world.svid("b"), .jwt, scope: "task.run")
            for _ in 1..<TransactionToken.maximumRequesters {
                token = try await world.transaction("b", token.token.text, .transactionToken, scope: "task.run")
            }
            let last = token
            await expectRefusal(.actorUnauthorized) {
                try await world.transaction("b", last.token.text, .transactionToken, scope: "task.run")
            }
        }
    }

    @Test(
        "how long one lasts is the trust domain's to say, within five minutes",
        arguments: [(600, 60), (301, 60), (300, 300), (120, 120)] as [(Int64, Int64)])
    func lifetime(resource: Int64, expected: Int64) async throws {
        try await TokenWorld.run { world in
            try world.openTransactions("b", .own, lifetime: resource)
            let token = try await world.transaction("b", world.svid("b"), .jwt, scope: "task.run")
            #expect(token.expiresIn == expected)
        }
    }

    @Test("a transaction ends with the token that it began with")
    func endsWithSubject() async throws {
        try await TokenWorld.run { world in
            try world.openTransactions("b")
            let received = try await world.token("a", ["resource": TokenWorld.resourceB])
            world.clock.advance(seconds: (received.expiresIn ?? 0) - 20)
            #expect(
                try await world.transaction("b", received.token.text, scope: "task.run").expiresIn == 20)
        }
    }

    @Test("one trust domain, a scope that is named and known, a small context: anything else is refused")
    func refusedRequests() async throws {
        try await TokenWorld.run { world in
            try world.openTransactions("b", .own)
            let svid = try await world.svid("b")
            func ask(_ changes: [String: String?], scope: String? = "task.run") async throws -> TokenResponse {
                var fields = ["scope": scope]
                for (name, value) in changes { fields[name] = value }
                return try await world.transaction("b", svid, .jwt, scope: nil, fields.compactMapValues { $0 })
            }
            _ = try await ask([:])
            let deep = String(repeating: #"{"a":"#, count: 9) + "1" + String(repeating: "}", count: 9)
            let large = #"{"a":"\#(String(repeating: "x", count: 2048))"}"#
            for (code, changes, scope) in [
                (.invalidTarget, ["audience": TokenWorld.resourceB], "task.run"),
                (.invalidTarget, ["audience": "example.org"], "task.run"),
                (.invalidTarget, ["audience": "spiffe://example.org/"], "task.run"),
                (.invalidTarget, ["audience": "spiffe://other.example"], "task.run"),
                (.invalidTarget, ["resource": "spiffe://example.org"], "task.run"),
                (.invalidScope, [:], nil), (.invalidScope, [:], "task.other"), (.invalidScope, [:], "task.run openid"),
                (.invalidScope, [:], "spiffe://example.org/.default"),
                (.invalidRequest, ["request_details": "[]"], "task.run"),
                (.invalidRequest, ["request_details": #"{"a":1,"a":2}"#], "task.run"),
                (.invalidRequest, ["request_context": deep], "task.run"),
                (.invalidRequest, ["request_context": large], "task.run"),
                (.invalidRequest, ["request_details": #"{"token":"\#(svid)"}"#], "task.run"),
                (.invalidRequest, ["subject_token_type": TokenType.unsignedJSON.uri], "task.run"),
                (.invalidRequest, ["subject_token_type": TokenType.selfSigned.uri], "task.run"),
                (.invalidRequest, ["subject_token_type": TokenType.refreshToken.uri], "task.run"),
            ] as [(OAuthErrorCode, [String: String], String?)] {
                await expectRefusal(code) { try await ask(changes, scope: scope) }
            }
            #expect(try await world.events(.accessTokenRefuse).count == 17)
            await expectRefusal(.invalidAuthorizationDetails) {
                try await ask(["authorization_details": #"[{"type":"x"}]"#])
            }
        }
    }

    @Test("without a grant on the trust domain there is no transaction, whether or not the trust domain is a resource")
    func grants() async throws {
        try await TokenWorld.run { world in
            await expectRefusal(.invalidTarget) {
                try await world.transaction("b", world.svid("b"), .jwt, scope: "task.run")
            }
            try world.openTransactions("c")
            await expectRefusal(.invalidTarget) {
                try await world.transaction("b", world.svid("b"), .jwt, scope: "task.run")
            }
        }
    }

    @Test("the trust domain is a target of transaction tokens, and of no access token")
    func noAccessToken() async throws {
        try await TokenWorld.run { world in
            try world.openTransactions("b")
            await expectRefusal(.invalidTarget) {
                try await world.token("b", ["resource": "spiffe://example.org", "scope": "task.run"])
            }
        }
    }

    @Test("a transaction token is no access token, no grant, no SVID and no credential, and they are none")
    func kinds() async throws {
        try await TokenWorld.run { world in
            try world.openTransactions("b")
            let received = try await world.token("a", ["resource": TokenWorld.resourceB])
            let transaction = try await world.transaction("b", received.token.text, scope: "task.run")
            let text = transaction.token.text
            // As subject of another kind.
            for type in [TokenType.accessToken, .jwt] {
                await expectRefusal(.invalidRequest) { try await world.transaction("b", text, type, scope: "task.run") }
            }
            for subject in [received.token.text, try await world.svid("b")] {
                await expectRefusal(.invalidRequest) {
                    try await world.transaction("b", subject, .transactionToken, scope: "task.run")
                }
            }
            await expectRefusal(.invalidRequest) {
                try await world.exchange(transaction, by: "b", for: TokenWorld.resourceC)
            }
            await expectRefusal(.invalidGrant) {
                try await world.token(
                    "b",
                    [
                        "grant_type": TokenRequest.GrantType.jwtBearer.rawValue, "assertion": text,
                        "resource": TokenWorld.resourceC,
                    ])
            }
            // As credential, by each name.
            for type in ClientAuthentication.AssertionType.allCases {
                await expectRefusal(.invalidClient) {
                    try await world.service.token(
                        world.call([
                            "client_assertion_type": type.rawValue, "client_assertion": text, "client_id": "client-b",
                        ]))
                }
            }
            #expect(try await world.isActive(transaction, asking: "b") == false)
            // Taking it back does nothing: it is not the kind of token that the endpoint knows.
            try await world.service.revoke(try await world.request(as: "b", ["token": text]))
            _ = try await world.transaction("b", text, .transactionToken, scope: "task.run")
        }
    }

    @Test("whoever is in it ends it: its chain, its transaction, its agents")
    func ends() async throws {
        try await TokenWorld.run { world in
            try world.openTransactions("b")
            try world.openTransactions("c")
            func revoke(_ subject: RevokedSubject) async throws {
                _ = try await world.revocations.revoke(
                    subject, reason: "", latestEnd: world.clock.time + 3600, by: TokenWorld.caller.agent,
                    requestID: "r")
            }
            func replace(_ token: TokenResponse) async throws -> TokenResponse {
                try await world.transaction("c", token.token.text, .transactionToken, scope: "task.run")
            }
            let received = try await world.token("a", ["resource": TokenWorld.resourceB])
            let first = try await world.transaction("b", received.token.text, scope: "task.run")
            let other = try await world.transaction("b", received.token.text, scope: "task.run")
            let own = try await world.transaction("b", world.svid("b"), .jwt, scope: "task.run")
            // The subject, the one who asked.
            for letter in ["a", "b"] {
                world.change(letter) { $0.state = .disabled }
                await expectRefusal(.invalidRequest) { try await replace(first) }
                world.change(letter) { $0.state = .enabled }
            }
            _ = try await replace(first)
            try await revoke(.jwtID(try #require(try world.claims(first)["txn"]?.stringValue)))
            await expectRefusal(.invalidRequest) { try await replace(first) }
            _ = try await replace(other)
            try await revoke(.chainRoot(try #require(try world.claims(received)["jti"]?.stringValue)))
            await expectRefusal(.invalidRequest) { try await replace(other) }
            _ = try await replace(own)
            try await revoke(.chainRoot(try #require(try world.claims(own)["txn"]?.stringValue)))
            await expectRefusal(.invalidRequest) { try await replace(own) }
        }
    }

    @Test("nothing is handed out of which the log does not know")
    func unrecorded() async throws {
        try await TokenWorld.run { world in
            try world.openTransactions("b", .own)
            let call = try await world.transactionCall("b", world.svid("b"), .jwt, scope: "task.run")
            let before = world.authorities.oauthActive?.signatureCount
            world.plan.arm(.before)
            await expectRefusal(.temporarilyUnavailable) { try await world.service.token(call) }
            #expect(world.authorities.oauthActive?.signatureCount == before)
        }
    }
}

extension TokenWorld {
    static let domain = "spiffe://example.org"

    /// Lets an agent have transaction tokens.
    func openTransactions(_ letter: String, _ use: AgentGrant.Use = .delegated, lifetime: Int64 = 600) throws {
        let resource = ProtectedResource(
            id: Self.domain, scopes: try Scope("task.run task.read"), tokenLifetime: lifetime, createdAt: Self.start)
        directory.change { $0.put(resource) }
        try grant(letter, on: Self.domain, use)
    }

    func transactionCall(
        _ letter: String, _ subject: String, _ type: TokenType = .accessToken, scope: String?,
        _ more: [String: String] = [:]
    ) async throws -> TokenCall {
        var fields = [
            "grant_type": TokenRequest.GrantType.tokenExchange.rawValue,
            "requested_token_type": TokenType.transactionToken.uri, "audience": Self.domain,
            "subject_token": subject, "subject_token_type": type.uri,
        ]
        fields["scope"] = scope
        fields.merge(more) { $1 }
        return try await request(as: letter, fields)
    }

    func transaction(
        _ letter: String, _ subject: String, _ type: TokenType = .accessToken, scope: String?,
        _ more: [String: String] = [:]
    ) async throws -> TokenResponse {
        try await service.token(await transactionCall(letter, subject, type, scope: scope, more))
    }
}
