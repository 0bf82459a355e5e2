import AgentDirectory
import AuditTrail
import JOSE
import OAuth
import SPIFFE
import Testing

@testable import TokenService

/// The agent flow of Microsoft Entra: the operator of a blueprint gets an assertion for an agent, and the agent a token by it.
struct BlueprintAssertionTests {
    private static let bearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    private static let exchangeScope = "api://AzureADTokenExchange/.default"

    /// A is the operator of the blueprint that B and C are made from.
    private func run(_ body: (TokenWorld) async throws -> Void) async throws {
        try await TokenWorld.run { world in
            // RSA keys are made a moment after the others.
            try await world.authorities.tick(at: world.clock.time)
            let blueprint = AgentBlueprint(
                id: "bp", name: try AgentName("bp"), allowedScopes: try Scope("task.run task.read"),
                allowedAudiences: [TokenWorld.resourceB, TokenWorld.resourceC],
                credentialKinds: Set(CredentialKind.allCases).subtracting([.clientSecret]), sponsor: try Person("sam"),
                operatorID: "client-a", createdAt: TokenWorld.start)
            world.directory.change { $0.put(blueprint) }
            for letter in ["b", "c"] { world.make(letter, from: "bp") }
            try world.grant("b", on: TokenWorld.resourceC, .delegated)
            try await body(world)
        }
    }

    @Test("the operator gets an assertion, the agent a token by it as often as it likes until the assertion ends")
    func flow() async throws {
        try await run { world in
            let first = try await world.assertion(for: "b")
            #expect(first.use == .bearer && first.expiresIn == 600 && first.scope == nil)
            let claims = try world.claims(first)
            #expect(claims["aud"] == "api://AzureADTokenExchange")
            #expect(claims["sub"] == "/t/example.org/a/bp/client-b")
            #expect(try CompactJWS(parsing: first.token.text).header.type == "blueprint-assertion+jwt")
            for _ in 0..<2 {
                let token = try await world.service.token(world.call(by: first, "b"))
                let claims = try world.claims(token)
                #expect(claims["sub"] == "spiffe://example.org/agent-b" && claims["client_id"] == "client-b")
                #expect(claims["act"] == nil)
            }
            let log = try await world.events(.blueprintAssertionIssue)
            #expect(log.count == 2 && log.allSatisfy { $0.contains("spiffe://example.org/agent-a") })
            let issued = try await world.events(.accessTokenIssue)
            #expect(issued.last?.contains("\"blueprint_assertion\"") == true)
            world.clock.advance(seconds: 600)
            await expectRefusal(.invalidClient) { try await world.service.token(world.call(by: first, "b")) }
        }
    }

    @Test("by certificate too, and never longer than the certificate")
    func byCertificate() async throws {
        try await run { world in
            let peer = try await world.peer("a")
            let call = try world.call(Self.wanted("client-b"), peer: peer, profile: .entra)
            let first = try await world.service.token(call)
            _ = try await world.service.token(world.call(by: first, "b"))
            world.clock.advance(seconds: peer.expiresAt.seconds - world.clock.time.seconds - 100)
            #expect(try await world.service.token(call).expiresIn == 100)
        }
    }

    private static func wanted(_ path: String) -> [String: String] {
        ["client_id": "bp", "scope": exchangeScope, "fmi_path": path]
    }

