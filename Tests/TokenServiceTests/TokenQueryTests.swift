import AgentDirectory
import AuditTrail
import Issuance
import JOSE
import OAuth
import Revocation
import SPIFFE
import Testing
import TokenService

@Suite("Token service: introspection and revocation")
struct TokenQueryTests {
    @Test("a token is the business of its resource and its client, and of nobody else")
    func business() async throws {
        try await TokenWorld.run { world in
            let token = try await world.token("a", ["resource": TokenWorld.resourceB])
            #expect(try await world.isActive(token, asking: "b"))
            #expect(try await world.isActive(token, asking: "a"))
            #expect(try await world.isActive(token, asking: "c") == false)
        }
    }

    @Test("what is no token, expired or ended is inactive, and the answer says no more")
    func inactive() async throws {
        try await TokenWorld.run { world in
            let token = try await world.token("a", ["resource": TokenWorld.resourceB])
            for text in ["x", token.token.text + "A", try await world.svid("a")] {
                let answer = try await world.service.introspect(
                    try await world.request(as: "b", ["token": text]))
                #expect(String(decoding: answer.serializedBytes, as: UTF8.self) == #"{"active":false}"#)
            }
            world.change("a") { $0.state = .disabled }
            #expect(try await world.isActive(token, asking: "b") == false)
            world.change("a") { $0.state = .retired }
            #expect(try await world.isActive(token, asking: "b") == false)
            world.change("a") { $0.state = .enabled }
            #expect(try await world.isActive(token, asking: "b"))
            world.clock.advance(seconds: 600)
            #expect(try await world.isActive(token, asking: "b") == false)
        }
    }

