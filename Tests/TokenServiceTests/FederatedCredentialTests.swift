import AgentDirectory
import Authentication
import Crypto
import JOSE
import OAuth
import SPIFFE
import Testing
import TokenService

/// Issuers outside, with keys that the operator has given.
enum OutsideIssuer {
    static let keys = [
        "ci": JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "k"),
        "other": JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "k"),
        "slow": JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "k"),
    ]

    static func url(_ name: String) -> String { "https://\(name).example.com" }

    static func trusted(_ name: String) throws -> TrustedIssuer {
        try TrustedIssuer(issuer: url(name), jwks: document(name))
    }

    /// One whose keys have to be fetched.
    static func slow() throws -> TrustedIssuer {
        try TrustedIssuer(issuer: url("slow"), jwksURI: url("slow") + "/keys")
    }

    /// The public keys of an issuer.
    static func document(_ name: String) throws -> [UInt8] {
        let key = try #require(keys[name])
        var jwk = key.verificationKey.jwk
        jwk.kid = key.keyID
        let document: JSONValue = ["keys": .array([.object(jwk.json())])]
        return document.serializedBytes
    }

    /// A token of an issuer, with these claims instead of the usual ones.
    static func token(
        _ issuer: String = "ci", signedBy signer: String? = nil, _ changed: [String: JSONValue?] = [:],
        type: String? = nil, at time: UnixTime
    ) throws -> String {
        var claims: JSONObject = [
            "iss": .string(url(issuer)), "sub": "repo:acme/agents:ref:refs/heads/main",
            "aud": "api://AzureADTokenExchange",
            "exp": .number(JSONNumber(time.seconds + 300)), "iat": .number(JSONNumber(time.seconds)),
        ]
        for (name, value) in changed { claims[name] = value }
        let key = try #require(keys[signer ?? issuer])
        return try CompactJWS.sign(
            header: type.map { [("typ", .string($0))] } ?? [], payload: claims.serializedBytes, key: key)
    }
}

/// A trust domain that ours holds a bundle of.
enum OtherDomain {
    static let key = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "other-domain")

    static func authorities(_ trustDomain: TrustDomain) -> [JWTAuthority]? {
        guard trustDomain.name == "other.example",
            let authority = try? JWTAuthority(keyID: key.keyID, derSPKI: key.verificationKey.derSPKI)
        else { return nil }
        return [authority]
    }

    /// An SVID of `spiffe://other.example/agent` that says whatever its domain likes.
    static func svid(issuer: String?, _ claims: JSONObject = JSONObject(), at time: UnixTime) throws -> String {
        try JWTSVID.sign(
            id: SPIFFEID("spiffe://other.example/agent"), audience: [FederatedCredential.defaultAudience],
            issuedAt: time, expiresAt: time + 300, key: key, issuer: issuer, extraClaims: claims)
    }
}

@Suite("Token service: federated credentials")
struct FederatedCredentialTests {
    private func give(_ world: TokenWorld, _ credentials: FederatedCredential...) {
        world.change("a") { $0.federatedCredentials = credentials }
    }

    private func credential(
        _ issuer: String = OutsideIssuer.url("ci"), subject: String = "repo:acme/agents:ref:refs/heads/main"
    ) throws -> FederatedCredential {
        try FederatedCredential(name: AgentName("ci"), issuer: issuer, subject: .exactly(subject))
    }

    private func call(_ world: TokenWorld, _ token: String, client: String? = "client-a") throws -> TokenCall {
        var fields = [
            "client_assertion_type": ClientAuthentication.AssertionType.jwtBearer.rawValue,
            "client_assertion": token + "\n",
        ]
        fields["client_id"] = client
        return try world.call(fields)
    }

    @Test("a token of the issuer that the credential names counts until it ends, also again")
    func counts() async throws {
        try await TokenWorld.run { world in
            give(world, try credential())
            let call = try call(world, OutsideIssuer.token(at: world.clock.time))
            let first = try await world.service.token(call)
            _ = try await world.service.token(call)
            #expect(try world.claims(first)["sub"] == "spiffe://example.org/agent-a")
            world.clock.advance(seconds: 300)
            await expectRefusal(.invalidClient) { try await world.service.token(call) }
        }
    }

    @Test(
        "anything else is no credential",
        arguments: [
            ["sub": .string("repo:acme/agents:ref:refs/heads/Main")],
            ["sub": .string("repo:acme/agents:ref:refs/heads/main ")],
            ["aud": .string("api://other")], ["aud": .array([.string("api://AzureADTokenExchange"), .string("x")])],
            ["aud": nil], ["sub": nil], ["exp": nil], ["iss": .string("https://ci.example.com/")],
            ["nbf": .number(JSONNumber(1_900_000_200))],
        ] as [[String: JSONValue?]])
    func refused(changed: [String: JSONValue?]) async throws {
        try await TokenWorld.run { world in
            give(world, try credential())
            let token = try OutsideIssuer.token("ci", changed, at: world.clock.time)
            await expectRefusal(.invalidClient) { try await world.service.token(call(world, token)) }
        }
    }

