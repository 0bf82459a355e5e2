import AgentShieldTesting
import AsyncHTTPClient
import CredentialClient
import Hummingbird
import JOSE
import OAuth
import Revocation
import SPIFFE
import Testing

@testable import AgentShield

@Suite(.serialized) struct TransactionTokenTests {
    let world: TokenWorld
    var server: FakeAuthorizationServer { world.server }

    init() throws { world = try TokenWorld() }

    /// Runs the weather agent, whose routes want transaction tokens, around `body`, which gets its URL.
    private func serving(_ body: @escaping @Sendable (String) async throws -> Void) async throws {
        try await world.running {
            let verifier = try AgentTransactionVerifier(
                identity: world.weather, issuer: server.issuer, trustDomain: world.own.trustDomain)
            try await withHummingbird(world.weather, allow: .anyVerified, { Self.router(verifier) }, body)
        }
    }

    @Sendable private static func router(_ verifier: AgentTransactionVerifier) -> Router<BasicRequestContext> {
        let router = Router()
        let group = router.group().add(middleware: TransactionTokenMiddleware(verifier, scopes: ["Forecast.Read"]))
        group.get("task") { _, _ in
            guard let transaction = AgentTransaction.current else { return "none" }
            let next = transaction.attach(to: AgentHTTPRequest(url: "https://next.example/"))
            #expect(next.headers["Txn-Token"] == [transaction.value])
            #expect(!"\(transaction)".contains(transaction.value))
            let names = (transaction.actors + transaction.requesters).map(\.name).joined(separator: " ")
            return "\(transaction.id) \(transaction.subject.name) \(names) \(transaction.details ?? "")"
        }
        return router
    }

    /// A client over connections that stay: new ones would not be taken from the revoked, or without news.
    private func client() throws -> AgentHTTPClient {
        AgentHTTPClient(identity: world.stranger, allow: .ids([try world.own.id("/weather")]))
    }

    private func status(_ url: String, _ values: [String], by client: AgentHTTPClient) async throws -> Int {
        var request = AgentHTTPRequest(url: url + "/task")
        for value in values { request.headers.add(name: "Txn-Token", value: value) }
        let response = try await client.execute(request)
        _ = try await response.text
        return Int(response.status.code)
    }

    private func becomes(
        _ expected: Int, _ url: String, _ token: String, by client: AgentHTTPClient
    ) async throws -> Bool {
        for _ in 0..<1000 {
            if try await status(url, [token], by: client) == expected { return true }
            try await Task.sleep(for: .milliseconds(10))
        }
        return false
    }

    @Test func `a transaction is known with all that its token says`() async throws {
        try await serving { url in
            let text = try server.transactionToken {
                $0.details = try TransactionContext(parsing: #"{"action":"BUY"}"#)
                $0.actors = try .extending(
                    nil, by: Actor(subject: "spiffe://own.example/desk", issuer: "spiffe://own.example"))
            }
            let client = try client()
            let request = AgentTransactionToken(SecretText(text), scopes: [], expiresAt: 0)
                .attach(to: AgentHTTPRequest(url: url + "/task"))
            for _ in 0..<2 {
                #expect(
                    try await client.execute(request).text
                        == "txn-1 spiffe://own.example/alice spiffe://own.example/desk spiffe://own.example/planner "
                        + #"{"action":"BUY"}"#)
            }
            #expect(server.keyReads == 1)
        }
    }

    @Test func `what is no single good transaction token is refused`() async throws {
        try await serving { url in
            let good = try server.transactionToken()
            let client = try client()
            #expect(try await status(url, [good], by: client) == 200)
            let access = try server.sign(subject: "spiffe://own.example/planner", confirmation: nil).text
            for (name, values) in [
                ("none", []), ("two", [good, good]), ("two in one", ["\(good),\(good)"]), ("empty", [""]),
                ("an access token", [access]), ("garbage", ["a.b.c"]), ("white space", [good + " x"]),
                ("another trust domain", [try server.transactionToken { $0.audience = "spiffe://other.example" }]),
                ("another issuer", [try server.transactionToken { $0.issuer = "https://evil.example/oauth2" }]),
                ("another type", [try server.transactionToken(type: "at+jwt")]),
                ("no type", [try server.transactionToken(type: "JWT")]),
                (
                    "ended",
                    [
                        try server.transactionToken {
                            $0.issuedAt -= 60; $0.expiresAt -= 60
                        }
                    ]
                ),
                (
                    "from the future",
                    [
                        try server.transactionToken {
                            $0.issuedAt += 70; $0.expiresAt += 120
                        }
                    ]
                ),
            ] as [(String, [String])] {
                #expect(try await status(url, values, by: client) == 401, "\(name)")
            }
            #expect(
                try await status(url, [try server.transactionToken { $0.scope = try Scope("Other") }], by: client)
                    == 403)
        }
    }

