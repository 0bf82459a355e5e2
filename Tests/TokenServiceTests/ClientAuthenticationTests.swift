import AgentDirectory
import Crypto
import JOSE
import OAuth
import Revocation
import SPIFFE
import Testing
import TokenService

@Suite("Token service: who asks")
struct ClientAuthenticationTests {
    private static let keyType = ClientAuthentication.AssertionType.jwtBearer.rawValue
    private static let svidType = ClientAuthentication.AssertionType.jwtSPIFFE.rawValue

    @Test("every way to fail looks the same from outside")
    func nearMisses() async throws {
        try await TokenWorld.run { world in
            world.change("a") {
                $0.clientCredentials = [
                    ClientCredential(
                        id: "s", proof: .secret(digest: SecretText(TokenWorld.secret).digest),
                        createdAt: TokenWorld.start)
                ]
            }
            let svidOfC = try await world.svid("c")
            let svidForOther = try await world.svid("a", for: "https://other.example")
            let expired = try await world.svid("a")
            var calls: [(String, TokenCall)] = [
                ("no credential", try world.call(["client_id": "client-a"])),
                ("wrong secret", try world.call(["client_id": "client-a", "client_secret": "x"])),
                ("unknown client", try world.call(["client_id": "nobody", "client_secret": TokenWorld.secret])),
                (
                    "client without secret",
                    try world.call(["client_id": "client-b", "client_secret": TokenWorld.secret])
                ),
                (
                    "another audience",
                    try world.call(["client_assertion_type": Self.svidType, "client_assertion": svidForOther])
                ),
                (
                    "another agent's SVID",
                    try world.call([
                        "client_id": "client-a", "client_assertion_type": Self.svidType, "client_assertion": svidOfC,
                    ])
                ),
                (
                    "no token",
                    try world.call(["client_assertion_type": Self.svidType, "client_assertion": "a.b.c"])
                ),
                (
                    "another agent's certificate",
                    try world.call(["client_id": "client-a"], peer: try await world.peer("c"))
                ),
            ]
            world.clock.advance(seconds: 301)
            calls.append(
                ("expired", try world.call(["client_assertion_type": Self.svidType, "client_assertion": expired])))
            for (name, call) in calls {
                do throws(TokenRefusal) {
                    _ = try await world.service.token(call)
                    Issue.record("\(name): not refused")
                } catch {
                    #expect(error.error == OAuthError(.invalidClient), "\(name)")
                }
            }
        }
    }

    @Test("an SVID counts until it ends, also again")
    func svidRepeats() async throws {
        try await TokenWorld.run { world in
            let call = try await world.request(as: "a", [:])
            let first = try await world.service.token(call)
            let second = try await world.service.token(call)
            #expect(try world.claims(first)["jti"] != world.claims(second)["jti"])
        }
    }

    @Test("a secret counts in the body and in the header, encoded and raw, and not after its end")
    func secrets() async throws {
        try await TokenWorld.run { world in
            world.change("a") {
                $0.clientCredentials = [
                    ClientCredential(
                        id: "s", proof: .secret(digest: SecretText("p%20+q").digest), createdAt: TokenWorld.start,
                        expiresAt: world.clock.time + 60)
                ]
            }
            let raw = "Basic " + Base64.encode(Array("client-a:p%20+q".utf8))
            let encoded = "Basic " + Base64.encode(Array("client-a:p%2520%2Bq".utf8))
            for authorization in [raw, encoded] {
                _ = try await world.service.token(world.call([:], authorization: authorization))
            }
            let post = try world.call(["client_id": "client-a", "client_secret": "p%20+q"])
            _ = try await world.service.token(post)
            world.clock.advance(seconds: 60)
            await expectRefusal(.invalidClient) { try await world.service.token(post) }
        }
    }

    @Test("a blueprint that does not allow secrets turns them away")
    func blueprintForbidsSecrets() async throws {
        try await TokenWorld.run { world in
            let blueprint = AgentBlueprint(
                id: "bp", name: try AgentName("bp"), allowedScopes: try Scope("task.run"),
                allowedAudiences: [TokenWorld.resourceB], credentialKinds: [.jwtSVID], maximumTokenLifetime: 120,
                sponsor: try Person("sam"), createdAt: TokenWorld.start)
            world.directory.change { $0.put(blueprint) }
            let old = world.agent("a")
            let agent = AgentIdentity(
                id: old.id, name: old.name, spiffeID: old.spiffeID, blueprintID: "bp", owner: old.owner,
                sponsor: old.sponsor, createdAt: old.createdAt,
                clientCredentials: [
                    ClientCredential(
                        id: "s", proof: .secret(digest: SecretText(TokenWorld.secret).digest),
                        createdAt: TokenWorld.start)
                ])
            world.directory.change { $0.put(agent) }
            await expectRefusal(.unauthorizedClient) {
                try await world.service.token(
                    world.call(["client_id": "client-a", "client_secret": TokenWorld.secret]))
            }
            let response = try await world.token("a")
            #expect(response.scope == (try Scope("task.run")) && response.expiresIn == 120)
        }
    }

