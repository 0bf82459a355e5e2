import A2A
import Attestation
import Crypto
import JOSE
import OAuth
import Revocation
import SPIFFE
import TokenService
import TransparencyLog
import WIMSE

@testable import ControlPlane
@testable import Issuance
@testable import NodeAgent

/// All verifiers of one trust domain, with what they know.
struct Verifiers: Sendable {
    let world: SignedWorld
    /// The bundles that they have, of other trust domains too.
    let bundles: [TrustDomain: TrustBundle]

    init(of world: SignedWorld, knowing others: [TrustBundle] = []) {
        self.world = world
        bundles = Dictionary(
            uniqueKeysWithValues: ([world.bundle] + others).map { ($0.trustDomain, $0) })
    }

    /// Those that take it.
    func takers(of object: Offered) -> Set<VerifierKind> {
        Set(VerifierKind.allCases.filter { takes(object, $0) })
    }

    private func takes(_ object: Offered, _ kind: VerifierKind) -> Bool {
        do {
            try judge(object, kind)
            return true
        } catch {
            return false
        }
    }

    private struct Refused: Error {}

    private func judge(_ object: Offered, _ kind: VerifierKind) throws {
        let now = SignedWorld.now
        switch kind {
        case .x509SVID:
            _ = try X509SVIDVerifier.verify(chain: object.chain, bundle: { bundles[$0]?.x509Bundle }, at: now)
        case .serverIdentity:
            let id = try SPIFFEID(trustDomain: world.trustDomain, path: "/spire/server")
            let trust = ServerTrust(serverID: id, bundle: world.bundle, now: SignedWorld.clock)
            guard trust.verify(object.chain) else { throw Refused() }
        case .issuer:
            let leaf = try leaf(signedBy: object)
            _ = try X509SVIDVerifier.verify(
                chain: [leaf] + (object.isCertificate ? object.chain : []), bundle: { bundles[$0]?.x509Bundle },
                at: now)
        case .anchor:
            let leaf = try leaf(signedBy: object)
            let bundle = try X509Bundle(trustDomain: world.trustDomain, derConcatenated: object.bytes)
            _ = try X509SVIDVerifier.verify(chain: [leaf], bundle: { _ in bundle }, at: now)
        case .jwtSVID:
            _ = try JWTSVID.verify(
                token: object.text, audience: SignedWorld.audience, bundles: { bundles[$0]?.jwtAuthorities }, now: now)
        case .witSVID:
            _ = try WITSVID.verify(token: object.text, bundles: { bundles[$0]?.witAuthorities }, now: now)
        case .revocationSnapshot:
            _ = try SignedRevocations.verify(object.bytes, bundle: world.bundle.x509Bundle, at: now)
        case .certificateRequest:
            _ = try CertificateSigningRequest(parsing: object.bytes)
        case .checkpoint:
            _ = try SignedCheckpoint.open(object.bytes, verifiers: [world.logKey], origin: world.origin)
        case .logProof:
            try TLogProof(parsing: object.bytes).verify(
                entry: world.leaf, verifiers: [world.logKey], origin: world.origin)
        case .bundleDocument:
            _ = try TrustBundle(parsingSPIFFEJSON: object.bytes, trustDomain: world.trustDomain)
        case .x509popResponse:
            _ = try world.candidate.prove(X509PoPResponse(parsing: object.bytes), to: world.challenge)
        case .x509popExchange:
            let bundle = world.bundle.x509Bundle
            try admit(object, .spiffe(prefix: "", bundle: { bundle }))
        case .x509popExternal:
            let pki = try CertificateTemplate.authority(
                trustDomain: TrustDomain("pki.example"), publicKey: SubjectPublicKey(Self.pki.publicKey),
                serialNumber: SerialNumber([1]), notBefore: now - 60, notAfter: now + 60
            ).sign(with: Self.pki)
            try admit(object, .externalPKI(authorities: [ParsedCertificate(der: pki)]))
        case .accessToken:
            let token = try UnverifiedAccessToken(parsing: object.text)
            guard let key = world.accessTokenKeys.first(where: { $0.keyID == token.keyID }) else { throw Refused() }
            let policy = AccessTokenPolicy(issuer: world.tokenIssuer, audiences: [SignedWorld.audience])
            _ = try token.verify(with: key, policy: policy, now: now.seconds)
        case .blueprintAssertion:
            _ = try BlueprintAssertion.verify(
                SecretText(object.text), issuer: world.tokenIssuer, tenant: world.trustDomain.name,
                key: { id in world.accessTokenKeys.first { $0.keyID == id } }, now: now.seconds)
        case .transactionChallenge:
            let challenge = try UnverifiedTransactionChallenge(parsing: SecretText(object.text))
            let svid = try X509SVIDVerifier.verify(
                chain: challenge.certificates ?? [],
                bundle: { $0 == world.trustDomain ? bundles[$0]?.x509Bundle : nil }, at: now)
            guard svid.id == (try SPIFFEID(trustDomain: world.trustDomain, path: "/agents/refund")) else {
                throw Refused()
            }
            let key = try JWSVerificationKey(derSPKI: svid.leaf.publicKey.derSPKI, keyID: nil)
            _ = try challenge.verify(with: key, audience: world.tokenIssuer, now: now.seconds)
        case .agentCard:
            let keys = CardKeys(world.cardKeys, of: world.trustDomain)
            let card = try CardVerifier(trusting: [keys]).verify(CardDocument(parsing: object.bytes))
            let id = try SPIFFEID(trustDomain: world.trustDomain, path: "/agents/refund")
            guard card.binding(to: id) == .bound(id) else { throw Refused() }
        case .federatedAssertion:
            let assertion = try UnverifiedClientAssertion(parsing: SecretText(object.text))
            let audiences = [SignedWorld.audience, BlueprintAssertion.audience]
            _ = try assertion.verify(
                with: key(assertion.keyID), policy: ClientAssertionPolicy(kind: .federated, audiences: audiences),
                clientID: nil, now: now.seconds)
        case .securityEvent:
            let event = try UnverifiedSecurityEvent(parsing: object.bytes)
            _ = try event.verify(with: key(event.keyID), audience: SignedWorld.audience, now: now.seconds)
        case .transactionToken:
            let token = try UnverifiedTransactionToken(parsing: object.text)
            guard let key = world.accessTokenKeys.first(where: { $0.keyID == token.keyID }) else { throw Refused() }
            let policy = TransactionTokenPolicy(issuer: world.tokenIssuer, audience: world.trustDomain.idString)
            _ = try token.verify(with: key, policy: policy, now: now.seconds)
        case .authorizationGrant:
            let grant = try UnverifiedAuthorizationGrant(parsing: SecretText(object.text))
            guard grant.unverifiedIssuer == world.tokenIssuer,
                let key = world.accessTokenKeys.first(where: { $0.keyID == grant.keyID })
            else { throw Refused() }
            _ = try grant.verify(
                with: key, policy: AuthorizationGrantPolicy(audience: SignedWorld.otherIssuer), now: now.seconds)
        case .dpopProof:
            let request = DPoPRequest(method: "POST", url: try SignedWorld.resource(), use: .tokenRequest)
            _ = try DPoPProof.verify(object.text, request: request, policy: DPoPPolicy(), now: now.seconds)
        case .proofToken, .requestSignature, .responseSignature:
            try judgeProof(object, kind)
        }
    }