    @Test func `a transaction ends with its chain, itself and everybody in it, and without news nobody is believed`()
        async throws
    {
        try await serving { url in
            let good = try server.transactionToken()
            let client = try client()
            #expect(try await status(url, [good], by: client) == 200)
            var sequence: Int64 = 1
            for subject in [
                RevokedSubject.jwtID("txn-1"), .chainRoot("root-1"), .agent(try SPIFFEID("spiffe://own.example/alice")),
                .agent(try SPIFFEID("spiffe://own.example/planner")),
            ] {
                sequence += 1
                world.weatherAPI.push(try world.revocations(sequence, [subject]))
                #expect(try await becomes(401, url, good, by: client), "\(subject)")
                sequence += 1
                world.weatherAPI.push(try world.revocations(sequence, []))
                #expect(try await becomes(200, url, good, by: client))
            }
            world.clock.advance(seconds: 31)
            #expect(try await status(url, [good], by: client) == 503)
        }
    }

    @Test func `an agent asks for one with what it received, and takes nothing else for one`() async throws {
        try await world.running {
            let tokens = try world.tokens(.certificate)
            server.setAnswer { _ in
                [
                    "access_token": "t.t.t", "token_type": "N_A", "expires_in": 60, "scope": "Forecast.Read",
                    "issued_token_type": "urn:ietf:params:oauth:token-type:txn_token",
                ]
            }
            let token = try await tokens.transactionToken(
                for: .accessToken("received"), scopes: ["Forecast.Read"], details: #"{"a":1}"#)
            #expect(token.value == "t.t.t" && token.scopes == ["Forecast.Read"])
            #expect(!"\(token)".contains("t.t.t"))
            let form = try #require(server.asked.last?.form)
            #expect(form["requested_token_type"] == "urn:ietf:params:oauth:token-type:txn_token")
            #expect(form["audience"] == "spiffe://own.example" && form["subject_token"] == "received")
            #expect(form["request_details"] == #"{"a":1}"# && form["request_context"] == nil)
            // Each is for one request.
            _ = try await tokens.transactionToken(for: .accessToken("received"), scopes: ["Forecast.Read"])
            #expect(server.asked.count == 2)
            await #expect(throws: AgentTokenError.badRequest("a transaction token needs a scope")) {
                try await tokens.transactionToken(for: .accessToken("received"), scopes: [])
            }
            for (name, value) in [
                ("token_type", "Bearer"), ("issued_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ] as [(String, JSONValue)] {
                server.setAnswer { _ in
                    var answer: JSONObject = [
                        "access_token": "t.t.t", "token_type": "N_A", "expires_in": 60,
                        "issued_token_type": "urn:ietf:params:oauth:token-type:txn_token",
                    ]
                    answer[name] = value
                    return answer
                }
                await #expect(throws: AgentTokenError.self) {
                    try await tokens.transactionToken(for: .ownSVID("svid"), scopes: ["Forecast.Read"])
                }
            }
        }
    }
}

extension FakeAuthorizationServer {
    /// A transaction token that is good but for what is changed.
    func transactionToken(
        type: String = TransactionToken.type, _ change: (inout TransactionClaims) throws -> Void = { _ in }
    ) throws -> String {
        let now = clock.time.seconds
        var claims = TransactionClaims(
            issuer: issuer, audience: "spiffe://own.example", subject: "spiffe://own.example/alice",
            transactionID: "txn-1", issuedAt: now, expiresAt: now + 60, scope: try Scope("Forecast.Read"),
            requesters: ["spiffe://own.example/planner"], chainRoot: "root-1")
        try change(&claims)
        return try CompactJWS.sign(type: type, payload: TransactionToken.payload(of: claims), key: signer)
    }
}
