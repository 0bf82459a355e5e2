import AgentDirectory
package import Authentication
import Crypto
import JOSE
import OAuth
import Revocation
package import SPIFFE

/// What authenticates clients where a credential is not ours: the keys of other trust domains and of other issuers.
package struct ClientTrust: Sendable {
    /// The JWT authorities of a trust domain: our own, or one that we federate with.
    package var jwtAuthorities: @Sendable (TrustDomain) -> [JWTAuthority]?
    /// The outside issuers on the operator's list, with their keys; nil for none.
    package var issuers: IssuerKeyring?
    /// The authorities of client certificates on the operator's list; nil for none.
    package var certificates: OutsideCertificates?
    /// The identity of a chain (DER, leaf first) of our own trust domain now; nil if it proves none.
    package var verifiedSVID: @Sendable ([[UInt8]]) -> VerifiedX509SVID?

    package init(
        jwtAuthorities: @escaping @Sendable (TrustDomain) -> [JWTAuthority]?, issuers: IssuerKeyring? = nil,
        certificates: OutsideCertificates? = nil,
        verifiedSVID: @escaping @Sendable ([[UInt8]]) -> VerifiedX509SVID? = { _ in nil }
    ) {
        self.jwtAuthorities = jwtAuthorities
        self.issuers = issuers
        self.certificates = certificates
        self.verifiedSVID = verifiedSVID
    }
}

/// Finds out which agent a request comes from (RFC 6749 §2.3, RFC 7523, RFC 8705, draft-ietf-oauth-spiffe-client-auth).
///
/// From outside every failure is one: `invalid_client`.
final class ClientAuthenticator: Sendable {
    private let trust: ClientTrust
    private let names: @Sendable () -> TokenServiceNames?
    private let now: @Sendable () -> UnixTime
    private let revoked: @Sendable () -> RevokedSubjects
    private let seen = ReplayMemory(capacity: rememberedAssertions)

    /// Of one client: room for ten assertions a second that live for an hour.
    private static let rememberedAssertions = 36_000

    init(
        trust: ClientTrust, names: @escaping @Sendable () -> TokenServiceNames?,
        revoked: @escaping @Sendable () -> RevokedSubjects, now: @escaping @Sendable () -> UnixTime
    ) {
        self.trust = trust
        self.names = names
        self.revoked = revoked
        self.now = now
    }

    /// The client of a request, against one state of the directory.
    func authenticate(
        _ authentication: ClientAuthentication, _ call: TokenCall, _ directory: DirectorySnapshot
    ) async throws(TokenRefusal) -> AuthenticatedClient {
        switch authentication.credential {
        case .none:
            if let presented = call.presented, call.peer == nil {
                return try await outsideCertificate(presented, authentication.clientID, directory)
            }
            return try certificate(authentication, call, directory)
        case .basic(let credentials):
            return try secret(credentials.candidates.map { ($0.clientID, $0.secret) }, directory)
        case .post(let secret): return try self.secret([(authentication.clientID ?? "", secret)], directory)
        case .assertion(let type, let assertion):
            return try await self.assertion(type, assertion, authentication.clientID, call, directory)
        }
    }

    // MARK: certificates

    /// `spiffe_x509`: the connection's SVID. A `client_id` may repeat it, as the draft wants, or name the agent.
    private func certificate(
        _ authentication: ClientAuthentication, _ call: TokenCall, _ directory: DirectorySnapshot
    ) throws(TokenRefusal) -> AuthenticatedClient {
        guard let peer = call.peer else { throw .client("the request shows no credential") }
        // A connection may be older than that.
        guard now() < peer.expiresAt else { throw .client("the certificate of the connection has expired") }
        if let subject = revoked().revocation(of: peer) {
            throw .client("the certificate is revoked (\(subject.kind))")
        }
        guard let agent = directory.agent(withSPIFFEID: peer.id) else {
            throw .client("`\(peer.id)` belongs to no agent")
        }
        try check(authentication.clientID, names: agent)
        return AuthenticatedClient(agent, .x509SVID, evidence: peer.leaf.der)
    }

