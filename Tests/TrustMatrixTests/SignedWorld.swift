import A2A
import AgentShieldTesting
import Attestation
import AuditTrail
import Crypto
import Issuance
import JOSE
import OAuth
import Registry
import Revocation
import SPIFFE
import TokenService
import TransparencyLog
import WIMSE

@testable import ControlPlane

/// Something signed, as bytes on their way to a verifier.
struct Offered: Sendable {
    /// Certificates in their order; for everything else one item with all the bytes.
    let chain: [[UInt8]]
    /// The private key of whom it names, or that has signed it: what a thief of it could sign on with.
    var key: P256.Signing.PrivateKey?
    /// Whether `chain` holds certificates.
    var isCertificate = false

    var bytes: [UInt8] { chain.first ?? [] }
    var text: String { String(decoding: bytes, as: UTF8.self) }

    init(_ bytes: [UInt8], key: P256.Signing.PrivateKey? = nil) {
        chain = [bytes]
        self.key = key
    }

    init(certificates: [[UInt8]], key: P256.Signing.PrivateKey?) {
        chain = certificates
        self.key = key
        isCertificate = true
    }
}

/// A trust domain with everything that it signs, made by the code that makes it in the product.
struct SignedWorld: Sendable {
    /// Who signs the authority for X.509-SVIDs.
    enum Root: CaseIterable, Sendable {
        case own, upstream
    }

    let trustDomain: TrustDomain
    var bundle: TrustBundle
    let objects: [SignedKind: Offered]
    /// The private keys that tokens could be signed with, each of one purpose.
    let keys: [KeyPurpose: JWSSigningKey]
    /// The chain of the key that signs revocation snapshots.
    let revocationChain: [[UInt8]]
    let oidcKeys: [JWK]
    let logKey: NoteVerifier
    let origin: String
    /// The entry that the proof is about.
    let leaf: [UInt8]
    /// The node that was asked to prove its key, and what it was asked.
    let candidate: X509PoPVerifier.Candidate
    let challenge: X509PoPChallenge
    /// Those of the issuer of access tokens.
    var accessTokenKeys: [JWSVerificationKey]
    /// Those that verify agent cards.
    var cardKeys: [JWSVerificationKey]

    /// The issuer of access tokens.
    var tokenIssuer: String { Self.tokenIssuer(trustDomain) }

    static let audience = "spiffe://example.org/receiver"
    static let now = UnixTime(seconds: 1_900_000_000)
    static let clock: Clock = { now }
    static let randomBytes: RandomBytes = { count in (0..<count).map { _ in UInt8.random(in: .min ... .max) } }

    static func make(_ name: String, root: Root = .own) async throws -> SignedWorld {
        let trustDomain = try TrustDomain(name)
        let origin = "\(name)/log"
        let log = try await AuditLog.open(
            store: MemoryAuditStore(),
            signer: try NoteSigner(name: origin, privateKey: Curve25519.Signing.PrivateKey()), origin: origin,
            now: clock, randomBytes: randomBytes)
        let running = Task { try await log.run() }
        do {
            let world = try await make(trustDomain, root, log, origin)
            log.stop()
            try await running.value
            return world
        } catch {
            log.stop()
            try await running.value
            throw error
        }
    }

