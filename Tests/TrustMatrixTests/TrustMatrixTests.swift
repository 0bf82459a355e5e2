import A2A
import Crypto
import JOSE
import OAuth
import Revocation
import SPIFFE
import Testing

/// One valid object of each kind, offered to every verifier: who takes what is written down, and is all.
@Suite("Trust matrix")
struct TrustMatrixTests {
    private func expect(
        _ verifiers: Verifiers, on world: SignedWorld, take expected: (SignedKind) -> Set<VerifierKind>
    ) throws {
        for kind in SignedKind.allCases {
            let object = try #require(world.objects[kind], "\(kind)")
            #expect(verifiers.takers(of: object) == expected(kind), "\(kind)")
        }
    }

    /// What is taken without any trust in who made it.
    private func withoutTrust(_ kind: SignedKind) -> Set<VerifierKind> { kind.takers.filter(\.isWithoutTrust) }

    @Test("each kind is taken by its own verifiers and by no other", arguments: SignedWorld.Root.allCases)
    func own(root: SignedWorld.Root) async throws {
        let world = try await SignedWorld.make("example.org", root: root)
        try expect(Verifiers(of: world), on: world, take: \.takers)
    }

    @Test("nothing of a trust domain whose bundle is not there is taken", arguments: SignedWorld.Root.allCases)
    func strangers(root: SignedWorld.Root) async throws {
        let world = try await SignedWorld.make("example.org")
        let stranger = try await SignedWorld.make("other.org", root: root)
        try expect(Verifiers(of: world), on: stranger, take: withoutTrust)
    }

    @Test("nothing is taken of whoever has our name and other keys", arguments: SignedWorld.Root.allCases)
    func impostors(root: SignedWorld.Root) async throws {
        let world = try await SignedWorld.make("example.org", root: root)
        let impostor = try await SignedWorld.make("example.org", root: root)
        try expect(Verifiers(of: world), on: impostor, take: withoutTrust)
    }

    @Test("of a federated trust domain identities are taken, and nothing that speaks for our own")
    func federated() async throws {
        let world = try await SignedWorld.make("example.org")
        let partner = try await SignedWorld.make("other.org", root: .upstream)
        try expect(Verifiers(of: world, knowing: [partner.bundle]), on: partner) {
            $0.takersOfFederated.union(withoutTrust($0))
        }
    }

    @Test("a federated trust domain's keys do not speak in our name")
    func partnersAsImpostors() async throws {
        let world = try await SignedWorld.make("example.org")
        let impostor = try await SignedWorld.make("example.org")
        let claimed = TrustBundle(
            trustDomain: try TrustDomain("other.org"), x509Authorities: impostor.bundle.x509Authorities,
            jwtAuthorities: impostor.bundle.jwtAuthorities, witAuthorities: impostor.bundle.witAuthorities)
        try expect(Verifiers(of: world, knowing: [claimed]), on: impostor, take: withoutTrust)
    }

    private func token(
        _ form: TokenForm, _ world: SignedWorld, key: JWSSigningKey, chain: [[UInt8]]
    ) throws -> Offered {
        let id = try SPIFFEID(trustDomain: world.trustDomain, path: "/agents/refund")
        let start = SignedWorld.now
        switch form {
        case .jwtSVID:
            let token = try JWTSVID.sign(
                id: id, audience: [SignedWorld.audience], issuedAt: start, expiresAt: start + 60, key: key)
            return Offered(Array(token.utf8))
        case .witSVID:
            let token = try WITSVID.sign(
                id: id, confirmationKey: JWSVerificationKey(p256: P256.Signing.PrivateKey().publicKey, keyID: nil),
                issuedAt: start, expiresAt: start + 60, key: key)
            return Offered(Array(token.utf8))
        case .revocationSnapshot:
            let snapshot = try RevocationSnapshot(
                trustDomain: world.trustDomain, sequence: 1, issuedAt: start, expiresAt: start + 60, subjects: [])
            return Offered(try SignedRevocations.sign(snapshot, key: key, chain: chain))
        case .accessToken:
            return Offered(try SignedWorld.accessToken(issuer: world.tokenIssuer, subject: id.string, key: key))
        case .transactionChallenge:
            return Offered(try SignedWorld.transactionChallenge(world.trustDomain, key: key, chain: chain))
        case .agentCard:
            return Offered(
                try SignableCard(SignedWorld.card(of: id)).signed(by: key, keySetURL: nil).jsonBytes)
        case .blueprintAssertion:
            return Offered(
                try SignedWorld.blueprintAssertion(world.trustDomain, subject: id.string, key: key))
        case .transactionToken:
            return Offered(try SignedWorld.transactionToken(world.trustDomain, subject: id.string, key: key))
        case .chainingGrant:
            return Offered(try SignedWorld.grant(.chaining, world.trustDomain, subject: id.string, key: key))
        case .identityAssertionGrant:
            return Offered(try SignedWorld.grant(.identityAssertion, world.trustDomain, subject: id.string, key: key))
        }
    }