    /// `tls_client_auth` and `self_signed_tls_client_auth` (RFC 8705 §2): the client is who `client_id` says, if that one has
    /// registered the certificate, or its name and an authority of the operator's list vouches for it.
    private func outsideCertificate(
        _ presented: PresentedCertificate, _ clientID: String?, _ directory: DirectorySnapshot
    ) async throws(TokenRefusal) -> AuthenticatedClient {
        guard let clientID else { throw .client("a certificate that is no SVID needs `client_id`") }
        guard let agent = agent(clientID, in: directory) else { throw .client("`client_id` is unknown") }
        let (leaf, time) = (presented.leaf, now())
        // A connection may be older than the end of its certificate.
        guard leaf.isValid(at: time) else { throw .client("the certificate of the connection is not valid now") }
        guard !revoked().revokes(leaf.publicKey) else { throw .client("the key of the certificate is revoked") }
        let credentials = agent.clientCredentials.filter(isLive)
        if let credential = credentials.first(where: { $0.isCertificate(leaf) }) {
            return AuthenticatedClient(
                agent, .selfSignedCertificate, evidence: leaf.der, name: credential.id, endsAt: leaf.notAfter)
        }
        guard let credential = credentials.first(where: { $0.isName(in: leaf) }) else {
            throw .client("the client has registered neither the certificate nor a name in it")
        }
        guard let authorities = trust.certificates else {
            throw .client("there are no authorities of client certificates")
        }
        let end: UnixTime
        do {
            end = try await authorities.verify(presented, time)
        } catch {
            throw .client("the certificate does not verify: \(error.reason)")
        }
        return AuthenticatedClient(
            agent, .certificate, evidence: leaf.der, name: credential.id, endsAt: min(end, leaf.notAfter))
    }

    /// A `client_id` beside another credential has to be the same agent's.
    private func check(_ clientID: String?, names agent: AgentIdentity) throws(TokenRefusal) {
        guard let clientID else { return }
        guard clientID.hasSameBytes(as: agent.id) || clientID.hasSameBytes(as: agent.spiffeID.string) else {
            throw .client("`client_id` is not the agent that the credential is of")
        }
    }

    // MARK: secrets

    /// Every reading is compared with every secret, and with one that nobody has, so that time tells nothing.
    private func secret(
        _ candidates: [(clientID: String, secret: SecretText)], _ directory: DirectorySnapshot
    ) throws(TokenRefusal) -> AuthenticatedClient {
        var found: AuthenticatedClient?
        for candidate in candidates {
            _ = candidate.secret.matches(digest: Self.nobodysDigest)
            guard let agent = agent(candidate.clientID, in: directory) else { continue }
            for credential in agent.clientCredentials {
                guard case .secret(let digest) = credential.proof, isLive(credential) else { continue }
                if candidate.secret.matches(digest: digest) {
                    found = AuthenticatedClient(
                        agent, .clientSecret, evidence: candidate.secret.digest, name: credential.id)
                }
            }
        }
        guard let found else { throw .client("client ID and secret do not belong together") }
        return found
    }

    private static let nobodysDigest = [UInt8](repeating: 0, count: 32)

    private func isLive(_ credential: ClientCredential) -> Bool {
        credential.expiresAt.map { now() < $0 } ?? true
    }

    /// By client ID, or by SPIFFE ID where a client uses that as its ID.
    private func agent(_ clientID: String, in directory: DirectorySnapshot) -> AgentIdentity? {
        if let agent = directory.agent(clientID), agent.state != .retired { return agent }
        return (try? SPIFFEID(clientID)).flatMap { directory.agent(withSPIFFEID: $0) }
    }

    // MARK: assertions

    /// What an assertion is, is decided by what it says of itself: an SVID, the client's own word, or another issuer's.
    private func assertion(
        _ type: ClientAuthentication.AssertionType, _ assertion: SecretText, _ clientID: String?, _ call: TokenCall,
        _ directory: DirectorySnapshot
    ) async throws(TokenRefusal) -> AuthenticatedClient {
        if let svid = try? UnverifiedJWTSVID(parsing: assertion.text),
            trust.jwtAuthorities(svid.unverifiedID.trustDomain) != nil
        {
            if let proof = try self.svid(svid, assertion, clientID, call, directory) { return proof }
            // What a trust domain's key has signed is nobody else's word. An issuer on the list has keys of its own to ask.
            guard type == .jwtBearer, let issuer = svid.claims.issuer, trust.issuers?.issuer(named: issuer) != nil
            else {
                throw .client("no federated credential matches issuer, subject and audience")
            }
        }
        guard type == .jwtBearer else { throw .client("the assertion is no JWT-SVID of a trust domain known here") }
        let unverified: UnverifiedClientAssertion
        do {
            unverified = try UnverifiedClientAssertion(parsing: assertion)
        } catch {
            throw .client(error.description)
        }
        if unverified.unverifiedIssuer.hasSameBytes(as: unverified.unverifiedSubject) {
            return try privateKeyJWT(unverified, assertion, clientID, call, directory)
        }
        return try await federated(unverified, assertion, clientID, directory)
    }