    private static func make(
        _ trustDomain: TrustDomain, _ root: Root, _ log: AuditLog, _ origin: String
    ) async throws -> SignedWorld {
        let keyStore = MemoryKeyStore(randomBytes: randomBytes)
        let upstream = root == .upstream ? try UpstreamFiles(trustDomain) : nil
        let authorities = try await Authorities.open(
            trustDomain: trustDomain, keyStore: keyStore, store: InMemoryAuthorityStore(), audit: log,
            upstream: upstream?.authority, now: clock, randomBytes: randomBytes)
        let register = try await RevocationRegister.open(
            trustDomain: trustDomain, store: InMemoryRevocationStore(), audit: log, now: clock,
            randomBytes: randomBytes)
        let issuer = Issuer(
            authorities: authorities, audit: log, revocations: register, now: clock, randomBytes: randomBytes)
        let caller = IssuanceCaller(agent: AuditEvent.AgentField(authMethod: .unixSocket), requestID: "r")
        func request(_ key: P256.Signing.PrivateKey, uri: String? = nil) throws -> CertificateSigningRequest {
            try CertificateSigningRequest(parsing: CSRBuilder.make(privateKey: key, uri: uri))
        }
        func signingKey(_ kind: AuthorityRecord.Kind) async throws -> (P256.Signing.PrivateKey, AuthorityRecord) {
            guard let record = authorities.records.first(where: { $0.kind == kind && $0.status == .active }),
                let id = record.keyID, case .p256(let key)? = try await keyStore.load(id, .p256)
            else { throw Missing() }
            return (key, record)
        }
        var objects: [SignedKind: Offered] = [:]
        var keys: [KeyPurpose: JWSSigningKey] = [:]

        let workload = P256.Signing.PrivateKey()
        let entry = try entry(trustDomain, isDownstream: true)
        objects[.workloadSVID] = Offered(
            certificates: try await issuer.issueX509SVID(for: caller, entry: entry, csr: request(workload)).chain,
            key: workload)
        keys[.workload] = JWSSigningKey(p256: workload, keyID: "workload")

        let node = P256.Signing.PrivateKey()
        let nodeID = try SPIFFEID(trustDomain: trustDomain, path: "/spire/agent/join_token/t")
        objects[.nodeSVID] = Offered(
            certificates: try await issuer.issueNodeSVID(for: caller, id: nodeID, csr: request(node)).chain, key: node)

        let server = P256.Signing.PrivateKey()
        objects[.serverSVID] = Offered(
            certificates: try await issuer.issueServerSVID(
                publicKey: SubjectPublicKey(server.publicKey), requestID: "r"
            ).chain, key: server)

        let revocation = P256.Signing.PrivateKey()
        let revocationChain = try await issuer.issueRevocationSigner(
            publicKey: SubjectPublicKey(revocation.publicKey), requestID: "r"
        ).chain
        objects[.revocationSignerSVID] = Offered(certificates: revocationChain, key: revocation)
        keys[.revocationSigner] = JWSSigningKey(p256: revocation, keyID: "revocation")

        let (authorityKey, authorityRecord) = try await signingKey(.x509)
        objects[.authority] = Offered(certificates: [authorityRecord.certificate ?? []], key: authorityKey)
        objects[.root] = Offered(
            certificates: [authorities.bundle.x509Authorities[0].der], key: upstream?.key ?? authorityKey)
        keys[.x509Authority] = JWSSigningKey(p256: authorityKey, keyID: authorityRecord.id)

        let downstream = P256.Signing.PrivateKey()
        objects[.downstreamCA] = Offered(
            certificates: try await issuer.issueDownstreamCA(
                for: caller, entry: entry, csr: request(downstream, uri: trustDomain.idString)
            ).chain, key: downstream)

        let (jwtKey, jwtRecord) = try await signingKey(.jwt)
        let jwt = try await issuer.issueJWTSVID(for: caller, entry: entry, audience: [audience])
        objects[.jwtSVID] = Offered(Array(jwt.token.utf8), key: jwtKey)
        keys[.jwt] = JWSSigningKey(p256: jwtKey, keyID: jwtRecord.id)

        let (witKey, witRecord) = try await signingKey(.wit)
        let wit = try await issuer.issueWITSVID(
            for: caller, entry: entry, publicKey: SubjectPublicKey(workload.publicKey).derSPKI)
        objects[.witSVID] = Offered(Array(wit.token.utf8), key: witKey)
        keys[.wit] = JWSSigningKey(p256: witKey, keyID: witRecord.id)

        // With something in it, so that there are CRLs as well.
        _ = try await register.revoke(
            .serial(SerialNumber([7])), reason: "", latestEnd: now + 60,
            by: AuditEvent.AgentField(authMethod: .unixSocket), requestID: "r")
        let published = try await RevocationPublisher(
            register: register, issuer: issuer, audit: log, now: clock, randomBytes: randomBytes
        ).current()
        objects[.revocationSnapshot] = Offered(published.token, key: revocation)
        objects[.revocationList] = Offered(published.revocationLists[0])
        objects[.certificateRequest] = Offered(
            try CSRBuilder.make(privateKey: workload, uri: entry.spiffeID.string), key: workload)

        let proof = try await log.proof(index: 0)
        objects[.checkpoint] = Offered(log.checkpoint().bytes)
        objects[.logProof] = Offered(proof.serialize())
        let leaf = try await log.entries(from: 0, count: 1)[0].leaf
        objects[.bundleDocument] = Offered(authorities.bundle.spiffeJSON())

        let popped = try ProvenNode(trustDomain)
        objects[.x509popResponse] = Offered(popped.response.bytes, key: popped.key)

        let (tokens, tokenRecord) = try await signingKey(.oauth)
        let tokenKey = JWSSigningKey(p256: tokens, keyID: tokenRecord.id)
        keys[.accessToken] = tokenKey
        objects[.accessToken] = Offered(
            try accessToken(issuer: tokenIssuer(trustDomain), subject: entry.spiffeID.string, key: tokenKey),
            key: tokens)
        objects[.blueprintAssertion] = Offered(
            try blueprintAssertion(trustDomain, subject: entry.spiffeID.string, key: tokenKey), key: tokens)
        objects[.transactionChallenge] = Offered(
            try transactionChallenge(
                trustDomain, key: JWSSigningKey(p256: workload, keyID: "workload"),
                chain: objects[.workloadSVID]?.chain ?? []), key: workload)
        objects[.transactionToken] = Offered(
            try transactionToken(trustDomain, subject: entry.spiffeID.string, key: tokenKey), key: tokens)
        for (kind, profile) in [
            (SignedKind.chainingGrant, AuthorizationGrant.Profile.chaining),
            (.identityAssertionGrant, .identityAssertion),
        ] {
            objects[kind] = Offered(
                try grant(profile, trustDomain, subject: entry.spiffeID.string, key: tokenKey), key: tokens)
        }
        let (cardKey, cardRecord) = try await signingKey(.card)
        keys[.card] = JWSSigningKey(p256: cardKey, keyID: cardRecord.id)
        let card = try await issuer.signCard(
            for: caller, card(of: entry.spiffeID), of: entry.spiffeID, entry: entry, isEnabled: true, keySetURL: nil)
        objects[.agentCard] = Offered(card.document.jsonBytes, key: cardKey)
        objects[.dpopProof] = Offered(
            Array(
                try DPoPProof.sign(
                    method: "POST", url: resource(), tokenID: "proof-1", issuedAt: now.seconds,
                    key: JWSSigningKey(p256: workload, keyID: "workload")
                ).utf8), key: workload)
        for (kind, bytes) in try proofs(wit.token, key: JWSSigningKey(p256: workload, keyID: "workload")) {
            objects[kind] = Offered(bytes, key: workload)
        }

        return SignedWorld(
            trustDomain: trustDomain, bundle: authorities.bundle, objects: objects, keys: keys,
            revocationChain: revocationChain, oidcKeys: try oidcKeys(trustDomain, authorities),
            logKey: try NoteVerifier(vkey: log.vkey), origin: origin, leaf: leaf, candidate: popped.candidate,
            challenge: popped.challenge,
            accessTokenKeys: try authorities.oauthKeys.map { try JWSVerificationKey(jwk: $0) },
            cardKeys: try authorities.cardKeys.map { try JWSVerificationKey(jwk: $0) })
    }