    /// A proof beside the WIT-SVID of this trust domain's workload.
    private func judgeProof(_ object: Offered, _ kind: VerifierKind) throws {
        let wit = world.objects[.witSVID]?.text ?? ""
        let key = try WITSVID.verify(
            token: wit, bundles: { bundles[$0]?.witAuthorities }, now: SignedWorld.now
        ).confirmationKey
        let policy = WorkloadProofPolicy(audiences: WorkloadAudiences([SignedWorld.audience]))
        var request = SignedWorld.request(showing: wit)
        if kind == .proofToken {
            request.fields.append("Authorization", "WPT \(object.text)")
            _ = try WorkloadProofToken.verify(request, key: key, policy: policy, now: SignedWorld.now.seconds)
            return
        }
        let lines = object.text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard lines.count == 2 else { throw Refused() }
        var response = SignedWorld.response(showing: wit)
        for (name, value) in zip(["Signature-Input", "Signature"], lines) {
            request.fields.append(name, value)
            response.fields.append(name, value)
        }
        if kind == .requestSignature {
            _ = try WorkloadSignature.verify(request, key: key, policy: policy, now: SignedWorld.now.seconds)
        } else {
            try WorkloadSignature.verify(
                response, to: request, nonce: SignedWorld.nonce, key: key, policy: policy, now: SignedWorld.now.seconds)
        }
    }

    /// One of the keys for access tokens.
    private func key(_ id: String?) throws -> JWSVerificationKey {
        guard let id, let key = world.accessTokenKeys.first(where: { $0.keyID == id }) else { throw Refused() }
        return key
    }

    private static let pki = P256.Signing.PrivateKey()

    private func admit(_ object: Offered, _ trust: X509PoPVerifier.Trust) throws {
        _ = try X509PoPVerifier(trust: trust, trustDomain: world.trustDomain, now: SignedWorld.clock).admit(
            X509PoPPayload(certificates: object.chain).bytes)
    }

    /// An SVID of this trust domain that the object's key has signed. What is no certificate speaks in the name of the
    /// authority that there is.
    private func leaf(signedBy object: Offered) throws -> [UInt8] {
        guard let key = object.key else { throw Refused() }
        let issuer = object.isCertificate ? object.bytes : world.objects[.authority]?.bytes ?? []
        return try CertificateTemplate.x509SVID(
            id: SPIFFEID(trustDomain: world.trustDomain, path: "/stolen"),
            publicKey: SubjectPublicKey(P256.Signing.PrivateKey().publicKey),
            issuer: CertificateIssuer(ParsedCertificate(der: issuer)), serialNumber: SerialNumber([8]),
            notBefore: SignedWorld.now - 10, notAfter: SignedWorld.now + 10
        ).sign(with: key)
    }
}