    @Test("only the operator gets one, only for agents of its blueprint, only as stock clients ask")
    func wantedByOthers() async throws {
        try await run { world in
            let audience = TokenWorld.names.issuer(.entra)
            func ask(
                _ letter: String = "a", _ fields: [String: String] = Self.wanted("client-b"),
                profile: TokenProfile = .entra
            ) async throws -> TokenResponse {
                var fields = fields
                fields["client_assertion_type"] = Self.bearer
                fields["client_assertion"] = try await world.svid(letter, for: audience)
                return try await world.service.token(world.call(fields, profile: profile))
            }
            _ = try await ask()
            // Somebody else in the operator's place, also one of the blueprint's own agents.
            for letter in ["b", "c"] { await expectRefusal(.invalidClient) { try await ask(letter) } }
            // Agents of nobody, and of another blueprint.
            for path in ["client-a", "client-x", "agent-b"] {
                await expectRefusal(.invalidRequest) { try await ask("a", Self.wanted(path)) }
            }
            var fields = Self.wanted("client-b")
            fields["client_id"] = "client-a"
            await expectRefusal(.invalidClient) { try await ask("a", fields) }
            fields["client_id"] = nil
            await expectRefusal(.invalidClient) { try await ask("a", fields) }
            // The parameter where it means nothing.
            await expectRefusal(.invalidRequest) { try await ask("a", Self.wanted("client-b"), profile: .standard) }
            for scope in [TokenWorld.resourceB + "/.default", "", Self.exchangeScope + " openid"] {
                fields = Self.wanted("client-b")
                fields["scope"] = scope.isEmpty ? nil : scope
                let asked = fields
                await expectRefusal(.invalidScope) { try await ask("a", asked) }
            }
            for grant in [TokenRequest.GrantType.tokenExchange, .jwtBearer] {
                fields = Self.wanted("client-b")
                fields["grant_type"] = grant.rawValue
                for name in ["assertion", "subject_token"] { fields[name] = "x.y.z" }
                fields["subject_token_type"] = TokenType.accessToken.uri
                let asked = fields
                await expectRefusal(.invalidRequest) { try await ask("a", asked) }
            }
            // A blueprint is no client of any other request.
            await expectRefusal(.invalidClient) {
                try await ask("a", ["client_id": "bp", "scope": TokenWorld.resourceB + "/.default"])
            }
        }
    }

    /// Something that ends the flow.
    enum End: String, CaseIterable {
        case operatorDisabled, operatorExpired, operatorRevoked, blueprintDisabled, noOperator, otherOperator
        case kindForbidden, agentDisabled, agentRevoked, otherBlueprint

        /// What an asking operator reads afterwards.
        var atFirst: OAuthErrorCode {
            switch self {
            case .kindForbidden: .unauthorizedClient
            case .agentDisabled, .agentRevoked, .otherBlueprint: .invalidRequest
            default: .invalidClient
            }
        }

        /// What an agent reads that shows an assertion from before.
        var atSecond: OAuthErrorCode { self == .kindForbidden ? .unauthorizedClient : .invalidClient }
    }

    @Test("what is taken away counts at once, also for an assertion that is out already", arguments: End.allCases)
    func ends(end: End) async throws {
        try await run { world in
            // An SVID from before: whoever is barred gets no other.
            let asking = try await world.assertionCall(for: "b")
            let first = try await world.service.token(asking)
            guard var blueprint = world.directory.snapshot.blueprint("bp") else { preconditionFailure("no blueprint") }
            func revoke(_ letter: String) async throws {
                _ = try await world.revocations.revoke(
                    .agent(world.agent(letter).spiffeID), reason: "", latestEnd: world.clock.time + 3600,
                    by: TokenWorld.caller.agent, requestID: "r")
            }
            switch end {
            case .operatorDisabled: world.change("a") { $0.state = .disabled }
            case .operatorExpired: world.change("a") { $0.expiresAt = world.clock.time }
            case .operatorRevoked: try await revoke("a")
            case .blueprintDisabled: blueprint.isEnabled = false
            case .noOperator: blueprint.operatorID = nil
            case .otherOperator: blueprint.operatorID = "client-c"
            case .kindForbidden: blueprint.credentialKinds = [.clientSecret, .blueprintAssertion]
            case .agentDisabled: world.change("b") { $0.state = .disabled }
            case .agentRevoked: try await revoke("b")
            case .otherBlueprint: world.make("b", from: nil)
            }
            let changed = blueprint
            world.directory.change { $0.put(changed) }
            await expectRefusal(end.atSecond) { try await world.service.token(world.call(by: first, "b")) }
            await expectRefusal(end.atFirst) { try await world.service.token(asking) }
        }
    }

