import AgentDirectory
import JOSE
import OAuth
import Revocation
import SPIFFE
import Testing
import TokenService

@Suite("Token service: delegation")
struct DelegationTests {
    @Test("the next hop is named as actor, the subject stays, scope and life only shrink")
    func exchange() async throws {
        try await TokenWorld.run { world in
            let first = try await world.token("a", ["scope": "task.read", "resource": TokenWorld.resourceB])
            world.clock.advance(seconds: 300)
            let second = try await world.exchange(first, by: "b", for: TokenWorld.resourceC)
            let claims = try world.claims(second)
            #expect(claims["sub"] == "spiffe://example.org/agent-a")
            #expect(claims["client_id"] == "client-b")
            #expect(claims["aud"] == "api://agent-c")
            #expect(claims["scope"] == "task.read")
            #expect(
                claims["act"] == [
                    "sub": "spiffe://example.org/agent-b", "iss": "spiffe://example.org", "sub_profile": "ai_agent",
                ])
            #expect(claims["exp"] == (try world.claims(first))["exp"])
            #expect(claims["chain_root"] == (try world.claims(first))["jti"])
            #expect(second.issuedTokenType == .accessToken && second.expiresIn == 300)
        }
    }

    @Test("a chain grows by every hop, keeps its order and its root")
    func chain() async throws {
        try await TokenWorld.run { world in
            try world.grant("c", on: TokenWorld.resourceB, .delegated)
            let first = try await world.token("a", ["resource": TokenWorld.resourceB])
            let second = try await world.exchange(first, by: "b", for: TokenWorld.resourceC)
            let third = try await world.exchange(second, by: "c", for: TokenWorld.resourceB)
            let claims = try world.claims(third)
            #expect(claims["act"]?.objectValue?["sub"] == "spiffe://example.org/agent-c")
            #expect(claims["act"]?.objectValue?["act"]?.objectValue?["sub"] == "spiffe://example.org/agent-b")
            #expect(claims["chain_root"] == (try world.claims(first))["jti"])
        }
    }

    @Test("a chain that would be deeper than the limit is refused, not cut")
    func depth() async throws {
        try await TokenWorld.run { world in
            try world.grant("c", on: TokenWorld.resourceB, .delegated)
            var token = try await world.token("a", ["resource": TokenWorld.resourceB])
            for hop in 0..<4 {
                token = try await world.exchange(
                    token, by: hop.isMultiple(of: 2) ? "b" : "c",
                    for: hop.isMultiple(of: 2) ? TokenWorld.resourceC : TokenWorld.resourceB)
            }
            let last = token
            await expectRefusal(.actorUnauthorized) {
                try await world.exchange(last, by: "b", for: TokenWorld.resourceC)
            }
        }
    }

    @Test("a token that is neither addressed to the client nor its own cannot be exchanged")
    func notAddressed() async throws {
        try await TokenWorld.run { world in
            let token = try await world.token("a", ["resource": TokenWorld.resourceB])
            try world.grant("c", on: TokenWorld.resourceB, .delegated)
            await expectRefusal(.invalidRequest) {
                try await world.exchange(token, by: "c", for: TokenWorld.resourceB)
            }
        }
    }

    @Test("scope, audience and grants bound an exchange")
    func bounds() async throws {
        try await TokenWorld.run { world in
            let token = try await world.token("a", ["scope": "task.read", "resource": TokenWorld.resourceB])
            await expectRefusal(.invalidScope) {
                try await world.exchange(token, by: "b", for: TokenWorld.resourceC, scope: "task.run")
            }
            await expectRefusal(.invalidTarget) {
                try await world.exchange(token, by: "b", for: TokenWorld.resourceB, scope: "task.read")
            }
            // A grant for the agent's own calls is none for others.
            world.directory.change { $0.remove(grant: "grant-b-c") }
            try world.grant("b", on: TokenWorld.resourceC, .own)
            await expectRefusal(.actorUnauthorized) {
                try await world.exchange(token, by: "b", for: TokenWorld.resourceC, scope: "task.read")
            }
        }
    }

    @Test("an own token only gets narrower, and nobody else's key will do")
    func ownToken() async throws {
        try await TokenWorld.run { world in
            let token = try await world.token("a", ["resource": TokenWorld.resourceB])
            let narrower = try await world.exchange(token, by: "a", for: TokenWorld.resourceB, scope: "task.read")
            let claims = try world.claims(narrower)
            #expect(claims["scope"] == "task.read" && claims["act"] == nil)
            await expectRefusal(.invalidScope) {
                try await world.exchange(narrower, by: "a", for: TokenWorld.resourceB, scope: "task.run")
            }
            let peer = try await world.peer("a")
            let bound = try await world.service.token(world.call([:], peer: peer))
            await expectRefusal(.invalidRequest) {
                try await world.exchange(bound, by: "a", for: TokenWorld.resourceB)
            }
        }
    }

    @Test("impersonation needs a grant that says so, and a token with actors never permits it")
    func impersonation() async throws {
        try await TokenWorld.run { world in
            world.directory.change { $0.remove(grant: "grant-b-c") }
            try world.grant("b", on: TokenWorld.resourceC, .impersonation)
            try world.grant("c", on: TokenWorld.resourceB, .impersonation)
            let token = try await world.token("a", ["resource": TokenWorld.resourceB])
            let silent = try await world.exchange(token, by: "b", for: TokenWorld.resourceC)
            #expect(try world.claims(silent)["act"] == nil)
            #expect(try world.claims(silent)["client_id"] == "client-b")
            // Whoever names itself as actor is named.
            let named = try await world.exchange(
                token, by: "b", for: TokenWorld.resourceC,
                ["actor_token": try await world.svid("b"), "actor_token_type": TokenType.jwt.uri])
            #expect(try world.claims(named)["act"] != nil)
            let next = try await world.exchange(named, by: "c", for: TokenWorld.resourceB)
            #expect(try world.claims(next)["act"]?.objectValue?["act"] != nil)
        }
    }

    @Test("`may_act` names the only one who may, and he is named in the token whatever he is granted")
    func mayAct() async throws {
        try await TokenWorld.run { world in
            func token(for letter: String, issuer: String? = "spiffe://example.org") async throws -> TokenResponse {
                let actor = try Actor(subject: "spiffe://example.org/agent-\(letter)", issuer: issuer)
                return try await world.token("a") { $0.mayAct = MayAct(actor) }
            }
            world.directory.change { $0.remove(grant: "grant-b-c") }
            try world.grant("b", on: TokenWorld.resourceC, .impersonation)
            let named = try await world.exchange(token(for: "b"), by: "b", for: TokenWorld.resourceC)
            #expect(try world.claims(named)["act"]?.objectValue?["sub"] == "spiffe://example.org/agent-b")
            #expect(try world.claims(named)["may_act"] != nil)
            for other in [try await token(for: "c"), try await token(for: "b", issuer: "https://other.example")] {
                await expectRefusal(.invalidRequest) {
                    try await world.exchange(other, by: "b", for: TokenWorld.resourceC)
                }
            }
        }
    }

    @Test("an actor token has to be about the client")
    func actorToken() async throws {
        try await TokenWorld.run { world in
            let token = try await world.token("a", ["resource": TokenWorld.resourceB])
            for (text, type) in [
                (try await world.svid("c"), TokenType.jwt.uri), (token.token.text, TokenType.accessToken.uri),
                ("x", TokenType.jwt.uri), (try await world.svid("b"), TokenType.saml2.uri),
            ] {
                await expectRefusal(.invalidRequest) {
                    try await world.exchange(
                        token, by: "b", for: TokenWorld.resourceC, ["actor_token": text, "actor_token_type": type])
                }
            }
        }
    }

    @Test("an exchange ends with whoever is in the chain")
    func ends() async throws {
        try await TokenWorld.run { world in
            let first = try await world.token("a", ["resource": TokenWorld.resourceB])
            world.change("a") { $0.state = .disabled }
            await expectRefusal(.invalidRequest) {
                try await world.exchange(first, by: "b", for: TokenWorld.resourceC)
            }
            world.change("a") { $0.state = .enabled }
            let second = try await world.exchange(first, by: "b", for: TokenWorld.resourceC)
            let root = try #require(try world.claims(first)["jti"]?.stringValue)
            #expect(try await world.isActive(second, asking: "c"))
            _ = try await world.revocations.revoke(
                .chainRoot(root), reason: "", latestEnd: world.clock.time + 3600, by: TokenWorld.caller.agent,
                requestID: "r")
            #expect(try await world.isActive(second, asking: "c") == false)
            #expect(try await world.isActive(first, asking: "b") == false)
        }
    }

    @Test("an SVID addressed to the service speaks for its agent, by exchange and as grant")
    func svidAsSubject() async throws {
        try await TokenWorld.run { world in
            let svid = try await world.svid("a")
            for fields in [
                [
                    "grant_type": TokenRequest.GrantType.tokenExchange.rawValue, "subject_token": svid,
                    "subject_token_type": TokenType.jwt.uri, "resource": TokenWorld.resourceC,
                ],
                [
                    "grant_type": TokenRequest.GrantType.jwtBearer.rawValue, "assertion": svid,
                    "resource": TokenWorld.resourceC,
                ],
            ] {
                let claims = try world.claims(try await world.token("b", fields))
                #expect(claims["sub"] == "spiffe://example.org/agent-a")
                #expect(claims["act"]?.objectValue?["sub"] == "spiffe://example.org/agent-b")
            }
            let other = try await world.svid("a", for: TokenWorld.resourceB)
            await expectRefusal(.invalidGrant) {
                try await world.token(
                    "b",
                    [
                        "grant_type": TokenRequest.GrantType.jwtBearer.rawValue, "assertion": other,
                        "resource": TokenWorld.resourceC,
                    ])
            }
        }
    }

    @Test("an SVID for several receivers, or of an agent that gets no tokens, speaks for nobody")
    func refusedSVIDs() async throws {
        try await TokenWorld.run { world in
            func redeem(_ svid: String) async throws -> TokenResponse {
                try await world.token(
                    "b",
                    [
                        "grant_type": TokenRequest.GrantType.jwtBearer.rawValue, "assertion": svid,
                        "resource": TokenWorld.resourceC,
                    ])
            }
            let shared = try await world.issuer.issueJWTSVID(
                for: TokenWorld.caller, entry: world.entry("a"),
                audience: [TokenWorld.names.issuer(.standard), TokenWorld.resourceB])
            await expectRefusal(.invalidGrant) { try await redeem(shared.token) }
            let svid = try await world.svid("a")
            _ = try await redeem(svid)
            for state in [AgentIdentity.State.disabled, .retired] {
                world.change("a") { $0.state = state }
                await expectRefusal(.invalidGrant) { try await redeem(svid) }
            }
            world.change("a") {
                $0.state = .enabled
                $0.expiresAt = world.clock.time
            }
            await expectRefusal(.invalidGrant) { try await redeem(svid) }
        }
    }

    @Test("no sequence of exchanges gives more scope, a longer life, another subject or a shorter chain")
    func onlyNarrows() async throws {
        let server = "https://other.example/oauth2"
        try await TokenWorld.run { world in
            for (letter, resource) in [
                ("a", TokenWorld.resourceC), ("b", TokenWorld.resourceB), ("c", TokenWorld.resourceB),
            ] {
                try world.grant(letter, on: resource, .impersonation)
                try world.openTransactions(letter, .impersonation)
                try world.openServer(server, to: letter, .impersonation)
            }
            var random = SystemRandomNumberGenerator()
            let letters = ["a", "b", "c"]
            let resources = [TokenWorld.resourceB, TokenWorld.resourceC]
            let scopes = [nil, "task.read", "task.run", "task.read task.run"]
            var counts: [TokenType: Int] = [:]
            for round in 0..<16 {
                var token: TokenResponse
                if round.isMultiple(of: 2) {
                    token = try await world.token("a", ["resource": TokenWorld.resourceB])
                } else {
                    // What another authorization server grants is bounded by it in the same way.
                    let text = try GrantingServer.grant(
                        ["act": ["sub": "relay", "iss": "https://partner.example"], "scope": "task.read"],
                        at: world.clock.time)
                    token = try await world.redeem(text)
                    let before = try AccessTokenView(JWTClaims(parsing: CompactJWS(parsing: text).payload).json)
                    let after = try AccessTokenView(world.claims(token))
                    #expect(after.subject == before.subject && after.end <= before.end)
                    #expect(after.scopes.isSubset(of: before.scopes))
                    #expect(after.actors == ["spiffe://example.org/agent-b"] + before.actors)
                }
                var type = TokenType.accessToken
                for _ in 0..<10 {
                    world.clock.advance(seconds: 1)
                    let before = try AccessTokenView(world.claims(token))
                    let letter = letters.randomElement(using: &random) ?? "a"
                    let scope = scopes.randomElement(using: &random) ?? nil
                    let wanted =
                        [
                            TokenType.accessToken, .accessToken, .transactionToken, .jwt, .identityAssertionGrant,
                        ].randomElement(using: &random) ?? .accessToken
                    var fields = [
                        "grant_type": TokenRequest.GrantType.tokenExchange.rawValue,
                        "subject_token": token.token.text, "subject_token_type": type.uri,
                        "requested_token_type": wanted.uri,
                    ]
                    fields["scope"] = scope
                    switch wanted {
                    case .accessToken: fields["audience"] = resources.randomElement(using: &random) ?? ""
                    case .transactionToken: fields["audience"] = TokenWorld.domain
                    default: fields["audience"] = server
                    }
                    if Bool.random() {
                        fields["actor_token"] = try await world.svid(letter)
                        fields["actor_token_type"] = TokenType.jwt.uri
                    }
                    guard let next = try? await world.token(letter, fields) else { continue }
                    counts[wanted, default: 0] += 1
                    let after = try AccessTokenView(world.claims(next))
                    #expect(after.subject == before.subject)
                    #expect(after.scopes.isSubset(of: before.scopes))
                    #expect(after.end <= before.end)
                    #expect(after.actors.suffix(before.actors.count) == before.actors[...])
                    #expect(after.actors.count <= before.actors.count + 1)
                    #expect(after.root == before.root ?? before.tokenID)
                    if type == .transactionToken {
                        // Only another of its kind comes of it: the same transaction, and one more who asked.
                        #expect(wanted == .transactionToken)
                        #expect(after.transaction == before.transaction && after.actors == before.actors)
                        #expect(after.requesters.dropLast() == before.requesters[...])
                    }
                    // Grants lead on at their audience alone.
                    guard wanted == .accessToken || wanted == .transactionToken else { continue }
                    (token, type) = (next, wanted)
                }
            }
            for type in [TokenType.accessToken, .transactionToken, .jwt, .identityAssertionGrant] {
                #expect(counts[type, default: 0] > 0)
            }
        }
    }
}