    private static func tokenIssuer(_ trustDomain: TrustDomain) -> String { "https://\(trustDomain.name)/oauth2" }

    /// What workloads sign for single messages by the key of their WIT-SVID.
    private static func proofs(_ wit: String, key: JWSSigningKey) throws -> [SignedKind: [UInt8]] {
        let (request, response) = (request(showing: wit), response(showing: wit))
        let end = now.seconds + 60
        let token = try WorkloadProofToken.sign(
            request.fields, .init(audience: audience, expiresAt: end, tokenID: "proof-2"), key: key)
        func lines(_ fields: SignatureFields) -> [UInt8] { Array("\(fields.input)\n\(fields.signature)".utf8) }
        return [
            .proofToken: Array(token.utf8),
            .requestSignature: lines(
                try WorkloadSignature.sign(
                    request, .init(audience: audience, created: now.seconds, expires: end, nonce: nonce), key: key)),
            .responseSignature: lines(
                try WorkloadSignature.sign(
                    response, to: request,
                    .init(created: now.seconds, expires: end, nonce: "other", requestNonce: nonce), key: key)),
        ]
    }

    static let nonce = "nonce-1"

    static func request(showing wit: String) -> WorkloadRequest {
        WorkloadRequest(method: "POST", target: "/a2a", fields: MessageFields([("Workload-Identity-Token", wit)]))
    }