    /// An assertion of the client's own key.
    private func assertion(
        _ key: JWSSigningKey, client: String = "client-a",
        audience: JSONValue = .string("https://as.example.org/oauth2"),
        id: String = "one", lifetime: Int64 = 60, type: String? = nil, at time: UnixTime
    ) throws -> String {
        let claims: JSONObject = [
            "iss": .string(client), "sub": .string(client), "aud": audience, "jti": .string(id),
            "exp": .number(JSONNumber(time.seconds + lifetime)), "iat": .number(JSONNumber(time.seconds)),
        ]
        return try CompactJWS.sign(
            header: type.map { [("typ", .string($0))] } ?? [], payload: claims.serializedBytes, key: key)
    }

    @Test("a registered key signs assertions that count once each, for issuer or endpoint alone")
    func privateKeyJWT() async throws {
        try await TokenWorld.run { world in
            let key = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "k1")
            let stranger = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "k1")
            world.change("a") {
                $0.clientCredentials = [
                    ClientCredential(id: "key", proof: .key(key.verificationKey.jwk), createdAt: TokenWorld.start)
                ]
            }
            let time = world.clock.time
            func call(_ assertion: String) throws -> TokenCall {
                try world.call(["client_assertion_type": Self.keyType, "client_assertion": assertion])
            }
            let first = try call(assertion(key, at: time))
            _ = try await world.service.token(first)
            await expectRefusal(.invalidClient) { try await world.service.token(first) }
            for (number, audience) in [
                "https://as.example.org/oauth2/token", "https://as.example.org/oauth2/introspect",
            ].enumerated() {
                _ = try await world.service.token(
                    call(assertion(key, audience: .string(audience), id: "aud\(number)", at: time)))
            }
            for refused in [
                try assertion(stranger, id: "2", at: time),
                try assertion(key, audience: .string("https://evil.example"), id: "3", at: time),
                try assertion(
                    key, audience: .array([.string("https://as.example.org/oauth2"), .string("https://evil.example")]),
                    id: "4", at: time),
                try assertion(key, client: "client-b", id: "5", at: time),
                try assertion(key, id: "6", lifetime: -1, at: time),
                try assertion(key, id: "7", lifetime: 7200, at: time),
                try assertion(key, id: "8", type: "at+jwt", at: time),
                try assertion(key, id: "9", type: "dpop+jwt", at: time),
            ] {
                await expectRefusal(.invalidClient) { try await world.service.token(call(refused)) }
            }
        }
    }

    @Test("an access token is no client assertion, and neither is one agent's token another's")
    func mixedUpTypes() async throws {
        try await TokenWorld.run { world in
            let token = try await world.token("a").token.text
            for type in [Self.keyType, Self.svidType] {
                await expectRefusal(.invalidClient) {
                    try await world.service.token(
                        world.call([
                            "client_id": "client-a", "client_assertion_type": type, "client_assertion": token,
                        ]))
                }
            }
        }
    }

    @Test("a revoked agent, a revoked certificate and a revoked token authenticate nobody")
    func revoked() async throws {
        try await TokenWorld.run { world in
            let peer = try await world.peer("a")
            let end = world.clock.time + 3600
            _ = try await world.revocations.revoke(
                .serial(peer.leaf.serialNumber), reason: "", latestEnd: end, by: TokenWorld.caller.agent, requestID: "r"
            )
            await expectRefusal(.invalidClient) { try await world.service.token(world.call([:], peer: peer)) }
            let call = try await world.request(as: "a", [:])
            _ = try await world.service.token(call)
            _ = try await world.revocations.revoke(
                .agent(peer.id), reason: "", latestEnd: end, by: TokenWorld.caller.agent, requestID: "r")
            await expectRefusal(.invalidClient) { try await world.service.token(call) }
        }
    }
}
