import AgentDirectory
import AgentShieldTesting
import Authentication
import Crypto
import JOSE
import OAuth
import Revocation
import SPIFFE
import Testing
import TokenService

/// Another authorization server that makes grants for ours.
enum GrantingServer {
    /// Speaks for the trust domain `partner.example`; the other one for nobody.
    static let partner = "https://partner.example/oauth2"
    static let plain = "https://plain.example"
    /// One whose keys have to be fetched, and one that is away.
    static let slow = "https://slow-grants.example"
    static let absent = "https://absent.example"
    static let keys = [
        partner: JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "k"),
        plain: JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "k"),
        slow: JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "k"),
    ]

    static func trust(
        own: TrustDomain, now: @escaping @Sendable () -> UnixTime, whileFetching: TokenWorld.Event
    ) throws -> GrantTrust {
        let partner = try TrustedIssuer(issuer: Self.partner, jwks: document(Self.partner))
        let plain = try TrustedIssuer(issuer: Self.plain, jwks: document(Self.plain))
        let slow = try TrustedIssuer(issuer: Self.slow, jwksURI: Self.slow + "/keys")
        return try GrantTrust(
            [
                GrantIssuer(partner, trustDomain: try TrustDomain("partner.example")), GrantIssuer(plain),
                GrantIssuer(slow), GrantIssuer(try TrustedIssuer(issuer: absent, jwksURI: absent + "/keys")),
            ], own: own
        ) { issuers throws(IssuerKeyringError) in
            try IssuerKeyring(
                issuers, now: now, observe: { _ in },
                fetch: { request throws(IssuerDocumentError) in
                    guard request.url.string.hasPrefix(Self.slow), let document = try? document(Self.slow) else {
                        throw .timeout
                    }
                    whileFetching.happen()
                    return IssuerDocument(bytes: document)
                })
        }
    }

    private static func document(_ issuer: String) throws -> [UInt8] {
        let key = try #require(keys[issuer])
        var jwk = key.verificationKey.jwk
        jwk.kid = key.keyID
        let document: JSONValue = ["keys": .array([.object(jwk.json())])]
        return document.serializedBytes
    }

    /// A grant, with these claims instead of the usual ones; one of type null is left out.
    static func grant(
        _ changed: [String: JSONValue?] = [:], issuer: String = partner, signedBy signer: String? = nil,
        type: String? = "authorization-grant+jwt", header: [(String, JSONValue)] = [], at time: UnixTime
    ) throws -> String {
        var claims: JSONObject = [
            "iss": .string(issuer), "sub": "spiffe://partner.example/planner",
            "aud": .string(TokenWorld.names.issuer(.standard)), "scope": "task.read task.run",
            "exp": .number(JSONNumber(time.seconds + 120)), "iat": .number(JSONNumber(time.seconds)),
            "jti": .string(Base64URL.encode(TokenWorld.randomBytes(16))),
        ]
        for (name, value) in changed { claims[name] = value }
        let key = try #require(keys[signer ?? issuer])
        return try CompactJWS.sign(
            header: (type.map { [("typ", JSONValue.string($0))] } ?? []) + header, payload: claims.serializedBytes,
            key: key)
    }
}

extension TokenWorld {
    /// B redeems a grant for the resource of C, on which it may act for others.
    func redeem(
        _ assertion: String, by letter: String = "b", _ more: [String: String] = [:], proofs: [String] = []
    ) async throws -> TokenResponse {
        var fields = ["resource": Self.resourceC]
        fields.merge(more) { $1 }
        fields["grant_type"] = TokenRequest.GrantType.jwtBearer.rawValue
        fields["assertion"] = assertion
        return try await token(letter, fields, proofs: proofs)
    }
}

/// The side that takes the grants of another authorization server.
@Suite("Token service: grants of other authorization servers")
struct ForeignGrantTests {
    private static let agentB = "spiffe://example.org/agent-b"

    private static func number(_ value: Int64) -> JSONValue { .number(JSONNumber(value)) }

