import AgentDirectory
import Authentication
import JOSE
import OAuth
import Revocation
import SPIFFE

/// A grant of another authorization server that this client may redeem here, if it was not redeemed before.
///
/// Only ``TokenService/foreignGrant(_:_:_:)`` makes values of this type.
struct ForeignGrant: Sendable {
    let grant: VerifiedAuthorizationGrant
    let subject: ForeignSubject

    var claims: AuthorizationGrantClaims { grant.claims }

    fileprivate init(_ grant: VerifiedAuthorizationGrant, _ subject: ForeignSubject) {
        self.grant = grant
        self.subject = subject
    }
}

extension TokenService {
    /// The grant of another authorization server that a request redeems (draft-ietf-oauth-identity-chaining-17 §2.4,
    /// draft-ietf-oauth-identity-assertion-authz-grant-04 §4.4); nil where it redeems none.
    ///
    /// Its issuer has to be on the operator's list for grants. Everything that is wrong with it looks the same from outside.
    func foreignGrant(
        _ request: TokenRequest, _ client: AuthenticatedClient, _ key: PresentedKey?
    ) async throws(TokenRefusal) -> ForeignGrant? {
        guard case .jwtBearer(let assertion) = request.grant else { return nil }
        let unverified: UnverifiedAuthorizationGrant
        do {
            unverified = try UnverifiedAuthorizationGrant(parsing: assertion)
        } catch {
            // What does not say that it is such a grant may be an SVID.
            guard error != .badType else { return nil }
            throw TokenRefusal(silently: .invalidGrant, error.description)
        }
        try refuseDetails(request)
        let (issuer, grant) = try await verified(unverified)
        let claims = grant.claims
        guard claims.issuedAt >= startedAt.seconds else {
            throw TokenRefusal(silently: .invalidGrant, "the grant is older than the memory of redeemed ones")
        }
        let trustDomain = grantTrust.trustDomain(of: issuer)
        if let clientID = claims.clientID, !isName(clientID, of: client, forIssuerOf: trustDomain) {
            throw TokenRefusal(silently: .invalidGrant, "the grant is another client's")
        }
        if let confirmation = claims.confirmation, confirmation != key?.confirmation {
            throw TokenRefusal(silently: .invalidGrant, "the grant is bound to another key")
        }
        for actor in claims.actors?.actors ?? [] where try isOurs(actor) {
            throw TokenRefusal(silently: .invalidGrant, "the grant names an agent of ours as actor")
        }
        let subject = try ForeignSubject(claims.subject, of: claims.issuer, speakingFor: trustDomain)
        if let revoked = revocation(of: claims) {
            throw TokenRefusal(silently: .invalidGrant, "the grant's \(revoked.kind) is revoked")
        }
        return ForeignGrant(grant, subject)
    }

    /// Whom a token for the redeemed grant is about.
    func subject(
        _ foreign: ForeignGrant, _ target: TokenTarget, _ client: AuthenticatedClient
    ) throws(TokenRefusal) -> GrantedSubject {
        let resources = foreign.claims.resources
        guard resources.isEmpty || resources.contains(where: { $0.hasSameBytes(as: target.resourceID) }) else {
            throw TokenRefusal(silently: .invalidTarget, "the grant is for another resource")
        }
        return try grants.chained(foreign.grant, about: foreign.subject, by: client)
    }

    /// Uses a grant up: at the last moment before a token is made, so that nobody but its client can.
    func spend(_ foreign: ForeignGrant) throws(TokenRefusal) {
        switch spentGrants.spend(foreign.claims, now: now().seconds) {
        case .fresh: return
        case .replayed, .ended: throw TokenRefusal(silently: .invalidGrant, "the grant was redeemed before")
        case .full: throw .unavailable("no more grants of the issuer can be remembered")
        }
    }