    static func response(showing wit: String) -> WorkloadResponse {
        WorkloadResponse(status: 200, fields: MessageFields([("Workload-Identity-Token", wit)]))
    }

    /// A card with something in it that only one of the forms has, so that there are two signatures.
    static func card(of id: SPIFFEID) throws -> CardDocument {
        let card = AgentCard(
            name: "Refunds", description: "", version: "1",
            supportedInterfaces: [AgentInterface(url: "https://refunds.example", protocolBinding: .jsonRPC)], skills: []
        )
        return try CardDocument(card).with(identity: CardIdentity(spiffeID: id))
    }

    /// Where DPoP proofs are for.
    static func resource() throws -> WebURL { try WebURL("https://receiver.example/a2a") }

    static func accessToken(issuer: String, subject: String, key: JWSSigningKey) throws -> [UInt8] {
        let claims = AccessTokenClaims(
            issuer: issuer, subject: subject, audience: [audience], clientID: subject, tokenID: "token-1",
            issuedAt: now.seconds, expiresAt: now.seconds + 60)
        return Array(try AccessToken.sign(claims, key: key).text.utf8)
    }

    static func blueprintAssertion(
        _ trustDomain: TrustDomain, subject: String, key: JWSSigningKey
    ) throws -> [UInt8] {
        let assertion = BlueprintAssertion(
            issuer: tokenIssuer(trustDomain), tenant: trustDomain.name, blueprintID: "blueprint", agentID: subject,
            operatorID: "operator", credentialKind: .x509SVID, tokenID: "assertion-1", issuedAt: now.seconds,
            expiresAt: now.seconds + 60)
        return Array(try CompactJWS.sign(type: BlueprintAssertion.type, payload: assertion.payload, key: key).utf8)
    }

    static func transactionChallenge(
        _ trustDomain: TrustDomain, key: JWSSigningKey, chain: [[UInt8]]
    ) throws -> [UInt8] {
        let claims: JSONObject = [
            "iss": "api://refund", "aud": .string(tokenIssuer(trustDomain)),
            "iat": .number(JSONNumber(now.seconds)), "exp": .number(JSONNumber(now.seconds + 60)),
            "jti": "challenge-1", "txn": "t", "authorization_details": [["type": "payment"]],
        ]
        return Array(
            try CompactJWS.sign(
                header: [
                    ("typ", .string(UnverifiedTransactionChallenge.type)),
                    ("x5c", .array(chain.map { .string(Base64.encode($0)) })),
                ], payload: claims.serializedBytes, key: key
            ).utf8)
    }

    static func transactionToken(
        _ trustDomain: TrustDomain, subject: String, key: JWSSigningKey
    ) throws -> [UInt8] {
        let claims = TransactionClaims(
            issuer: tokenIssuer(trustDomain), audience: trustDomain.idString, subject: subject,
            transactionID: "transaction-1", issuedAt: now.seconds, expiresAt: now.seconds + 60, scope: try Scope("run"),
            requesters: [subject], chainRoot: "transaction-1")
        return Array(
            try CompactJWS.sign(
                type: TransactionToken.type, payload: TransactionToken.payload(of: claims), key: key
            ).utf8)
    }

    /// The authorization server that grants are for.
    static let otherIssuer = "https://receiver.example/oauth2"