    @Test("a grant names the subject, the client is the actor, and the token ends with the grant")
    func redeemed() async throws {
        try await TokenWorld.run { world in
            let act: JSONValue = [
                "sub": "spiffe://partner.example/relay", "iss": "spiffe://partner.example", "sub_profile": "ai_agent",
            ]
            let response = try await world.redeem(
                try GrantingServer.grant(
                    ["act": act, "scope": "task.read other", "chain_root": "first", "sub_profile": "ai_agent"],
                    at: world.clock.time))
            #expect(response.use == .bearer && response.expiresIn == 120)
            #expect(response.scope == (try Scope("task.read")))
            let claims = try world.claims(response)
            #expect(try CompactJWS(parsing: response.token.text).header.type == "at+jwt")
            #expect(claims["iss"] == "https://as.example.org/oauth2")
            #expect(claims["sub"] == "spiffe://partner.example/planner")
            #expect(claims["client_id"] == "client-b" && claims["aud"] == "api://agent-c")
            #expect(claims["act"]?.objectValue?["sub"]?.stringValue == Self.agentB)
            #expect(claims["act"]?.objectValue?["act"] == act)
            #expect(claims["chain_root"] == "first")
            // Everything goes on as with tokens of our own.
            try world.grant("c", on: TokenWorld.resourceB, .delegated)
            let next = try await world.exchange(response, by: "c", for: TokenWorld.resourceB)
            #expect(try world.claims(next)["sub"] == "spiffe://partner.example/planner")
            _ = try await world.revocations.revoke(
                .chainRoot("first"), reason: "", latestEnd: world.clock.time + 3600, by: TokenWorld.caller.agent,
                requestID: "r")
            #expect(try await world.isActive(next, asking: "b") == false)
            _ = try await world.revocations.revoke(
                .jwtID("bad"), reason: "", latestEnd: world.clock.time + 3600, by: TokenWorld.caller.agent,
                requestID: "r")
            for claim in ["chain_root": "first", "jti": "bad"] {
                await expectRefusal(.invalidGrant) {
                    try await world.redeem(
                        try GrantingServer.grant([claim.key: .string(claim.value)], at: world.clock.time))
                }
            }
        }
    }

    @Test(
        "no subject of one issuer can be taken for that of another, or for one of ours",
        arguments: [
            (GrantingServer.partner, "spiffe://partner.example/a", "spiffe://partner.example/a"),
            (GrantingServer.partner, "alice", "https://partner.example/oauth2#alice"),
            (GrantingServer.plain, "alice", "https://plain.example#alice"),
            (
                GrantingServer.plain, "https://partner.example/oauth2#alice",
                "https://plain.example#https://partner.example/oauth2#alice"
            ),
            (GrantingServer.partner, "spiffe://example.org/agent-a", nil),
            (GrantingServer.partner, "spiffe://partner.example", nil),
            (GrantingServer.partner, "spiffe://plain.example/a", nil),
            (GrantingServer.partner, "SPIFFE://partner.example/a", nil),
            (GrantingServer.partner, "spiffe://example.org/agent-a/", nil),
            (GrantingServer.plain, "spiffe://plain.example/a", nil),
            (GrantingServer.plain, "spiffe://partner.example/a", nil),
            (GrantingServer.plain, "a\u{0}", nil), (GrantingServer.plain, "a\u{202e}b", nil),
            (GrantingServer.plain, "", nil), (GrantingServer.plain, String(repeating: "a", count: 513), nil),
        ] as [(String, String, String?)])
    func subjects(issuer: String, subject: String, name: String?) async throws {
        try await TokenWorld.run { world in
            let grant = try GrantingServer.grant(["sub": .string(subject)], issuer: issuer, at: world.clock.time)
            guard let name else {
                await expectRefusal(.invalidGrant) { try await world.redeem(grant) }
                return
            }
            #expect(try world.claims(try await world.redeem(grant))["sub"]?.stringValue == name)
        }
    }

    @Test("a grant counts once, for whichever client, and not over a restart")
    func once() async throws {
        try await TokenWorld.run { world in
            try world.grant("a", on: TokenWorld.resourceC, .delegated)
            let grant = try GrantingServer.grant(at: world.clock.time)
            // Whoever is refused uses nothing up.
            await expectRefusal(.invalidScope) { try await world.redeem(grant, ["scope": "task.other"]) }
            _ = try await world.redeem(grant)
            for letter in ["a", "b"] {
                await expectRefusal(.invalidGrant) { try await world.redeem(grant, by: letter) }
            }
            // Another issuer's grant with the same identifier is another one.
            let identified: [String: JSONValue?] = ["jti": "same"]
            _ = try await world.redeem(try GrantingServer.grant(identified, at: world.clock.time))
            _ = try await world.redeem(
                try GrantingServer.grant(
                    ["jti": "same", "sub": "x"], issuer: GrantingServer.plain, at: world.clock.time))
            await expectRefusal(.invalidGrant) {
                try await world.redeem(try GrantingServer.grant(identified, at: world.clock.time))
            }
            // Made before this service was.
            await expectRefusal(.invalidGrant) {
                try await world.redeem(
                    try GrantingServer.grant(["iat": Self.number(TokenWorld.start.seconds - 1)], at: world.clock.time))
            }
        }
    }