    @Test("a token that verified before is inactive once its key is revoked, and for a clock that was set back")
    func verifiedBefore() async throws {
        try await TokenWorld.run { world in
            let admin = AuditEvent.AgentField(authMethod: .unixSocket)
            let token = try await world.token("a", ["resource": TokenWorld.resourceB])
            let old = try #require(world.authorities.oauthActive?.id)
            for _ in 0..<2 { #expect(try await world.isActive(token, asking: "b")) }
            // The agents' SVIDs are drawn at the time of the request, so they are good then too.
            world.clock.advance(seconds: -120)
            #expect(try await world.isActive(token, asking: "b") == false)
            world.clock.advance(seconds: 120)
            #expect(try await world.isActive(token, asking: "b"))
            let next = try await world.authorities.prepare(.oauth, by: admin, requestID: "r").id
            _ = try await world.authorities.activate(.oauth, id: next, by: admin, requestID: "r")
            for _ in 0..<2 { #expect(try await world.isActive(token, asking: "b")) }
            _ = try await world.authorities.taint(.oauth, id: old, by: admin, requestID: "r")
            _ = try await world.authorities.revoke(.oauth, id: old, by: admin, requestID: "r")
            #expect(try await world.isActive(token, asking: "b") == false)
            await expectRefusal(.invalidRequest) {
                try await world.exchange(token, by: "b", for: TokenWorld.resourceC)
            }
        }
    }

    @Test("a client takes its own token back at once, and no other")
    func revocation() async throws {
        try await TokenWorld.run { world in
            let token = try await world.token("a", ["resource": TokenWorld.resourceB])
            await expectRefusal(.unauthorizedClient) {
                try await world.service.revoke(try await world.request(as: "b", ["token": token.token.text]))
            }
            #expect(try await world.isActive(token, asking: "b"))
            let call = try await world.request(as: "a", ["token": token.token.text])
            try await world.service.revoke(call)
            #expect(try await world.isActive(token, asking: "b") == false)
            // Again, and for what is no token, it is as good as done (RFC 7009 §2.2).
            try await world.service.revoke(call)
            try await world.service.revoke(try await world.request(as: "a", ["token": "x"]))
            let id = try #require(try world.claims(token)["jti"]?.stringValue)
            #expect(world.revocations.revoked.all.contains(.jwtID(id)))
        }
    }

    @Test("one client cannot fill the register of revocations, and gets room again when its tokens have ended")
    func bounded() async throws {
        try await TokenWorld.run { world in
            func revokeOne() async throws {
                let token = try await world.token("a", ["resource": TokenWorld.resourceB])
                try await world.service.revoke(try await world.request(as: "a", ["token": token.token.text]))
            }
            for _ in 0..<64 { try await revokeOne() }
            await expectRefusal(.temporarilyUnavailable) { try await revokeOne() }
            world.clock.advance(seconds: 600)
            try await revokeOne()
        }
    }

    @Test("a revoked token buys no other")
    func revokedSubject() async throws {
        try await TokenWorld.run { world in
            let token = try await world.token("a", ["resource": TokenWorld.resourceB])
            try await world.service.revoke(try await world.request(as: "a", ["token": token.token.text]))
            await expectRefusal(.invalidRequest) {
                try await world.exchange(token, by: "b", for: TokenWorld.resourceC)
            }
        }
    }

    @Test("a token ends with a retired agent in its chain, also when another agent has that one's SPIFFE ID")
    func retiredInChain() async throws {
        try await TokenWorld.run { world in
            let first = try await world.token("a", ["resource": TokenWorld.resourceB])
            let second = try await world.exchange(first, by: "b", for: TokenWorld.resourceC)
            #expect(try await world.isActive(second, asking: "c"))
            world.change("a") { $0.state = .retired }
            #expect(try await world.isActive(second, asking: "c") == false)
            world.clock.advance(seconds: 60)
            let old = world.agent("a")
            world.directory.change {
                $0.put(
                    AgentIdentity(
                        id: "client-new", name: old.name, spiffeID: old.spiffeID, blueprintID: nil, owner: old.owner,
                        sponsor: old.sponsor, createdAt: world.clock.time))
            }
            #expect(try await world.isActive(second, asking: "c") == false)
            await expectRefusal(.invalidRequest) {
                try await world.exchange(second, by: "c", for: TokenWorld.resourceB)
            }
        }
    }

    @Test("who could get no token asks nothing about tokens either, and the log names it")
    func askers() async throws {
        try await TokenWorld.run { world in
            let token = try await world.token("a", ["resource": TokenWorld.resourceB])
            let old = world.agent("b")
            let secret = ClientCredential(
                id: "s", proof: .secret(digest: SecretText(TokenWorld.secret).digest), createdAt: TokenWorld.start)
            let blueprint = AgentBlueprint(
                id: "blueprint", name: try AgentName("readers"), allowedScopes: .empty, allowedAudiences: [],
                credentialKinds: [.jwtSVID], sponsor: old.sponsor, createdAt: TokenWorld.start)
            world.directory.change {
                $0.put(blueprint)
                $0.put(
                    AgentIdentity(
                        id: old.id, name: old.name, spiffeID: old.spiffeID, blueprintID: blueprint.id,
                        owner: old.owner, sponsor: old.sponsor, createdAt: old.createdAt, clientCredentials: [secret]))
            }
            #expect(try await world.isActive(token, asking: "b"))
            let call = try world.call([
                "token": token.token.text, "client_id": "client-b", "client_secret": TokenWorld.secret,
            ])
            await expectRefusal(.unauthorizedClient) { try await world.service.introspect(call) }
            world.directory.change {
                var disabled = blueprint
                disabled.isEnabled = false
                $0.put(disabled)
            }
            await expectRefusal(.invalidClient) { try await world.isActive(token, asking: "b") }
            world.directory.change { $0.put(blueprint) }
            world.change("b") { $0.expiresAt = world.clock.time }
            await expectRefusal(.invalidClient) { try await world.isActive(token, asking: "b") }
            let refused = try await world.events(.accessTokenRefuse)
            #expect(refused.filter { $0.contains("spiffe://example.org/agent-b") }.count == 3)
        }
    }
}