    private func verified(
        _ unverified: UnverifiedAuthorizationGrant
    ) async throws(TokenRefusal) -> (TrustedIssuer, VerifiedAuthorizationGrant) {
        guard let names = names() else { throw .unavailable("the service has no name yet") }
        let isOurs = TokenProfile.allCases.contains {
            names.issuer($0).hasSameBytes(as: unverified.unverifiedIssuer)
        }
        guard !isOurs else { throw TokenRefusal(silently: .invalidGrant, "the grant is our own") }
        guard let keyring = grantTrust.keyring, let issuer = keyring.issuer(named: unverified.unverifiedIssuer) else {
            throw TokenRefusal(silently: .invalidGrant, "the grant's issuer is not on the list for grants")
        }
        let keys: [JWSVerificationKey]
        do {
            keys = try await keyring.keys(of: issuer, keyID: unverified.keyID, algorithm: unverified.algorithm)
        } catch {
            guard error.isTemporary else { throw TokenRefusal(silently: .invalidGrant, error.description) }
            throw .unavailable(error.description)
        }
        let policy = AuthorizationGrantPolicy(audience: names.issuer(.standard), algorithms: issuer.algorithms)
        var reason = "the issuer has no key for the grant"
        for key in keys {
            do {
                return (issuer, try unverified.verify(with: key, policy: policy, now: now().seconds))
            } catch {
                reason = error.description
            }
        }
        throw TokenRefusal(silently: .invalidGrant, reason)
    }

    /// Whether a grant's `client_id` is the authenticated client: by its client ID or SPIFFE ID here, or by the SPIFFE ID that
    /// the grant's issuer knows it by, if the client has just proved that one.
    private func isName(
        _ clientID: String, of client: AuthenticatedClient, forIssuerOf trustDomain: TrustDomain?
    ) -> Bool {
        if clientID.hasSameBytes(as: client.agent.id) || clientID.hasSameBytes(as: client.agent.spiffeID.string) {
            return true
        }
        guard client.kind == .federatedAssertion, let trustDomain, let id = try? SPIFFEID(clientID),
            id.isMember(of: trustDomain)
        else { return false }
        return client.agent.federatedCredentials.contains { credential in
            guard credential.name.text == client.credentialName, case .exactly(let subject) = credential.subject else {
                return false
            }
            return subject.hasSameBytes(as: clientID)
        }
    }

    /// Others do not say through which of our agents a call came. Refuses names that only look like SPIFFE IDs.
    private func isOurs(_ actor: Actor) throws(TokenRefusal) -> Bool {
        if let issuer = actor.issuer, let names = names() {
            let own = TokenProfile.allCases.map { names.issuer($0) } + [authorities.trustDomain.idString]
            if own.contains(where: { $0.hasSameBytes(as: issuer) }) { return true }
        }
        guard ForeignSubject.isSPIFFE(actor.subject) else { return false }
        guard let id = try? SPIFFEID(actor.subject) else {
            throw TokenRefusal(silently: .invalidGrant, "the grant names an actor by no SPIFFE ID")
        }
        return id.isMember(of: authorities.trustDomain)
    }

    /// What of a grant is revoked here. Nobody in it is ours, and others are revoked at home.
    private func revocation(of claims: AuthorizationGrantClaims) -> RevokedSubject? {
        let revoked = revocations.revoked.all
        let candidates = [.jwtID(claims.tokenID)] + (claims.chainRoot.map { [RevokedSubject.chainRoot($0)] } ?? [])
        return candidates.first { revoked.contains($0) }
    }
}

extension IssuerKeyError {
    /// Whether it is the issuer's fault or the time's, and not the grant's.
    fileprivate var isTemporary: Bool {
        switch self {
        case .metadata, .keys, .malformedMetadata, .malformedKeys, .badKeysURL, .wrongIssuer, .badLocation, .busy,
            .cancelled:
            true
        case .unknownIssuer, .algorithmNotAllowed, .badKeyID, .noSuchKey, .keyIDRequired: false
        }
    }
}