    @Test("one grant that comes at once many times makes one token")
    func race() async throws {
        try await TokenWorld.run { world in
            let grant = try GrantingServer.grant(at: world.clock.time)
            let count = await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<8 { group.addTask { (try? await world.redeem(grant)) != nil } }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(count == 1)
        }
    }

    @Test("what is not exactly a grant of a listed issuer for us is refused, and the log says why")
    func refused() async throws {
        try await TokenWorld.run { world in
            let now = world.clock.time.seconds
            let time = world.clock.time
            func grant(_ changed: [String: JSONValue?]) throws -> String { try GrantingServer.grant(changed, at: time) }
            var cases: [(String, String)] = [
                ("another audience", try grant(["aud": "https://elsewhere.example"])),
                ("the token endpoint", try grant(["aud": "https://as.example.org/oauth2/token"])),
                ("the other issuer of ours", try grant(["aud": "https://as.example.org/example.org/v2.0"])),
                ("two audiences", try grant(["aud": ["https://as.example.org/oauth2", "https://x.example"]])),
                ("no audience", try grant(["aud": nil])), ("no subject", try grant(["sub": nil])),
                ("no issuer", try grant(["iss": nil])), ("no identifier", try grant(["jti": nil])),
                ("long identifier", try grant(["jti": .string(String(repeating: "j", count: 257))])),
                ("no scope", try grant(["scope": nil])), ("empty scope", try grant(["scope": ""])),
                ("no end", try grant(["exp": nil])), ("no start", try grant(["iat": nil])),
                ("ended", try grant(["exp": Self.number(now)])),
                ("too long", try grant(["exp": Self.number(now + 301)])),
                ("from the future", try grant(["iat": Self.number(now + 61), "exp": Self.number(now + 120)])),
                ("not yet", try grant(["nbf": Self.number(now + 61)])),
                ("details", try grant(["authorization_details": [["type": "x"]]])),
                ("may_act", try grant(["may_act": ["sub": "x", "iss": "y"]])),
                ("an empty list of resources", try grant(["resource": []])),
                ("unknown confirmation", try grant(["cnf": ["kid": "x"]])),
                ("an actor of ours", try grant(["act": ["sub": "spiffe://example.org/agent-a", "iss": "x"]])),
                ("an actor in our names", try grant(["act": ["sub": "a", "iss": "spiffe://example.org"]])),
                ("an actor of our issuer", try grant(["act": ["sub": "a", "iss": "https://as.example.org/oauth2"]])),
                ("an actor without issuer", try grant(["act": ["sub": "a"]])),
                ("an odd actor", try grant(["act": ["sub": "SPIFFE://x/y", "iss": "x"]])),
                ("another's key", try GrantingServer.grant(signedBy: GrantingServer.plain, at: time)),
                (
                    "a key in the header",
                    try GrantingServer.grant(header: [("jku", "https://evil.example")], at: time)
                ),
                ("an ID-JAG without client", try GrantingServer.grant(type: "oauth-id-jag+jwt", at: time)),
                ("an SVID of our own form", try await world.svid("b", for: "https://elsewhere.example")),
                ("an access token", try await world.token("a", ["resource": TokenWorld.resourceB]).token.text),
                ("garbage", "a.b.c"),
                ("a listed client issuer", try OutsideIssuer.token(type: "authorization-grant+jwt", at: time)),
            ]
            for type in ["at+jwt", "JWT", "Authorization-Grant+JWT", "application/authorization-grant+jwt", nil] {
                cases.append(("type \(type ?? "none")", try GrantingServer.grant(type: type, at: time)))
            }
            for (name, assertion) in cases {
                do {
                    _ = try await world.redeem(assertion)
                    Issue.record("taken: \(name)")
                } catch let error as TokenRefusal {
                    #expect(error.code == .invalidGrant && error.hint == nil, "\(name): \(error.reason)")
                }
            }
            #expect(try await world.events(.accessTokenRefuse).count == cases.count)
            await expectRefusal(.invalidAuthorizationDetails) {
                try await world.redeem(
                    try GrantingServer.grant(at: time), ["authorization_details": #"[{"type":"x"}]"#])
            }
        }
    }

    @Test("an issuer whose keys cannot be had now is nobody's fault")
    func away() async throws {
        try await TokenWorld.run { world in
            let text = try GrantingServer.grant(
                issuer: GrantingServer.absent, signedBy: GrantingServer.plain, at: world.clock.time)
            await expectRefusal(.temporarilyUnavailable) { try await world.redeem(text) }
        }
    }

    @Test("scope, resource and grants of the client bound what comes of it")
    func bounds() async throws {
        try await TokenWorld.run { world in
            func grant(_ changed: [String: JSONValue?] = [:]) throws -> String {
                try GrantingServer.grant(changed, at: world.clock.time)
            }
            await expectRefusal(.invalidScope) {
                try await world.redeem(try grant(["scope": "task.read"]), ["scope": "task.run"])
            }
            await expectRefusal(.invalidScope) { try await world.redeem(try grant(["scope": "other"])) }
            await expectRefusal(.invalidTarget) {
                try await world.redeem(try grant(["resource": "api://elsewhere"]))
            }
            _ = try await world.redeem(try grant(["resource": ["api://elsewhere", "api://agent-c"]]))
            // C has no grant at all, A one for its own calls.
            await expectRefusal(.invalidTarget) { try await world.redeem(try grant(), by: "c") }
            await expectRefusal(.actorUnauthorized) {
                try await world.redeem(try grant(), by: "a", ["resource": TokenWorld.resourceB])
            }
        }
    }

    @Test("a chain that would be deeper than the limit is refused, not cut")
    func depth() async throws {
        try await TokenWorld.run { world in
            func chain(_ depth: Int) -> JSONValue {
                var chain: JSONValue?
                for number in 0..<depth {
                    var actor: JSONObject = ["sub": .string("actor-\(number)"), "iss": "https://x.example"]
                    actor["act"] = chain
                    chain = .object(actor)
                }
                return chain ?? [:]
            }
            let good = try await world.redeem(try GrantingServer.grant(["act": chain(3)], at: world.clock.time))
            var count = 0
            var next = try world.claims(good)["act"]?.objectValue
            while let actor = next {
                count += 1
                next = actor["act"]?.objectValue
            }
            #expect(count == 4)
            for depth in [4, 16] {
                await expectRefusal(.actorUnauthorized) {
                    try await world.redeem(try GrantingServer.grant(["act": chain(depth)], at: world.clock.time))
                }
            }
            await expectRefusal(.invalidGrant) {
                try await world.redeem(try GrantingServer.grant(["act": chain(17)], at: world.clock.time))
            }
        }
    }

    @Test("a grant that names its client is for that client alone")
    func client() async throws {
        try await TokenWorld.run { world in
            try world.grant("a", on: TokenWorld.resourceC, .delegated)
            for (type, clientID) in [
                ("oauth-id-jag+jwt", "client-b"), ("oauth-id-jag+jwt", Self.agentB),
                ("authorization-grant+jwt", "client-b"),
            ] {
                func grant() throws -> String {
                    try GrantingServer.grant(["client_id": .string(clientID)], type: type, at: world.clock.time)
                }
                await expectRefusal(.invalidGrant) { try await world.redeem(try grant(), by: "a") }
                _ = try await world.redeem(try grant())
            }
        }
    }

    @Test("the SPIFFE ID under which the other server knows a client counts where the client has proved it")
    func federatedClient() async throws {
        try await TokenWorld.run { world in
            let there = "spiffe://partner.example/b"
            for (name, subject) in [("there", there), ("elsewhere", "spiffe://plain.example/b")] {
                let credential = try FederatedCredential(
                    name: AgentName(name), issuer: OutsideIssuer.url("ci"), subject: .exactly(subject))
                world.change("b") { $0.federatedCredentials.append(credential) }
            }
            func redeem(_ clientID: String, provingToBe subject: String) async throws -> TokenResponse {
                try await world.service.token(
                    world.call([
                        "grant_type": TokenRequest.GrantType.jwtBearer.rawValue, "resource": TokenWorld.resourceC,
                        "assertion": try GrantingServer.grant(
                            ["client_id": .string(clientID)], type: "oauth-id-jag+jwt", at: world.clock.time),
                        "client_id": "client-b",
                        "client_assertion_type": ClientAuthentication.AssertionType.jwtBearer.rawValue,
                        "client_assertion": try OutsideIssuer.token(
                            "ci", ["sub": .string(subject)], at: world.clock.time),
                    ]))
            }
            _ = try await redeem(there, provingToBe: there)
            await expectRefusal(.invalidGrant) {
                try await redeem(there, provingToBe: "spiffe://plain.example/b")
            }
            // Not of the trust domain that the issuer speaks for.
            await expectRefusal(.invalidGrant) {
                try await redeem("spiffe://plain.example/b", provingToBe: "spiffe://plain.example/b")
            }
            await expectRefusal(.invalidGrant) {
                try await world.redeem(
                    try GrantingServer.grant(
                        ["client_id": .string(there)], type: "oauth-id-jag+jwt", at: world.clock.time))
            }
        }
    }

    @Test("a grant that is bound to a key wants a proof of it, and the token is bound to it too")
    func bound() async throws {
        try await TokenWorld.run { world in
            let (key, other) = (
                JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "k"),
                JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "o")
            )
            let confirmation = Confirmation(proofKey: key.verificationKey.jwk).json
            let grant = try GrantingServer.grant(["cnf": .object(confirmation)], at: world.clock.time)
            func proof(_ key: JWSSigningKey, _ id: String) throws -> String {
                try DPoPProof.sign(
                    method: "POST", url: WebURL(TokenWorld.names.tokenEndpoint(.standard)), tokenID: id,
                    issuedAt: world.clock.time.seconds, key: key, nonce: world.service.proofNonce)
            }
            await expectRefusal(.invalidGrant) { try await world.redeem(grant) }
            await expectRefusal(.invalidGrant) { try await world.redeem(grant, proofs: [try proof(other, "1")]) }
            let response = try await world.redeem(grant, proofs: [try proof(key, "2")])
            #expect(response.use == .dpop)
            #expect(try world.claims(response)["cnf"]?.objectValue == confirmation)
        }
    }