    @Test("a blueprint that does not list assertions gets tokens by none")
    func kindNotListed() async throws {
        try await run { world in
            let first = try await world.assertion(for: "b")
            guard var blueprint = world.directory.snapshot.blueprint("bp") else { preconditionFailure("no blueprint") }
            blueprint.credentialKinds.remove(.blueprintAssertion)
            let changed = blueprint
            world.directory.change { $0.put(changed) }
            await expectRefusal(.unauthorizedClient) { try await world.service.token(world.call(by: first, "b")) }
        }
    }

    @Test("an assertion is its agent's alone, at the one endpoint, and no token of any kind")
    func elsewhere() async throws {
        try await run { world in
            let first = try await world.assertion(for: "b")
            for letter in ["a", "c"] {
                await expectRefusal(.invalidClient) { try await world.service.token(world.call(by: first, letter)) }
            }
            await expectRefusal(.invalidClient) {
                try await world.service.token(world.call(by: first, "b", profile: .standard))
            }
            let spiffe = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"
            await expectRefusal(.invalidClient) {
                try await world.service.token(world.call(by: first, "b", ["client_assertion_type": spiffe]))
            }
            // Nobody gets a further assertion by one.
            await expectRefusal(.invalidClient) {
                try await world.service.token(world.call(by: first, "b", Self.wanted("client-c")))
            }
            // As token: neither active, nor exchanged, nor the client's at the other endpoints.
            #expect(try await world.isActive(first, asking: "b") == false)
            await expectRefusal(.invalidRequest) {
                try await world.exchange(first, by: "b", for: TokenWorld.resourceC)
            }
            await expectRefusal(.invalidGrant) {
                try await world.service.token(world.onBehalf(of: first, by: first, "b"))
            }
            await expectRefusal(.invalidClient) {
                try await world.service.introspect(world.call(by: first, "b", ["token": first.token.text]))
            }
            let jti = try #require(world.claims(first)["jti"]?.stringValue)
            _ = try await world.revocations.revoke(
                .jwtID(jti), reason: "", latestEnd: world.clock.time + 600, by: TokenWorld.caller.agent, requestID: "r")
            await expectRefusal(.invalidClient) { try await world.service.token(world.call(by: first, "b")) }
        }
    }

    @Test("near misses of an assertion are refused, whoever signs them")
    func forged() async throws {
        try await run { world in
            let now = world.clock.time.seconds
            let key = try #require(world.authorities.entraActive)
            func good() -> BlueprintAssertion {
                BlueprintAssertion(
                    issuer: TokenWorld.names.issuer(.entra), tenant: "example.org", blueprintID: "bp",
                    agentID: "client-b", operatorID: "client-a", credentialKind: .jwtSVID, tokenID: "t",
                    issuedAt: now, expiresAt: now + 60)
            }
            func check(_ text: String, at time: Int64 = now) throws(BlueprintAssertionError) {
                _ = try BlueprintAssertion.verify(
                    SecretText(text), issuer: TokenWorld.names.issuer(.entra), tenant: "example.org",
                    key: { $0 == key.id ? key.verificationKey : nil }, now: time)
            }
            func signed(
                type: String = BlueprintAssertion.type, _ change: (inout JSONObject) -> Void = { _ in }
            ) async throws -> String {
                var claims = try JWTClaims(parsing: good().payload).json
                change(&claims)
                return try await world.signed(type: type, claims.serializedBytes)
            }
            let first = try await signed()
            try check(first)
            let type = try await signed(type: "at+jwt")
            #expect(throws: BlueprintAssertionError.type) { try check(type) }
            for (error, change) in [
                (.issuer, { $0["iss"] = "https://as.example.org/oauth2" }),
                (.audience, { $0["aud"] = "api://agent-b" }),
                (.audience, { $0["aud"] = .array(["api://AzureADTokenExchange", "api://agent-b"]) }),
                (.claims, { $0["sub"] = "/t/example.org/a/bp/client-c" }),
                (.claims, { $0["fmi_path"] = "client-c" }),
                (.claims, { $0["operator"] = nil }),
                (.claims, { $0["credential"] = "word_of_honour" }),
                (.claims, { $0["jti"] = nil }),
                (.ended, { $0["exp"] = .number(JSONNumber(now)) }),
            ] as [(BlueprintAssertionError, (inout JSONObject) -> Void)] {
                let text = try await signed(change)
                #expect(throws: error) { try check(text) }
            }
            let whole = try await signed()
            #expect(throws: BlueprintAssertionError.ended) { try check(whole, at: now + 60) }
            let other = try CompactJWS.sign(
                type: BlueprintAssertion.type, payload: good().payload,
                key: JWSSigningKey(p256: .init(), keyID: "unknown"))
            #expect(throws: BlueprintAssertionError.unknownKey) { try check(other) }
            let confused = try CompactJWS.sign(
                type: BlueprintAssertion.type, payload: good().payload, key: JWSSigningKey(p256: .init(), keyID: key.id)
            )
            #expect(throws: BlueprintAssertionError.self) { try check(confused) }
        }
    }

