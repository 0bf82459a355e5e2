import CredentialClient
import JOSE
import OAuth
import SPIFFE
import Testing

@testable import AgentShield

@Suite(.serialized) struct TokenSourceTests {
    let world: TokenWorld
    var server: FakeAuthorizationServer { world.server }

    init() throws { world = try TokenWorld() }

    @Test func `a token is asked for once, kept, and renewed when four fifths of its life are over`() async throws {
        try await world.running {
            let tokens = try world.tokens()
            let first = try await withThrowingTaskGroup(of: AgentAccessToken.self) { group in
                for _ in 0..<20 { group.addTask { try await tokens.token() } }
                return try await group.reduce(into: Set<String>()) { $0.insert($1.value) }
            }
            #expect(first.count == 1)
            #expect(server.asked.count == 1)
            #expect(server.metadataReads == 1)
            let form = try #require(server.asked.first?.form)
            #expect(form["grant_type"] == "client_credentials")
            #expect(form["resource"] == "api://weather")
            #expect(form["scope"] == "Forecast.Read")
            #expect(form["client_id"] == nil)
            world.clock.advance(seconds: 239)
            let kept = try await tokens.token().value
            #expect(first.contains(kept))
            world.clock.advance(seconds: 1)
            let second = try await tokens.token()
            #expect(!first.contains(second.value))
            #expect(second.scopes == ["Forecast.Read"])
            #expect(second.binding == .certificate)
            #expect(second.expiresAt == world.clock.time.seconds + 300)
            #expect(server.asked.count == 2)
            _ = try await tokens.token(scopes: ["Forecast.Write"])
            #expect(server.asked.count == 3)
            // The clock is set back: nobody knows how old the token is.
            world.clock.advance(seconds: -60)
            _ = try await tokens.token()
            #expect(server.asked.count == 4)
        }
    }

    @Test func `a token of a short life is renewed ten seconds before its end`() {
        func renewal(after life: Int64) -> Int64 {
            HeldAccessToken(
                token: SecretText("t"), use: .bearer, scope: nil,
                holder: TokenHolder(id: try! SPIFFEID("spiffe://own.example/planner"), certificateDigest: []),
                obtainedAt: UnixTime(seconds: 0), expiresAt: UnixTime(seconds: life)
            ).renewAt.seconds
        }
        for (life, expected) in [(900, 720), (300, 240), (50, 40), (40, 30), (20, 10), (10, 5)] as [(Int64, Int64)] {
            #expect(renewal(after: life) == expected, "\(life)")
        }
    }

