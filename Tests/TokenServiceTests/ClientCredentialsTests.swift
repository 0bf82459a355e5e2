import AgentDirectory
import AuditTrail
import Crypto
import JOSE
import OAuth
import SPIFFE
import Testing
import TokenService

@Suite("Token service: a token for an attested identity")
struct ClientCredentialsTests {
    @Test("an SVID becomes a token with the scopes that are granted, verified by the published key")
    func svidBecomesToken() async throws {
        try await TokenWorld.run { world in
            let response = try await world.token("a")
            #expect(response.use == .bearer && response.expiresIn == 600)
            #expect(response.scope == (try Scope("task.run task.read")))
            let key = try #require(world.authorities.oauthKeys.first)
            let verified = try UnverifiedAccessToken(parsing: response.token.text).verify(
                with: JWSVerificationKey(jwk: key),
                policy: AccessTokenPolicy(issuer: "https://as.example.org/oauth2", audiences: [TokenWorld.resourceB]),
                now: world.clock.time.seconds)
            #expect(verified.claims.subject == "spiffe://example.org/agent-a")
            #expect(verified.claims.clientID == "client-a")
            #expect(verified.claims.actors == nil)
            #expect(verified.claims.expiresAt == world.clock.time.seconds + 600)
        }
    }

    @Test("the connection's SVID is a credential, and binds the token to its certificate and its end")
    func certificateBinds() async throws {
        try await TokenWorld.run { world in
            let peer = try await world.peer("a")
            let response = try await world.service.token(world.call(["client_id": peer.id.string], peer: peer))
            let digest = Base64URL.encode([UInt8](SHA256.hash(data: peer.leaf.der)))
            #expect(try world.claims(response)["cnf"] == ["x5t#S256": .string(digest)])
            world.clock.set(UnixTime(seconds: peer.expiresAt.seconds - 60))
            let late = try await world.service.token(world.call([:], peer: peer))
            #expect(late.expiresIn == 60)
            #expect(try world.claims(late)["exp"]?.int64Value == peer.expiresAt.seconds)
        }
    }

    @Test("scopes name their resource as clients of Entra write it")
    func entraScopes() async throws {
        try await TokenWorld.run { world in
            for (scope, granted) in [
                ("api://agent-b/.default", "task.run task.read"), ("api://agent-b/task.read", "task.read"),
                ("task.read", "task.read"),
                ("api://agent-b/.default openid profile offline_access", "task.run task.read"),
            ] {
                let response = try await world.token("a", ["scope": scope])
                #expect(response.scope == (try Scope(granted)), "\(scope)")
            }
        }
    }

    @Test(
        "what is not granted is refused by the standard's code",
        arguments: [
            (["scope": "task.delete"], OAuthErrorCode.invalidTarget),
            (["scope": "task.delete", "resource": TokenWorld.resourceB], .invalidScope),
            (["scope": "task.run task.delete", "resource": TokenWorld.resourceB], .invalidScope),
            (["resource": TokenWorld.resourceC], .invalidTarget),
            (["resource": "api://nowhere"], .invalidTarget),
            (["scope": "api://nowhere/.default"], .invalidTarget),
            (["scope": "api://agent-b/.default api://agent-c/.default"], .invalidTarget),
            (["scope": "api://agent-b/.default task.run"], .invalidScope),
            (["resource": TokenWorld.resourceB, "scope": "api://agent-c/.default"], .invalidTarget),
            (
                ["authorization_details": #"[{"type":"payment"}]"#, "resource": TokenWorld.resourceB],
                .invalidAuthorizationDetails
            ),
            (["grant_type": "password"], .unsupportedGrantType),
            (["grant_type": "refresh_token"], .unsupportedGrantType),
        ])
    func refusals(fields: [String: String], code: OAuthErrorCode) async throws {
        try await TokenWorld.run { world in
            await expectRefusal(code) { try await world.token("a", fields) }
        }
    }

    @Test("what is not the client's business looks the same whether it exists or not")
    func probing() async throws {
        try await TokenWorld.run { world in
            // What a resource demands is no more the client's business.
            var resource = try #require(world.directory.snapshot.resource(TokenWorld.resourceC))
            resource.binding = .required
            let changed = resource
            world.directory.change { $0.put(changed) }
            for fields in [
                ["resource": "RESOURCE"], ["scope": "RESOURCE/.default"], ["scope": "RESOURCE/task.run"],
                ["scope": "RESOURCE/task.run", "resource": TokenWorld.resourceB],
            ] {
                var errors: [OAuthError] = []
                for name in [TokenWorld.resourceC, "api://nowhere"] {
                    let fields = fields.mapValues { value in
                        value.hasPrefix("RESOURCE") ? name + value.dropFirst("RESOURCE".count) : value
                    }
                    let call = try await world.request(as: "a", fields)
                    do throws(TokenRefusal) {
                        _ = try await world.service.token(call)
                    } catch {
                        // The scope that was asked for is in the sentence.
                        errors.append(
                            OAuthError(
                                error.code,
                                description: error.error.description?.replacing(name, with: "RESOURCE")))
                    }
                }
                #expect(errors.count == 2 && errors.first == errors.last, "\(fields)")
            }
        }
    }

    @Test(
        "an agent that is not enabled gets nothing",
        arguments: [AgentIdentity.State.disabled, .retired])
    func notEnabled(state: AgentIdentity.State) async throws {
        try await TokenWorld.run { world in
            let call = try await world.request(as: "a", [:])
            world.change("a") { $0.state = state }
            await expectRefusal(.invalidClient) { try await world.service.token(call) }
            world.change("a") { $0.state = .enabled }
            _ = try await world.service.token(call)
            world.change("a") { $0.expiresAt = world.clock.time }
            await expectRefusal(.invalidClient) { try await world.service.token(call) }
        }
    }

    @Test("no record, no token: an audit log that fails ends the request, whichever write it is")
    func auditFails() async throws {
        try await TokenWorld.run { world in
            let call = try await world.request(as: "a", [:])
            for number in 1...2 {
                world.plan.arm(.before, atCall: number)
                await expectRefusal(.temporarilyUnavailable) { try await world.service.token(call) }
            }
            _ = try await world.service.token(call)
        }
    }

    @Test("every token has an intent and an outcome in the log, every refusal a record, and none a secret")
    func recorded() async throws {
        try await TokenWorld.run { world in
            let response = try await world.token("a")
            let tokenID = try #require(try world.claims(response)["jti"]?.stringValue)
            let issued = try await world.events(.accessTokenIssue)
            #expect(issued.count == 2)
            #expect(issued[1].contains(tokenID) && issued[1].contains("\"grants\":\"grant-a-b\""))
            #expect(issued.allSatisfy { !$0.contains(response.token.text) })
            await expectRefusal(.invalidTarget) { try await world.token("a", ["resource": TokenWorld.resourceC]) }
            let refused = try await world.events(.accessTokenRefuse)
            #expect(refused.count == 1 && refused[0].contains("nothing on this resource is granted"))
        }
    }
}

/// Expects a refusal of the token service with this code.
func expectRefusal<Value>(
    _ code: OAuthErrorCode, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () async throws -> Value
) async {
    do {
        _ = try await body()
        Issue.record("not refused", sourceLocation: sourceLocation)
    } catch let error as TokenRefusal {
        #expect(error.code == code, "\(error.reason)", sourceLocation: sourceLocation)
    } catch {
        Issue.record(error, sourceLocation: sourceLocation)
    }
}