    @Test("on behalf of: an exchange in Entra's words, with its chain and its limits")
    func onBehalfOf() async throws {
        try await run { world in
            let assertion = try await world.assertion(for: "b")
            let received = try await world.token("a", ["resource": TokenWorld.resourceB, "scope": "task.read"])
            let token = try await world.service.token(world.onBehalf(of: received, by: assertion, "b"))
            let claims = try world.claims(token)
            #expect(claims["sub"] == "spiffe://example.org/agent-a" && claims["client_id"] == "client-b")
            #expect(claims["act"]?.objectValue?["sub"] == "spiffe://example.org/agent-b")
            #expect(claims["scope"] == "task.read" && token.issuedTokenType == nil)
            #expect(claims["chain_root"] == (try world.claims(received))["jti"])
            // Any other credential of the agent does as well.
            let svid = try await world.svid("b", for: TokenWorld.names.issuer(.entra))
            _ = try await world.service.token(
                world.onBehalf(of: received, by: assertion, "b", ["client_assertion": svid]))

            await expectRefusal(.invalidScope) {
                try await world.service.token(
                    world.onBehalf(of: received, by: assertion, "b", ["scope": TokenWorld.resourceC + "/task.run"]))
            }
            // Somebody else's token.
            try world.grant("c", on: TokenWorld.resourceB, .delegated)
            let others = try await world.assertion(for: "c")
            await expectRefusal(.invalidGrant) {
                try await world.service.token(
                    world.onBehalf(of: received, by: others, "c", ["scope": TokenWorld.resourceB + "/.default"]))
            }
            // An SVID is no access token.
            let stranger = try await world.svid("a", for: TokenWorld.names.issuer(.entra))
            await expectRefusal(.invalidGrant) {
                try await world.service.token(
                    world.onBehalf(of: received, by: assertion, "b", ["assertion": stranger]))
            }
            // A grant to act unnamed changes nothing: on behalf of is never in place of.
            try world.grant("b", on: TokenWorld.resourceC, .impersonation)
            let named = try await world.service.token(world.onBehalf(of: received, by: assertion, "b"))
            #expect(try world.claims(named)["act"] != nil)
        }
    }

    @Test(
        "`requested_token_use` means one thing in one place",
        arguments: [
            ["requested_token_use": "in_place_of"], ["grant_type": "client_credentials"],
            ["grant_type": TokenRequest.GrantType.tokenExchange.rawValue],
        ])
    func otherUses(change: [String: String]) async throws {
        try await run { world in
            let assertion = try await world.assertion(for: "b")
            let received = try await world.token("a", ["resource": TokenWorld.resourceB])
            var fields = change
            fields["subject_token"] = received.token.text
            fields["subject_token_type"] = TokenType.accessToken.uri
            let asked = fields
            await expectRefusal(.invalidRequest) {
                try await world.service.token(world.onBehalf(of: received, by: assertion, "b", asked))
            }
        }
    }