    static func grant(
        _ profile: AuthorizationGrant.Profile, _ trustDomain: TrustDomain, subject: String, key: JWSSigningKey
    ) throws -> [UInt8] {
        let claims = AuthorizationGrantClaims(
            profile: profile, issuer: tokenIssuer(trustDomain), subject: subject, audience: otherIssuer,
            tokenID: "grant-1", issuedAt: now.seconds, expiresAt: now.seconds + 60, scope: try Scope("run"),
            clientID: profile == .identityAssertion ? subject : nil)
        return Array(
            try CompactJWS.sign(type: profile.type, payload: AuthorizationGrant.payload(of: claims), key: key).utf8)
    }

    private static func entry(_ trustDomain: TrustDomain, isDownstream: Bool) throws -> RegistrationEntry {
        RegistrationEntry(
            id: "entry-1", spiffeID: try SPIFFEID(trustDomain: trustDomain, path: "/agents/refund"),
            parentID: try SPIFFEID(trustDomain: trustDomain, path: "/spire/agent/join_token/t"), selectors: [],
            x509SVIDTTL: 0, jwtSVIDTTL: 0, isDownstream: isDownstream, expiresAt: nil, dnsNames: [], createdAt: now,
            attributes: EntryAttributes(jwtSVIDIncludeJTI: true))
    }

    /// What relying parties that know OIDC find.
    private static func oidcKeys(_ trustDomain: TrustDomain, _ authorities: Authorities) throws -> [JWK] {
        var configuration = ControlPlaneConfiguration(trustDomain: trustDomain, dataDirectory: "/nowhere")
        configuration.jwtIssuer = "https://issuer.example"
        guard let discovery = try OIDCDiscovery(configuration, authorities: authorities) else { throw Missing() }
        return try JWKSet(parsing: discovery.keys.serializedBytes).keys
    }

    /// The same with another bundle.
    func with(_ bundle: TrustBundle) -> SignedWorld {
        var world = self
        world.bundle = bundle
        return world
    }

    struct Missing: Error {}
}

/// An authority of the operator's, as its files hold it.
private struct UpstreamFiles {
    let key = P256.Signing.PrivateKey()
    let authority: DiskUpstreamAuthority

    init(_ trustDomain: TrustDomain) throws {
        let root = try CertificateTemplate.authority(
            trustDomain: trustDomain, publicKey: SubjectPublicKey(key.publicKey), serialNumber: SerialNumber([1]),
            notBefore: SignedWorld.now - 60, notAfter: SignedWorld.now + 864_000
        ).sign(with: key)
        let files = DiskUpstreamAuthority.Files(
            certificates: Array(PEM.encode(label: PEM.certificateLabel, der: root).utf8),
            privateKey: Array(key.pemRepresentation.utf8), roots: nil)
        authority = DiskUpstreamAuthority { () throws(UpstreamError) in files }
    }
}

/// A node with a certificate of the operator's PKI that answers a challenge.
private struct ProvenNode {
    let key = P256.Signing.PrivateKey()
    let candidate: X509PoPVerifier.Candidate
    let challenge = X509PoPChallenge(kind: .ecdsa, nonce: SignedWorld.randomBytes(X509PoPAttestation.nonceLength))
    let response: X509PoPResponse

    init(_ trustDomain: TrustDomain) throws {
        let pki = try TestTrustDomain("pki.example", clock: ManualClock(SignedWorld.now))
        let leaf = try CertificateTemplate.x509SVID(
            id: pki.id("/machine"), publicKey: SubjectPublicKey(key.publicKey),
            issuer: CertificateIssuer(pki.authority.certificate), serialNumber: SerialNumber([9]),
            notBefore: SignedWorld.now - 60, notAfter: SignedWorld.now + 3600
        ).sign(with: pki.authority.key)
        let credential = try X509PoPCredential(
            certificatePEM: PEM.encode(label: PEM.certificateLabel, der: leaf), intermediatesPEM: nil,
            privateKeyPEM: key.pemRepresentation)
        candidate = try X509PoPVerifier(
            trust: .externalPKI(authorities: [pki.authority.certificate]), trustDomain: trustDomain,
            now: SignedWorld.clock
        ).admit(credential.payload.bytes)
        response = try credential.answer(
            challenge, nonce: SignedWorld.randomBytes(X509PoPAttestation.nonceLength))
    }
}
