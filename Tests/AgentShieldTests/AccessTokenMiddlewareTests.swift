import A2ATransport
import AgentShieldTesting
import AsyncHTTPClient
import CredentialClient
import Hummingbird
import JOSE
import NIOCore
import OAuth
import Revocation
import SPIFFE
import Testing

@testable import AgentShield

@Suite(.serialized) struct AccessTokenMiddlewareTests {
    let world: TokenWorld
    var server: FakeAuthorizationServer { world.server }

    init() throws { world = try TokenWorld() }

    /// Runs the weather agent, whose routes want tokens, around `body`, which gets its URL.
    private func serving(
        _ change: @Sendable (inout AgentTokenVerifier.Settings) -> Void = { _ in },
        _ body: @escaping @Sendable (String) async throws -> Void
    ) async throws {
        var settings = AgentTokenVerifier.Settings(
            issuer: "https://placeholder.example/oauth2", audiences: ["api://weather"])
        settings.scopes = ["Forecast.Read", "Forecast.Write"]
        change(&settings)
        let wanted = settings
        try await world.running {
            var settings = wanted
            settings.issuer = server.issuer
            let verifier = try AgentTokenVerifier(identity: world.weather, settings)
            try await withHummingbird(world.weather, allow: .anyVerified, { Self.router(verifier) }, body)
        }
    }