    @Test func `while the server is away a good token goes on being used, and the server is asked less and less`()
        async throws
    {
        try await world.running {
            let tokens = try world.tokens()
            let first = try await tokens.token().value
            world.clock.advance(seconds: 250)
            for status in [503, 429] {
                server.fail(status)
                let before = server.asked.count
                for _ in 0..<5 { #expect(try await tokens.token().value == first) }
                #expect(server.asked.count == before + 1)
                world.clock.advance(seconds: 1)
            }
            server.fail(nil)
            #expect(try await tokens.token().value != first)
            server.fail(503)
            world.clock.advance(seconds: 300)
            await #expect(throws: AgentTokenError.unavailable) { try await tokens.token() }
        }
    }

    @Test func `a refusal has the standard's code, and ends what was granted before`() async throws {
        try await world.running {
            let tokens = try world.tokens()
            _ = try await tokens.token()
            world.clock.advance(seconds: 250)
            server.fail(400, #"{"error":"invalid_scope","error_description":"no"}"#)
            for _ in 0..<2 {
                await #expect(throws: AgentTokenError.refused(code: "invalid_scope")) { try await tokens.token() }
            }
            #expect(server.asked.count == 3)
            server.fail(400, "<html>")
            await #expect(throws: AgentTokenError.badAnswer("status 400")) { try await tokens.token() }
        }
    }

    @Test func `a token that is bound to a certificate goes with it, one that is bound to a key stays`() async throws {
        try await world.running {
            let (bound, proved) = (try world.tokens(), try world.tokens(.dpop))
            let first = (try await bound.token(), try await proved.token())
            #expect(first.1.binding == .dpop)
            try await world.rotatePlanner()
            #expect(try await bound.token().value != first.0.value)
            #expect(try await proved.token().value == first.1.value)
            // Without an identity there is no token, whatever is kept.
            world.plannerAPI.fail(.permissionDenied("no identity issued"))
            #expect(await eventually { world.planner.current == nil })
            for tokens in [bound, proved] {
                await #expect(throws: AgentTokenError.self) { try await tokens.token() }
            }
        }
    }

    @Test func `a proof is made with the server's nonce, which is learnt by asking`() async throws {
        try await world.running {
            let tokens = try world.tokens(.dpop)
            server.demand(nonce: "nonce-1")
            _ = try await tokens.token()
            #expect(server.asked.count == 2)
            _ = try await tokens.token(scopes: ["Forecast.Write"])
            #expect(server.asked.count == 3)
            let proofs = try server.asked.map { try server.claims(of: $0.proofs[0]) }
            #expect(proofs.map { $0["nonce"]?.stringValue } == [nil, "nonce-1", "nonce-1"])
            #expect(Set(proofs.compactMap { $0["jti"]?.stringValue }).count == 3)
            #expect(proofs.allSatisfy { $0["htu"]?.stringValue == server.issuer + "/token" })
            #expect(proofs.allSatisfy { $0["htm"]?.stringValue == "POST" && $0["ath"] == nil })
        }
    }

    @Test func `a server that wants a nonce and gives none is asked once`() async throws {
        try await world.running {
            server.fail(400, #"{"error":"use_dpop_nonce"}"#)
            let tokens = try world.tokens(.dpop)
            await #expect(throws: AgentTokenError.refused(code: "use_dpop_nonce")) { try await tokens.token() }
            #expect(server.asked.count == 1)
        }
    }

    @Test func `metadata that lead elsewhere are refused, and nothing is sent there`() async throws {
        try await world.running {
            let base = String(server.issuer.dropLast("/oauth2".count))
            for (name, document) in [
                ("issuer with a slash", #"{"issuer":"\#(base)/oauth2/","token_endpoint":"\#(base)/oauth2/token"}"#),
                ("other issuer", #"{"issuer":"https://evil.example","token_endpoint":"\#(base)/oauth2/token"}"#),
                ("other host", #"{"issuer":"\#(base)/oauth2","token_endpoint":"https://evil.example/token"}"#),
                ("other port", #"{"issuer":"\#(base)/oauth2","token_endpoint":"https://127.0.0.1:1/token"}"#),
                ("no tls", #"{"issuer":"\#(base)/oauth2","token_endpoint":"http://127.0.0.1/token"}"#),
                ("no endpoint", #"{"issuer":"\#(base)/oauth2"}"#),
                (
                    "alias elsewhere",
                    #"{"issuer":"\#(base)/oauth2","token_endpoint":"\#(base)/oauth2/token","#
                        + #""mtls_endpoint_aliases":{"token_endpoint":"https://evil.example/token"}}"#
                ),
                ("no json", "<html>"),
            ] {
                server.setMetadata { _ in document }
                let error = await #expect(throws: AgentTokenError.self, "\(name)") {
                    try await world.tokens().token()
                }
                guard case .badMetadata = error else {
                    Issue.record("\(name): \(String(describing: error))")
                    continue
                }
            }
            #expect(server.asked.isEmpty)
        }
    }

    @Test func `a server of another name is told nothing`() async throws {
        let world = try TokenWorld(serverPath: "/weather-two")
        try await world.running {
            let error = await #expect(throws: AgentTokenError.self) { try await world.tokens().token() }
            guard case .unreachable = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(world.server.metadataReads == 0)
            let named = try AgentTokenSource(
                identity: world.planner, issuer: world.server.issuer, server: world.own.id("/weather-two"))
            _ = try await named.token()
        }
    }

    @Test func `an answer that is not what was asked for is not used`() async throws {
        try await world.running {
            for (member, value) in [
                ("token_type", "Bearer" as JSONValue?), ("token_type", "N_A"), ("token_type", "mac"),
                ("expires_in", nil), ("expires_in", 0), ("access_token", nil),
            ] as [(String, JSONValue?)] {
                server.setAnswer { json in
                    var json = json
                    json[member] = value
                    return json
                }
                let error = await #expect(throws: AgentTokenError.self) { try await world.tokens(.dpop).token() }
                guard case .badAnswer = error else {
                    Issue.record("\(member): \(String(describing: error))")
                    continue
                }
            }
        }
    }

    @Test func `a token is exchanged for the next hop, and kept for its subject token`() async throws {
        try await world.running {
            let tokens = try world.tokens()
            let first = try await tokens.exchange(subjectToken: "one", for: "api://bank", scopes: ["Pay"])
            let form = try #require(server.asked.last?.form)
            #expect(form["grant_type"] == "urn:ietf:params:oauth:grant-type:token-exchange")
            #expect(form["subject_token"] == "one")
            #expect(form["subject_token_type"] == "urn:ietf:params:oauth:token-type:access_token")
            #expect(form["resource"] == "api://bank")
            #expect(
                try await tokens.exchange(subjectToken: "one", for: "api://bank", scopes: ["Pay"]).value
                    == first.value)
            #expect(
                try await tokens.exchange(subjectToken: "two", for: "api://bank", scopes: ["Pay"]).value
                    != first.value)
            #expect(server.asked.count == 2)
        }
    }

    @Test func `tokens that are kept are bounded`() async throws {
        try await world.running {
            let tokens = try world.tokens()
            for number in 0..<(AccessTokenSource.maximumTokens + 5) {
                let token = try await tokens.token(scopes: ["Scope.\(number)"])
                #expect(token.source.count <= AccessTokenSource.maximumTokens)
            }
            #expect(server.asked.count == AccessTokenSource.maximumTokens + 5)
        }
    }

    @Test func `nothing shows a token but the one who asks for its value`() async throws {
        try await world.running {
            let token = try await world.tokens().token()
            var dumped = ""
            dump(token, to: &dumped)
            for text in ["\(token)", String(reflecting: token), dumped] { #expect(!text.contains(token.value)) }
            #expect(throws: AgentTokenError.self) {
                try token.authorize(AgentHTTPRequest(url: "http://127.0.0.1/"))
            }
        }
    }

    @Test(arguments: ["http://own.example/oauth2", "own.example", "https://own.example/?a=b", "https://own.example/#a"])
    func `an issuer is an https URL`(issuer: String) {
        #expect(throws: AgentTokenError.self) { try AgentTokenSource(identity: world.planner, issuer: issuer) }
    }

    @Test func `what is no resource or no scope is not asked for`() async throws {
        try await world.running {
            for (resource, scopes) in [("weather", ["a"]), ("api://weather", ["a\""])] {
                let error = await #expect(throws: AgentTokenError.self) {
                    try await world.tokens().token(for: resource, scopes: scopes)
                }
                guard case .badRequest = error else {
                    Issue.record("\(String(describing: error))")
                    continue
                }
            }
        }
    }
}