    @Test("not at the standard endpoint")
    func notAtTheStandardEndpoint() async throws {
        try await run { world in
            let received = try await world.token("a", ["resource": TokenWorld.resourceB])
            await expectRefusal(.invalidRequest) {
                try await world.token(
                    "b",
                    [
                        "grant_type": TokenRequest.GrantType.jwtBearer.rawValue, "assertion": received.token.text,
                        "requested_token_use": "on_behalf_of", "scope": TokenWorld.resourceC + "/.default",
                    ])
            }
        }
    }

    @Test("what the log does not take is not signed, and what it takes is not handed out without its outcome")
    func faults() async throws {
        try await run { world in
            let call = try await world.assertionCall(for: "b")
            for number in 1...2 {
                world.plan.arm(.before, atCall: number)
                await expectRefusal(.temporarilyUnavailable) { try await world.service.token(call) }
            }
            _ = try await world.service.token(call)
        }
    }
}

extension TokenWorld {
    /// The agent anew, made from a blueprint or from none.
    func make(_ letter: String, from blueprintID: String?) {
        let old = agent(letter)
        directory.change {
            $0.put(
                AgentIdentity(
                    id: old.id, name: old.name, spiffeID: old.spiffeID, blueprintID: blueprintID, owner: old.owner,
                    sponsor: old.sponsor, createdAt: old.createdAt))
        }
    }

    func assertionCall(for letter: String) async throws -> TokenCall {
        try call(
            [
                "client_id": "bp", "scope": "api://AzureADTokenExchange/.default", "fmi_path": "client-\(letter)",
                "client_assertion_type": ClientAuthentication.AssertionType.jwtBearer.rawValue,
                "client_assertion": try await svid("a", for: Self.names.issuer(.entra)),
            ], profile: .entra)
    }

    /// What the operator of the blueprint gets for an agent.
    func assertion(for letter: String) async throws -> TokenResponse {
        try await service.token(try await assertionCall(for: letter))
    }

    /// A request of an agent that shows such an assertion.
    func call(
        by assertion: TokenResponse, _ letter: String, _ more: [String: String] = [:], profile: TokenProfile = .entra
    ) throws -> TokenCall {
        var fields = [
            "client_id": "client-\(letter)", "scope": Self.resourceC + "/.default",
            "client_assertion_type": ClientAuthentication.AssertionType.jwtBearer.rawValue,
            "client_assertion": assertion.token.text,
        ]
        fields.merge(more) { _, new in new }
        return try call(fields, profile: profile)
    }

    /// A request in the name of the subject of a token.
    func onBehalf(
        of token: TokenResponse, by assertion: TokenResponse, _ letter: String, _ more: [String: String] = [:]
    ) throws -> TokenCall {
        var fields = [
            "grant_type": TokenRequest.GrantType.jwtBearer.rawValue, "assertion": token.token.text,
            "requested_token_use": "on_behalf_of", "scope": Self.resourceC + "/.default openid profile offline_access",
        ]
        fields.merge(more) { _, new in new }
        return try call(by: assertion, letter, fields)
    }

    /// Bytes under the key of the profile `entra`.
    func signed(type: String, _ payload: [UInt8]) async throws -> String {
        guard let authority = authorities.entraActive else { preconditionFailure("no key signs") }
        let receipt = try await log.record(
            AuditEvent(
                type: .accessTokenIssue, agent: .internal(), resource: AuditEvent.ResourceField(kind: "test", id: "t"),
                decision: AuditEvent.DecisionField(action: "issue", result: .none),
                correlation: AuditEvent.CorrelationField(requestID: "r")))
        return try authority.sign(type: type, payload: payload, consuming: receipt)
    }
}