    @Test("a client that was disabled while the issuer's keys were fetched gets nothing, and the grant is not used up")
    func disabledMeanwhile() async throws {
        try await TokenWorld.run { world in
            let grant = try GrantingServer.grant(["sub": "x"], issuer: GrantingServer.slow, at: world.clock.time)
            world.whileFetching.set { world.change("b") { $0.state = .disabled } }
            await expectRefusal(.temporarilyUnavailable) { try await world.redeem(grant) }
            await expectRefusal(.invalidClient) { try await world.redeem(grant) }
            world.change("b") { $0.state = .enabled }
            _ = try await world.redeem(grant)
        }
    }

    @Test("nobody is let speak for our own trust domain, nor two for one")
    func lists() throws {
        let own = try TrustDomain("example.org")
        let other = try TrustDomain("other.example")
        func trust(_ issuers: [(String, TrustDomain?)]) -> GrantTrustError? {
            do throws(GrantTrustError) {
                let issuers = issuers.compactMap { name, trustDomain in
                    (try? TrustedIssuer(issuer: name)).map { GrantIssuer($0, trustDomain: trustDomain) }
                }
                _ = try GrantTrust(issuers, own: own) { issuers throws(IssuerKeyringError) in
                    try IssuerKeyring(
                        issuers, now: { TokenWorld.start }, observe: { _ in },
                        fetch: { _ throws(IssuerDocumentError) in throw .timeout })
                }
                return nil
            } catch {
                return error
            }
        }
        #expect(trust([("https://a.example", other), ("https://b.example", nil)]) == nil)
        #expect(trust([("https://a.example", own)]) == .ownTrustDomain("https://a.example"))
        #expect(trust([("https://a.example", other), ("https://b.example", other)]) == .trustDomainTaken(other))
        #expect(
            trust([("https://a.example", nil), ("https://a.example", nil)]) == .keyring(.twice("https://a.example")))
    }
}