/// What the property looks at.
private struct AccessTokenView {
    let subject: String?
    let scopes: Set<String>
    let end: Int64
    let actors: [String]
    let root: String?
    let tokenID: String?
    let transaction: String?
    let requesters: [String]

    init(_ claims: JSONObject) throws {
        subject = claims["sub"]?.stringValue
        scopes = Set((claims["scope"]?.stringValue ?? "").split(separator: " ").map(String.init))
        end = try #require(claims["exp"]?.int64Value)
        root = claims["chain_root"]?.stringValue
        tokenID = claims["jti"]?.stringValue
        transaction = claims["txn"]?.stringValue
        requesters = (claims["req_wl"]?.stringValue ?? "").split(separator: ",").map(String.init)
        var actors: [String] = []
        var next = claims["act"]?.objectValue
        while let actor = next {
            actors.append(actor["sub"]?.stringValue ?? "")
            next = actor["act"]?.objectValue
        }
        self.actors = actors
    }
}

extension TokenWorld {
    func grant(_ letter: String, on resource: String, _ use: AgentGrant.Use) throws {
        let grant = AgentGrant(
            id: "grant-\(letter)-\(resource)-\(use)", agentID: "client-\(letter)", resourceID: resource,
            scopes: try Scope("task.read task.run"), use: use, createdAt: Self.start)
        directory.change { $0.put(grant) }
    }

    /// Whether introspection calls a token active.
    func isActive(_ token: TokenResponse, asking letter: String) async throws -> Bool {
        let call = try await request(as: letter, ["token": token.token.text])
        if case .active = try await service.introspect(call) { return true }
        return false
    }
}