    @Sendable private static func router(_ verifier: AgentTokenVerifier) -> Router<BasicRequestContext> {
        let router = Router()
        verifier.registerMetadata(on: router)
        let group = router.group().add(middleware: AccessTokenMiddleware(verifier, scopes: ["Forecast.Read"]))
        group.get("task") { _, _ in
            guard let caller = AgentTokenCaller.current else { return "nobody" }
            let chain = caller.chain.map(\.name).joined(separator: ",")
            return "\(caller.subject.name) \(caller.clientID) \(caller.scopes.sorted()) \(caller.isBound) \(chain)"
        }
        group.get("pay") { _, _ in
            guard let act = AgentTokenCaller.current?.approvedAct else {
                return try verifier.demandApproval(
                    .init(
                        details: #"[{"type":"payment","amount":50}]"#, transactionID: "order-7", reason: "much money"))
            }
            let text = "paid \(act.transactionID) \(act.approvalID)"
            return Response(status: .ok, body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
        }
        group.group("admin").add(middleware: AccessTokenMiddleware(verifier, scopes: ["Forecast.Write"]))
            .get { _, _ in "written" }
        router.group("alone").add(
            middleware: AccessTokenMiddleware(verifier, scopes: ["Forecast.Read", "Forecast.Write"])
        ).get { _, _ in "written" }
        return router
    }

    private func client(_ identity: AgentIdentity) throws -> AgentHTTPClient {
        AgentHTTPClient(identity: identity, allow: .ids([try world.own.id("/weather")]))
    }

    /// Reads all of a response, which leaves its connection open.
    private func isAnswered(_ response: AgentHTTPResponse) async throws -> Bool {
        _ = try await response.text
        return response.status == .ok
    }

    /// The parameters of the challenges, after status and schemes.
    private func expect(
        _ response: AgentHTTPResponse, _ status: Int, _ error: String?,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(Int(response.status.code) == status, sourceLocation: sourceLocation)
        let challenges = response.headers["WWW-Authenticate"]
        let errors = challenges.compactMap { challenge in
            challenge.firstRange(of: "error=\"").map { challenge[$0.upperBound...].prefix { $0 != "\"" } }
        }
        #expect(errors.map(String.init) == (error.map { [$0] } ?? []), sourceLocation: sourceLocation)
        #expect(!challenges.contains { $0.contains("error_description") }, sourceLocation: sourceLocation)
    }

    @Test(arguments: [AgentTokenSource.Binding.certificate, .dpop])
    func `a caller with a token is known, with all that its token says`(binding: AgentTokenSource.Binding) async throws
    {
        try await serving { url in
            let tokens = try world.tokens(binding)
            let client = try client(world.planner)
            for _ in 0..<3 {
                let response = try await client.execute(AgentHTTPRequest(url: url + "/task?a=b"), with: tokens)
                #expect(
                    try await response.text
                        == #"spiffe://own.example/planner client-a ["Forecast.Read"] true "#)
            }
            #expect(server.asked.count == 1)
            #expect(server.keyReads == 1)
        }
    }

    @Test(arguments: [AgentTokenSource.Binding.certificate, .dpop])
    func `requests of the Agent2Agent protocol show a token each, for the scopes that are wanted`(
        binding: AgentTokenSource.Binding
    ) async throws {
        try await serving { url in
            let tokens = try world.tokens(binding)
            let client = try client(world.planner)
            func status(_ transport: some A2AHTTPTransport, _ path: String) async throws -> Int {
                try await transport.send(A2AHTTPRequest(method: "GET", url: url + path)).status
            }
            #expect(try await status(client, "/task") == 401)
            #expect(try await status(client.showing(tokens), "/task") == 200)
            #expect(try await status(client.showing(tokens), "/admin") == 403)
            let both = client.showing(tokens, scopes: ["Forecast.Read", "Forecast.Write"])
            #expect(try await status(both, "/admin") == 200)
        }
    }

    @Test func `a scope that the token lacks is refused, and one inside another is only looked at once`() async throws {
        try await serving { url in
            let tokens = try world.tokens(.dpop)
            let client = try client(world.planner)
            let lacking = try await client.execute(AgentHTTPRequest(url: url + "/admin"), with: tokens)
            expect(lacking, 403, "insufficient_scope")
            #expect(lacking.headers["WWW-Authenticate"].allSatisfy { $0.contains("scope=\"Forecast.Write\"") })
            let both = try await client.execute(
                AgentHTTPRequest(url: url + "/admin"), with: tokens, scopes: ["Forecast.Read", "Forecast.Write"])
            #expect(try await both.text == "written")
        }
    }

    @Test func `a token for one approved act is used up by one request, and refused where nobody asks`() async throws {
        server.approve(["single_use": true, "txn": "order-7", "approval": "a1", "act_hash": "h"])
        try await serving({ $0.usesUpTokens = true }) { url in
            let token = try await world.tokens(.certificate).token()
            let client = try client(world.planner)
            func get(_ path: String) async throws -> AgentHTTPResponse {
                try await client.execute(try token.authorize(AgentHTTPRequest(url: url + path)))
            }
            // What is refused for something else leaves the token as it is.
            expect(try await get("/alone"), 403, "insufficient_scope")
            server.setConsumption(isAway: true)
            #expect(try await get("/pay").status == .serviceUnavailable)
            server.setConsumption(isAway: false)
            let paid = try await get("/pay")
            #expect(try await paid.text == "paid order-7 a1")
            expect(try await get("/pay"), 401, "invalid_token")
        }
        try await serving { url in
            let token = try await world.tokens(.certificate).token()
            let client = try client(world.planner)
            expect(try await client.execute(token.authorize(AgentHTTPRequest(url: url + "/pay"))), 401, "invalid_token")
        }
    }

    @Test(arguments: [AgentTokenSource.Binding.certificate, .dpop])
    func `what a resource wants approved is brought to the server, which is asked until a person has answered`(
        binding: AgentTokenSource.Binding
    ) async throws {
        try await serving({ $0.usesUpTokens = true }) { url in
            let tokens = try world.tokens(binding)
            let client = try client(world.planner)
            let refused = try await client.execute(AgentHTTPRequest(url: url + "/pay"), with: tokens)
            let challenge = try #require(refused.transactionChallenge)
            // It says what the resource wants, and is signed with the resource's SVID.
            let unverified = try UnverifiedTransactionChallenge(parsing: SecretText(challenge))
            let chain = try #require(unverified.certificates)
            let svid = try X509SVIDVerifier.verify(
                chain: chain, bundle: { _ in world.own.bundle }, at: server.clock.time)
            #expect(svid.id.string == "spiffe://own.example/weather")
            let key = try JWSVerificationKey(derSPKI: svid.leaf.publicKey.derSPKI, keyID: nil)
            let read = try unverified.verify(with: key, audience: server.issuer, now: server.clock.time.seconds)
            #expect(read.issuer == "api://weather" && read.transactionID == "order-7" && read.reason == "much money")
            #expect(read.subject == "spiffe://own.example/planner" && read.details.details.count == 1)
            server.approve(["single_use": true, "txn": "order-7", "approval": "a1", "act_hash": "h"])
            server.answerTransactions(
                with: [#"{"error":"authorization_pending"}"#, #"{"error":"slow_down"}"#])
            let token = try await tokens.approvedToken(for: challenge)
            #expect(server.transactions.map { $0["transaction_challenge"] != nil } == [true, false, false, false])
            let paid = try await client.execute(try token.authorize(AgentHTTPRequest(url: url + "/pay")))
            #expect(try await paid.text == "paid order-7 a1")
            server.answerTransactions(with: [#"{"error":"access_denied"}"#])
            await #expect(throws: AgentTokenError.refused(code: "access_denied")) {
                try await tokens.approvedToken(for: challenge)
            }
        }
    }

    @Test func `a stolen token is of no use to another agent`() async throws {
        try await serving { url in
            let thief = try client(world.stranger)
            for binding in [AgentTokenSource.Binding.certificate, .dpop] {
                let token = try await world.tokens(binding).token()
                for scheme in ["Bearer", "DPoP"] {
                    var request = AgentHTTPRequest(url: url + "/task")
                    request.headers.add(name: "Authorization", value: "\(scheme) \(token.value)")
                    expect(try await thief.execute(request), 401, "invalid_token")
                }
            }
            // With a whole request of the planner's it gets no further than once, and here not even that: it was used.
            let token = try await world.tokens(.dpop).token()
            let request = try token.authorize(AgentHTTPRequest(url: url + "/task"))
            #expect(try await client(world.planner).execute(request).status == .ok)
            expect(try await thief.execute(request), 401, "invalid_dpop_proof")
        }
    }

    @Test func `without a token the answer says where there are some, and no error`() async throws {
        try await serving { url in
            let client = try client(world.planner)
            let response = try await client.get(url + "/task")
            expect(response, 401, nil)
            let challenges = response.headers["WWW-Authenticate"]
            #expect(challenges.map { $0.prefix(6) } == ["Bearer", "DPoP s"])
            let place = url + "/.well-known/oauth-protected-resource"
            #expect(challenges.allSatisfy { $0.contains("resource_metadata=\"\(place)\"") })
            let document = try JSONObject(parsing: Array(try await client.get(place).text.utf8))
            #expect(document["resource"]?.stringValue == url)
            #expect(document["authorization_servers"]?.stringArrayValue == [server.issuer])
            #expect(document["scopes_supported"]?.stringArrayValue == ["Forecast.Read", "Forecast.Write"])
        }
    }

    @Test func `tokens that are not good are refused in the standard's words`() async throws {
        try await serving { url in
            let client = try client(world.planner)
            let subject = "spiffe://own.example/planner"
            for (name, token, code) in [
                ("bearer", try server.sign(subject: subject, confirmation: nil).text, "invalid_token"),
                (
                    "other audience",
                    try server.sign(subject: subject, audience: "api://bank", confirmation: nil).text, "invalid_token"
                ),
                ("no token", "a.b.c", "invalid_token"), ("two", "a b", "invalid_request"),
            ] {
                var request = AgentHTTPRequest(url: url + "/task")
                request.headers.add(name: "Authorization", value: "Bearer \(token)")
                let response = try await client.execute(request)
                #expect(try await response.text.isEmpty, "\(name)")
                expect(response, code == "invalid_token" ? 401 : 400, code)
            }
        }
    }

    @Test func `a bearer token counts where the agent takes those`() async throws {
        try await serving({ $0.isBoundOnly = false }) { url in
            var request = AgentHTTPRequest(url: url + "/task")
            let token = try server.sign(subject: "spiffe://own.example/planner", confirmation: nil)
            request.headers.add(name: "Authorization", value: "Bearer \(token.text)")
            #expect(try await client(world.planner).execute(request).text.contains(" false "))
        }
    }

    @Test func `a nonce of the resource is learnt, and the request sent once more`() async throws {
        try await serving({ $0.demandsNonces = true }) { url in
            let tokens = try world.tokens(.dpop)
            let client = try client(world.planner)
            for _ in 0..<2 {
                let response = try await client.execute(AgentHTTPRequest(url: url + "/task"), with: tokens)
                #expect(response.status == .ok)
                #expect(response.headers["DPoP-Nonce"].count == 1)
            }
            // A proof of somebody who knows no nonce.
            let other = try await world.tokens(.dpop).token()
            let request = try other.authorize(AgentHTTPRequest(url: url + "/task"))
            let response = try await client.execute(request)
            expect(response, 401, "use_dpop_nonce")
            #expect(response.headers["DPoP-Nonce"].count == 1)
        }
    }

    @Test func `a proof for another host's name does not count where the agent knows its own`() async throws {
        try await serving({ $0.url = "https://weather.example" }) { url in
            let token = try await world.tokens(.dpop).token()
            let request = try token.authorize(AgentHTTPRequest(url: url + "/task"))
            expect(try await client(world.planner).execute(request), 401, "invalid_dpop_proof")
        }
    }

    @Test func `a rotation brings another token with the other certificate, and a kept connection carries neither`()
        async throws
    {
        try await serving { url in
            let tokens = try world.tokens()
            let client = try client(world.planner)
            let request = AgentHTTPRequest(url: url + "/task")
            let old = try await tokens.token()
            let kept = client.keepingConnection()
            #expect(try await isAnswered(kept.execute(request, with: old)))
            try await world.rotatePlanner()
            #expect(try await client.execute(request, with: tokens).status == .ok)
            #expect(server.asked.count == 2)
            // The old token still fits the kept connection; each of the others would go with the wrong certificate.
            #expect(try await isAnswered(kept.execute(request, with: old)))
            let new = try await tokens.token()
            await #expect(throws: AgentTokenError.certificateChanged) { try await kept.execute(request, with: new) }
            await #expect(throws: AgentTokenError.certificateChanged) { try await client.execute(request, with: old) }
            // What a key proves goes over both.
            let proved = try await world.tokens(.dpop).token()
            #expect(try await isAnswered(kept.execute(request, with: proved)))
            #expect(try await client.execute(request, with: proved).status == .ok)
        }
    }

    @Test func `a revoked token is refused as soon as the node agent says so, and none is taken without news`()
        async throws
    {
        try await serving { url in
            let tokens = try world.tokens()
            let client = try client(world.planner)
            let request = AgentHTTPRequest(url: url + "/task")
            #expect(try await client.execute(request, with: tokens).status == .ok)
            world.weatherAPI.push(try world.revocations(2, [.jwtID("t-1")]))
            var response = try await client.execute(request, with: tokens)
            for _ in 0..<1000 where response.status == .ok {
                try await Task.sleep(for: .milliseconds(10))
                response = try await client.execute(request, with: tokens)
            }
            expect(response, 401, "invalid_token")
            world.weatherAPI.push(try world.revocations(3, []))
            for _ in 0..<1000 where response.status != .ok {
                try await Task.sleep(for: .milliseconds(10))
                response = try await client.execute(request, with: tokens)
            }
            #expect(response.status == .ok)
            world.clock.advance(seconds: 31)
            let unknown = try await client.execute(request, with: tokens)
            expect(unknown, 503, nil)
            #expect(unknown.headers["Retry-After"] == ["1"])
        }
    }

    @Test
    func
        `keys are kept, read again for a new one, no more than every half minute, and serve an hour without the server`()
        async throws
    {
        try await serving { url in
            let client = try client(world.planner)
            let request = AgentHTTPRequest(url: url + "/task")
            func status(_ tokens: AgentTokenSource) async throws -> Int {
                world.weatherAPI.push(try world.revocations(1, []))
                // The news have come when the answer is another than "nobody knows".
                for _ in 0..<1000 {
                    let status = Int(try await client.execute(request, with: tokens).status.code)
                    if status != 503 { return status }
                    try await Task.sleep(for: .milliseconds(10))
                }
                return 503
            }
            #expect(try await status(world.tokens()) == 200)
            server.rotate(to: "key-2")
            let second = try world.tokens()
            for _ in 0..<3 { #expect(try await status(second) == 401) }
            #expect(server.keyReads == 1)
            world.clock.advance(seconds: 30)
            #expect(try await status(second) == 200)
            #expect(server.keyReads == 2)
            server.setKeys(areAway: true)
            world.clock.advance(seconds: 1800)
            #expect(try await status(world.tokens()) == 200)
            #expect(server.keyReads == 3)
        }
    }
}