    /// `spiffe_jwt`: an SVID for us is its agent's credential; one for another audience is where a federated credential
    /// names exactly that. SVIDs are shared and cached, so they count until they end. Nil where no credential names it.
    private func svid(
        _ unverified: UnverifiedJWTSVID, _ assertion: SecretText, _ clientID: String?, _ call: TokenCall,
        _ directory: DirectorySnapshot
    ) throws(TokenRefusal) -> AuthenticatedClient? {
        guard let names = names() else { throw .unavailable("the service has no name yet") }
        let verified: VerifiedJWTSVID
        do {
            verified = try JWTSVID.verify(
                token: assertion.text, anyAudience: unverified.audience, bundles: trust.jwtAuthorities, now: now())
        } catch {
            throw .client(error.description)
        }
        if let subject = revoked().revocation(of: verified) { throw .client("the SVID is revoked (\(subject.kind))") }
        let ownNames = names.assertionAudiences(call.profile)
        if verified.audience.count == 1, ownNames.contains(where: { $0.hasSameBytes(as: verified.audience[0]) }) {
            guard let agent = directory.agent(withSPIFFEID: verified.id) else {
                throw .client("`\(verified.id)` belongs to no agent")
            }
            try check(clientID, names: agent)
            return AuthenticatedClient(agent, .jwtSVID, evidence: Array(assertion.text.utf8))
        }
        let agent = try named(clientID, in: directory)
        guard let matched = credential(of: agent, metBy: verified) else { return nil }
        return AuthenticatedClient(
            agent, .federatedAssertion, evidence: Array(assertion.text.utf8), name: matched.name.text)
    }

    /// The federated credential that an SVID meets. Its issuer is who has signed it, as the bundle says, and not whom the
    /// token names: another trust domain can write any `iss` and any claim. Only in our own the name of the issuer stands
    /// for it too, and that for the subject alone.
    private func credential(of agent: AgentIdentity, metBy svid: VerifiedJWTSVID) -> FederatedCredential? {
        let isOurs = svid.id.isMember(of: agent.spiffeID.trustDomain)
        return agent.federatedCredentials.first { credential in
            var counts = credential.namesTrustDomain
            if case .exactly = credential.subject, isOurs { counts = true }
            return counts && credential.match(svid.claims, ofSVIDFrom: svid.id.trustDomain).isMatch
        }
    }

    private func named(_ clientID: String?, in directory: DirectorySnapshot) throws(TokenRefusal) -> AgentIdentity {
        guard let clientID else { throw .client("a federated assertion needs `client_id`") }
        guard let agent = agent(clientID, in: directory) else { throw .client("`client_id` is unknown") }
        return agent
    }

    /// `private_key_jwt`: the client's own key, each assertion once.
    private func privateKeyJWT(
        _ unverified: UnverifiedClientAssertion, _ assertion: SecretText, _ clientID: String?, _ call: TokenCall,
        _ directory: DirectorySnapshot
    ) throws(TokenRefusal) -> AuthenticatedClient {
        guard let names = names() else { throw .unavailable("the service has no name yet") }
        guard let agent = agent(unverified.unverifiedSubject, in: directory) else {
            throw .client("the assertion's subject is unknown")
        }
        let policy = ClientAssertionPolicy(kind: .privateKeyJWT, audiences: names.assertionAudiences(call.profile))
        var reason = "the client has no key"
        for credential in agent.clientCredentials {
            guard case .key(let jwk) = credential.proof, isLive(credential) else { continue }
            // A key ID chooses among the client's keys; most clients send none.
            if let keyID = unverified.keyID, let known = jwk.kid, !keyID.hasSameBytes(as: known) { continue }
            guard let key = try? JWSVerificationKey(jwk: jwk, defaultAlgorithm: unverified.algorithm) else { continue }
            let verified: VerifiedClientAssertion
            do throws(ClientAssertionError) {
                verified = try unverified.verify(
                    with: key, policy: policy, clientID: clientID, now: now().seconds)
            } catch {
                reason = error.description
                continue
            }
            try remember(verified, of: agent)
            return AuthenticatedClient(
                agent, .privateKeyJWT, evidence: Array(assertion.text.utf8), name: credential.id)
        }
        throw .client(reason)
    }

