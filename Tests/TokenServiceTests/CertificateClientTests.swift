import AgentDirectory
import AuditTrail
import Crypto
import JOSE
import OAuth
import Revocation
import SPIFFE
import TestPKI
import Testing
import TokenService
import X509

@Suite("Token service: clients with certificates that are no SVIDs")
struct CertificateClientTests {
    let pki = TestPKI(now: TokenWorld.start)

    private func register(_ world: TokenWorld, _ letter: String, _ proof: ClientCredential.Proof, until: Int64? = nil) {
        world.change(letter) {
            $0.clientCredentials.append(
                ClientCredential(
                    id: "certificate", proof: proof, createdAt: TokenWorld.start,
                    expiresAt: until.map { TokenWorld.start + $0 }))
        }
    }

    private func digest(_ holder: TestPKI.Holder) throws -> [UInt8] { Array(SHA256.hash(data: try holder.der)) }

    private func call(
        _ world: TokenWorld, _ certificate: PresentedCertificate, as client: String = "client-a",
        _ more: [String: String] = [:]
    ) throws -> TokenCall {
        try world.call(["client_id": client].merging(more) { $1 }, presented: certificate)
    }

    @Test("a registered certificate gets a token that is bound to it and ends with it")
    func selfSigned() async throws {
        try await TokenWorld.run { world in
            let holder = try pki.make(.client { $0.until = 300 })
            register(world, "a", .selfSignedCertificate(digest: try digest(holder)))
            let response = try await world.service.token(call(world, presented(holder)))
            let claims = try world.claims(response)
            #expect(claims["cnf"] == ["x5t#S256": .string(Base64URL.encode(try digest(holder)))])
            #expect(claims["exp"]?.int64Value == TokenWorld.start.seconds + 300)
            #expect(claims["sub"] == "spiffe://example.org/agent-a")
            let byName = try await world.service.token(
                call(world, presented(holder), as: "spiffe://example.org/agent-a"))
            #expect(try world.claims(byName)["client_id"] == "client-a")
            let intents = try await world.events(.accessTokenIssue)
            #expect(intents.first?.contains("\"certificate\"") == true)
        }
    }

    @Test(
        "a registered name counts where an authority vouches for it",
        arguments: [
            (ClientCredential.Proof.certificateName(.dns("a.example.org")), GeneralName.dnsName("A.example.org")),
            (.certificateName(.uri("urn:agent:a")), .uniformResourceIdentifier("urn:agent:a")),
        ])
    func named(proof: ClientCredential.Proof, name: GeneralName) async throws {
        try await TokenWorld.run { world in
            let root = try pki.make(.authority("root"))
            let holder = try pki.make(.client { $0.names = [.dnsName("first.example"), name] }, by: root)
            register(world, "a", proof)
            let request = try call(world, presented(holder))
            await expectRefusal(.invalidClient) { try await world.service.token(request) }
            // The authority ends before the certificate does.
            try world.vouchedFor.add(presented(holder), until: TokenWorld.start + 200)
            let claims = try world.claims(try await world.service.token(request))
            #expect(claims["exp"]?.int64Value == TokenWorld.start.seconds + 200)
            #expect(claims["cnf"] == ["x5t#S256": .string(Base64URL.encode(try digest(holder)))])
        }
    }