    @Test("keys of one issuer never vouch for another, and an issuer without a credential for none")
    func keysStayApart() async throws {
        try await TokenWorld.run { world in
            give(world, try credential())
            let time = world.clock.time
            for token in [
                try OutsideIssuer.token("ci", signedBy: "other", at: time), try OutsideIssuer.token("other", at: time),
                try OutsideIssuer.token("ci", type: "at+jwt", at: time),
            ] {
                await expectRefusal(.invalidClient) { try await world.service.token(call(world, token)) }
            }
            // Named by a credential, and not on the operator's list.
            give(world, try credential("https://stranger.example.com"))
            let stranger = try OutsideIssuer.token("ci", ["iss": "https://stranger.example.com"], at: time)
            await expectRefusal(.invalidClient) { try await world.service.token(call(world, stranger)) }
        }
    }

    @Test("a federated token needs the client's name, and the name its credential")
    func needsClientID() async throws {
        try await TokenWorld.run { world in
            give(world, try credential())
            let token = try OutsideIssuer.token(at: world.clock.time)
            for client in [nil, "client-b", "nobody", "spiffe://example.org/agent-b"] {
                await expectRefusal(.invalidClient) {
                    try await world.service.token(call(world, token, client: client))
                }
            }
            _ = try await world.service.token(call(world, token, client: "spiffe://example.org/agent-a"))
        }
    }

    @Test("an SVID with the audience of stock clients counts where a credential names it")
    func svid() async throws {
        try await TokenWorld.run { world in
            let svid = try await world.svid("a", for: FederatedCredential.defaultAudience)
            await expectRefusal(.invalidClient) { try await world.service.token(call(world, svid)) }
            give(world, try credential("spiffe://example.org", subject: "spiffe://example.org/agent-a"))
            _ = try await world.service.token(call(world, svid))
            let other = try await world.svid("c", for: FederatedCredential.defaultAudience)
            await expectRefusal(.invalidClient) { try await world.service.token(call(world, other)) }
        }
    }

    @Test("an agent that is disabled while keys are fetched gets no token any more")
    func disabledMeanwhile() async throws {
        try await TokenWorld.run { world in
            give(world, try credential(OutsideIssuer.url("slow")))
            let call = try call(world, OutsideIssuer.token("slow", at: world.clock.time))
            world.whileFetching.set { world.change("a") { $0.state = .disabled } }
            await expectRefusal(.temporarilyUnavailable) { try await world.service.token(call) }
            await expectRefusal(.invalidClient) { try await world.service.token(call) }
            world.change("a") { $0.state = .enabled }
            _ = try await world.service.token(call)
        }
    }

    @Test("an SVID of another trust domain is that domain's word and nobody else's, whatever it says")
    func otherDomain() async throws {
        try await TokenWorld.run { world in
            let gitHub = "https://token.actions.githubusercontent.com"
            let subject = "spiffe://other.example/agent"
            give(
                world,
                try FederatedCredential(
                    name: AgentName("gh"), issuer: gitHub,
                    subject: .matching(ClaimsExpression("claims['repository_id'] eq '42'"))),
                try credential(subject: subject))
            for issuer in [gitHub, OutsideIssuer.url("ci")] {
                let svid = try OtherDomain.svid(issuer: issuer, ["repository_id": "42"], at: world.clock.time)
                await expectRefusal(.invalidClient) { try await world.service.token(call(world, svid)) }
            }
            give(world, try credential("spiffe://other.example", subject: subject))
            for issuer in [nil, gitHub, "spiffe://example.org"] {
                let svid = try OtherDomain.svid(issuer: issuer, at: world.clock.time)
                _ = try await world.service.token(call(world, svid))
            }
            give(world, try credential("spiffe://example.org", subject: subject))
            let svid = try OtherDomain.svid(issuer: "spiffe://example.org", at: world.clock.time)
            await expectRefusal(.invalidClient) { try await world.service.token(call(world, svid)) }
        }
    }

    @Test("an issuer on the list vouches with its own keys also for what looks like an SVID")
    func listedIssuerOfSVIDs() async throws {
        try await TokenWorld.run { world in
            let subject = "spiffe://unknown.example/agent"
            give(world, try credential(subject: subject))
            let token = try OutsideIssuer.token("ci", ["sub": .string(subject)], at: world.clock.time)
            _ = try await world.service.token(call(world, token))
        }
    }
}