    private func remember(
        _ assertion: VerifiedClientAssertion, of agent: AgentIdentity
    ) throws(TokenRefusal) {
        let outcome = seen.insert(
            assertion.tokenID ?? "", of: Array(assertion.issuer.utf8), sender: agent.id, until: assertion.expiresAt,
            now: now().seconds)
        switch outcome {
        case .fresh: return
        case .replayed, .ended: throw .client("the assertion was used before")
        case .full: throw .unavailable("no more assertions can be remembered")
        }
    }

    /// An outside issuer's word about a subject that a federated credential names. Until it ends it may come again: stock
    /// clients send the same file for minutes.
    private func federated(
        _ unverified: UnverifiedClientAssertion, _ assertion: SecretText, _ clientID: String?,
        _ directory: DirectorySnapshot
    ) async throws(TokenRefusal) -> AuthenticatedClient {
        let agent = try named(clientID, in: directory)
        let candidates = agent.federatedCredentials.filter {
            $0.issuer.hasSameBytes(as: unverified.unverifiedIssuer)
        }
        // Keys are fetched only for an issuer that a credential of this agent names.
        guard !candidates.isEmpty else { throw .client("no federated credential names the assertion's issuer") }
        guard let keyring = trust.issuers, let issuer = keyring.issuer(named: unverified.unverifiedIssuer) else {
            throw .client("the assertion's issuer is not trusted")
        }
        let keys: [JWSVerificationKey]
        do {
            keys = try await keyring.keys(of: issuer, keyID: unverified.keyID, algorithm: unverified.algorithm)
        } catch {
            throw TokenRefusal(error)
        }
        let policy = issuer.assertionPolicy(audiences: candidates.flatMap(\.audiences), maximumLifetime: nil)
        var reason = "the issuer has no key for the assertion"
        for key in keys {
            let verified: VerifiedClientAssertion
            do throws(ClientAssertionError) {
                verified = try unverified.verify(with: key, policy: policy, clientID: clientID, now: now().seconds)
            } catch {
                reason = error.description
                continue
            }
            guard let matched = candidates.first(where: { $0.match(verified.claims).isMatch }) else {
                throw .client("no federated credential matches issuer, subject and audience")
            }
            return AuthenticatedClient(
                agent, .federatedAssertion, evidence: Array(assertion.text.utf8), name: matched.name.text)
        }
        throw .client(reason)
    }
}

extension TokenRefusal {
    /// An issuer that cannot be reached is not the client's fault: it may come again.
    fileprivate init(_ error: IssuerKeyError) {
        switch error {
        case .metadata, .keys, .malformedMetadata, .malformedKeys, .badKeysURL, .wrongIssuer, .badLocation, .busy,
            .cancelled:
            self = .unavailable(error.description)
        case .unknownIssuer, .algorithmNotAllowed, .badKeyID, .noSuchKey, .keyIDRequired:
            self = .client(error.description)
        }
    }
}

/// An agent that has proved who it is at the token endpoint. Made in this file alone, where the proof is.
struct AuthenticatedClient: Sendable {
    let agent: AgentIdentity
    /// What it showed.
    let kind: CredentialKind
    /// Hex SHA-256 of what it showed, for the log.
    let credentialHash: String
    /// The name of the federated credential or the ID of the registered one that matched.
    let credentialName: String?
    /// The end of a certificate that is no SVID, with its authorities: no token outlives it.
    let endsAt: UnixTime?

    fileprivate init(
        _ agent: AgentIdentity, _ kind: CredentialKind, evidence: [UInt8], name: String? = nil, endsAt: UnixTime? = nil
    ) {
        self.agent = agent
        self.endsAt = endsAt
        self.kind = kind
        credentialHash = HexText.encode(SHA256.hash(bytes: evidence))
        credentialName = name
    }
}

extension AuthenticatedClient {
    /// The agent that an assertion of its blueprint's operator is for.
    init(_ assertion: VerifiedBlueprintAssertion) {
        self.init(assertion.agent, .blueprintAssertion, evidence: assertion.evidence, name: assertion.tokenID)
    }
}