    @Test("with a proof the token is bound to that key, and still ends with the certificate")
    func withProof() async throws {
        try await TokenWorld.run { world in
            let holder = try pki.make(.client { $0.until = 300 })
            register(world, "a", .selfSignedCertificate(digest: try digest(holder)))
            let key = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "k")
            let proof = try DPoPProof.sign(
                method: "POST", url: WebURL(TokenWorld.names.tokenEndpoint(.standard)), tokenID: "p",
                issuedAt: world.clock.time.seconds, key: key, nonce: world.service.proofNonce)
            let response = try await world.service.token(
                world.call(["client_id": "client-a"], proofs: [proof], presented: presented(holder)))
            #expect(response.use == .dpop && response.expiresIn == 300)
        }
    }

    @Test("every way to fail looks the same from outside")
    func nearMisses() async throws {
        try await TokenWorld.run { world in
            let root = try pki.make(.authority("root"))
            let own = try pki.make(.client())
            let sameSubject = try pki.make(.client())
            let early = try pki.make(.client { $0.from = 60 })
            let named = try pki.make(.client { $0.names = [.dnsName("named.example.org")] }, by: root)
            let wrongName = try pki.make(.client { $0.names = [.dnsName("other.example.org")] }, by: root)
            let wildcard = try pki.make(.client { $0.names = [.dnsName("*.example.org")] }, by: root)
            let nameless = try pki.make(.client { $0.names = [] }, by: root)
            let ended = try pki.make(.client { $0.subject = "ended" })
            for holder in [own, early] { register(world, "a", .selfSignedCertificate(digest: try digest(holder))) }
            register(world, "a", .selfSignedCertificate(digest: try digest(ended)), until: 0)
            register(world, "a", .certificateName(.dns("named.example.org")))
            register(world, "b", .selfSignedCertificate(digest: try digest(sameSubject)))
            for holder in [wrongName, wildcard, nameless] {
                try world.vouchedFor.add(presented(holder), until: TokenWorld.start + 3600)
            }
            var calls: [(String, TokenCall)] = [
                ("another key", try call(world, presented(sameSubject))),
                ("another client's", try call(world, presented(own), as: "client-b")),
                ("no client", try call(world, presented(own), as: "nobody")),
                ("no client ID", try world.call([:], presented: presented(own))),
                ("not yet valid", try call(world, presented(early))),
                ("a credential that has ended", try call(world, presented(ended))),
                ("nobody vouches", try call(world, presented(named))),
                ("another name", try call(world, presented(wrongName))),
                ("a wildcard", try call(world, presented(wildcard))),
                ("no name", try call(world, presented(nameless))),
                (
                    "an SVID's ID from an authority outside",
                    try world.call(["client_id": "spiffe://example.org/agent-b"], presented: presented(named))
                ),
            ]
            try world.vouchedFor.add(presented(named), until: TokenWorld.start + 3600)
            calls.removeAll { $0.0 == "nobody vouches" }
            _ = try await world.service.token(call(world, presented(named)))
            let good = try call(world, presented(own))
            _ = try await world.service.token(good)
            for (name, call) in calls { await expectSilence(name) { try await world.service.token(call) } }
            world.change("a") { $0.state = .disabled }
            await expectSilence("disabled") { try await world.service.token(good) }
            world.change("a") { $0.state = .enabled }
            world.clock.advance(seconds: 3601)
            await expectSilence("expired") { try await world.service.token(good) }
        }
    }

    private func expectSilence(_ name: String, _ body: () async throws -> TokenResponse) async {
        do {
            _ = try await body()
            Issue.record("\(name): not refused")
        } catch let error as TokenRefusal {
            #expect(error.error == OAuthError(.invalidClient), "\(name)")
        } catch {
            Issue.record(error)
        }
    }

    @Test("a revoked key and a revoked agent authenticate nobody")
    func revoked() async throws {
        try await TokenWorld.run { world in
            let holder = try pki.make(.client())
            register(world, "a", .selfSignedCertificate(digest: try digest(holder)))
            let request = try call(world, presented(holder))
            _ = try await world.service.token(request)
            let thumbprint = try #require(presented(holder).leaf.publicKey.thumbprint)
            _ = try await world.revocations.revoke(
                .key(thumbprint), reason: "", latestEnd: world.clock.time + 3600, by: TokenWorld.caller.agent,
                requestID: "r")
            await expectSilence("revoked key") { try await world.service.token(request) }
            let other = try pki.make(.client())
            register(world, "b", .selfSignedCertificate(digest: try digest(other)))
            world.directory.change { directory in
                guard let grant = directory.grants(ofAgent: "client-a").first else { return }
                directory.put(
                    AgentGrant(
                        id: "grant-b-b", agentID: "client-b", resourceID: grant.resourceID, scopes: grant.scopes,
                        createdAt: TokenWorld.start))
            }
            let second = try call(world, presented(other), as: "client-b", ["resource": TokenWorld.resourceB])
            _ = try await world.service.token(second)
            _ = try await world.revocations.revoke(
                .agent(world.agent("b").spiffeID), reason: "", latestEnd: world.clock.time + 3600,
                by: TokenWorld.caller.agent, requestID: "r")
            await expectSilence("revoked agent") { try await world.service.token(second) }
        }
    }

    @Test("a blueprint allows each of the two kinds, or not")
    func blueprint() async throws {
        try await TokenWorld.run { world in
            let holder = try pki.make(.client())
            for (kinds, isAllowed) in [
                ([CredentialKind.selfSignedCertificate], true), ([.certificate, .x509SVID], false),
            ] {
                world.directory.change { directory in
                    guard let name = try? AgentName("bp"), let sponsor = try? Person("sam"),
                        let scopes = try? Scope("task.run")
                    else { return }
                    directory.put(
                        AgentBlueprint(
                            id: "bp", name: name, allowedScopes: scopes, allowedAudiences: [TokenWorld.resourceB],
                            credentialKinds: Set(kinds), maximumTokenLifetime: 120, sponsor: sponsor,
                            createdAt: TokenWorld.start))
                }
                let old = world.agent("a")
                let agent = AgentIdentity(
                    id: old.id, name: old.name, spiffeID: old.spiffeID, blueprintID: "bp", owner: old.owner,
                    sponsor: old.sponsor, createdAt: old.createdAt,
                    clientCredentials: [
                        ClientCredential(
                            id: "c", proof: .selfSignedCertificate(digest: try digest(holder)),
                            createdAt: TokenWorld.start)
                    ])
                world.directory.change { $0.put(agent) }
                let request = try call(world, presented(holder))
                if isAllowed {
                    #expect(try await world.service.token(request).expiresIn == 120)
                } else {
                    await expectRefusal(.unauthorizedClient) { try await world.service.token(request) }
                }
            }
        }
    }

    @Test("beside another credential a certificate binds the token, for as long as it is valid")
    func bindsBesideASecret() async throws {
        try await TokenWorld.run { world in
            let holder = try pki.make(.client { $0.until = 300 })
            register(world, "a", .secret(digest: SecretText(TokenWorld.secret).digest))
            let request = try call(world, presented(holder), ["client_secret": TokenWorld.secret])
            let claims = try world.claims(try await world.service.token(request))
            #expect(claims["cnf"] == ["x5t#S256": .string(Base64URL.encode(try digest(holder)))])
            #expect(claims["exp"]?.int64Value == TokenWorld.start.seconds + 300)
            world.clock.advance(seconds: 301)
            await expectRefusal(.invalidRequest) { try await world.service.token(request) }
        }
    }
}