    /// The private half stays where it is: the same key under another name.
    private func keys(_ world: SignedWorld, _ purpose: KeyPurpose) throws -> JWSSigningKey {
        try #require(world.keys[purpose])
    }

    @Test("no verifier tries a key of another purpose", arguments: TokenForm.allCases, KeyPurpose.allCases)
    func purposes(form: TokenForm, purpose: KeyPurpose) async throws {
        let world = try await SignedWorld.make("example.org")
        // The chain that the key has: the signer's of snapshots, or that of a workload.
        let chain =
            purpose == .revocationSigner
            ? world.revocationChain : try #require(world.objects[.workloadSVID]?.chain)
        let object = try token(form, world, key: keys(world, purpose), chain: chain)
        let expected: Set<VerifierKind> = purpose == form.purpose ? [form.taker] : []
        #expect(Verifiers(of: world).takers(of: object) == expected)
        // And with a chain that is right for a snapshot, whose key has not signed.
        guard form == .revocationSnapshot, purpose != .revocationSigner else { return }
        let borrowed = try token(form, world, key: keys(world, purpose), chain: world.revocationChain)
        #expect(Verifiers(of: world).takers(of: borrowed) == [])
    }

    /// Without challenges, which are judged by the name in their signer's certificate, whatever list its key is in.
    @Test(
        "kinds of tokens keep apart even where one key is in every list",
        arguments: TokenForm.allCases.filter { $0 != .transactionChallenge })
    func oneKey(form: TokenForm) async throws {
        let world = try await SignedWorld.make("example.org")
        let key = try keys(world, .revocationSigner)
        var bundle = world.bundle
        bundle.jwtAuthorities = [try JWTAuthority(keyID: key.keyID, publicKey: key.verificationKey)]
        bundle.witAuthorities = [
            try WITAuthority(keyID: key.keyID, derSPKI: key.verificationKey.derSPKI)
        ]
        let object = try token(form, world, key: key, chain: world.revocationChain)
        var mixed = world.with(bundle)
        mixed.accessTokenKeys = [key.verificationKey]
        mixed.cardKeys = [key.verificationKey]
        #expect(Verifiers(of: mixed).takers(of: object) == [form.taker])
    }

    @Test("each published set holds the keys of its one purpose", arguments: SignedWorld.Root.allCases)
    func published(root: SignedWorld.Root) async throws {
        let world = try await SignedWorld.make("example.org", root: root)
        func keys(_ purposes: KeyPurpose...) throws -> Set<[UInt8]> {
            Set(try purposes.map { try self.keys(world, $0).verificationKey.derSPKI })
        }
        func keys(_ jwks: [UInt8]) throws -> Set<[UInt8]> {
            Set(try JWKSet(parsing: jwks).keys.map { try JWSVerificationKey(jwk: $0).derSPKI })
        }
        #expect(try keys(world.bundle.jwtJWKS()) == keys(.jwt))
        #expect(try keys(world.bundle.witJWKS()) == keys(.wit))
        #expect(Set(try world.oidcKeys.map { try JWSVerificationKey(jwk: $0).derSPKI }) == (try keys(.jwt)))
        #expect(Set(world.accessTokenKeys.map(\.derSPKI)) == (try keys(.accessToken)))
        #expect(Set(world.cardKeys.map(\.derSPKI)) == (try keys(.card)))
        let document = try TrustBundle(
            parsingSPIFFEJSON: world.bundle.spiffeJSON(), trustDomain: world.trustDomain)
        #expect(Set(document.jwtAuthorities.map(\.derSPKI)) == (try keys(.jwt)))
        #expect(Set(document.witAuthorities.map(\.publicKey.derSPKI)) == (try keys(.wit)))
        let roots = Set(document.x509Authorities.map(\.certificate.publicKey.derSPKI))
        #expect(roots == [try SubjectPublicKey(#require(world.objects[.root]?.key).publicKey).derSPKI])
        #expect((root == .own) == (roots == (try keys(.x509Authority))))
    }
}
