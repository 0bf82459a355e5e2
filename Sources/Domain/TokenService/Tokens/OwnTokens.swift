import AgentDirectory
import Authentication
import Issuance
import JOSE
import OAuth
import SPIFFE

extension TokenService {
    /// One of our own access tokens that is good now: signature, issuer, times, and that neither it nor anybody in it is
    /// revoked, disabled or retired. For whichever audience it is.
    func verifiedToken(
        _ token: SecretText, _ directory: DirectorySnapshot
    ) throws(TokenRefusal) -> VerifiedAccessToken {
        let verified = try genuineToken(token)
        if let reason = endedReason(verified, directory) {
            throw TokenRefusal(silently: .invalidRequest, reason)
        }
        return verified
    }

    /// One of our own access tokens that has not expired.
    func genuineToken(_ token: SecretText) throws(TokenRefusal) -> VerifiedAccessToken {
        guard let names = names() else { throw .unavailable("the service has no name yet") }
        let keys = authorities.tokenKeys
        let basis = GenuineTokens.Basis(keysRevision: keys.revision, names: names)
        let (digest, time) = (token.digest, now().seconds)
        if let known = genuineTokens.token(digest, basis, at: time) { return known }
        do {
            let unverified = try UnverifiedAccessToken(parsing: token.text)
            for profile in TokenProfile.allCases {
                guard let key = keys.verifier(profile.authorityKind, keyID: unverified.keyID) else { continue }
                // The audience is whoever asks: introspection and exchange look at it after this.
                let verified = try unverified.verify(
                    with: key,
                    policy: AccessTokenPolicy(
                        issuer: names.issuer(profile), audiences: unverified.unverifiedAudience,
                        allowsOtherAudiences: true, actorLimit: ActorChain.deepestLimit),
                    now: time)
                genuineTokens.insert(verified, digest, basis, at: time)
                return verified
            }
        } catch {
            throw TokenRefusal(silently: .invalidRequest, error.description)
        }
        throw TokenRefusal(silently: .invalidRequest, "the token names no key of ours")
    }

    /// Why a genuine token is good no more; nil when it is good.
    func endedReason(_ token: VerifiedAccessToken, _ directory: DirectorySnapshot) -> String? {
        let claims = token.claims
        let revoked = revocations.revoked
        if let subject = revoked.revocation(of: token) { return "the token's \(subject.kind) is revoked" }
        guard let client = directory.agent(claims.clientID) else { return "the token's client is gone" }
        if revoked.revokes(client.spiffeID) { return "`\(client.spiffeID)` is revoked" }
        for name in [claims.subject] + (claims.actors?.actors.map(\.subject) ?? []) {
            guard let id = try? SPIFFEID(name) else { continue }
            if let reason = endedReason(id, since: claims.issuedAt + Self.backdating, directory) { return reason }
        }
        return Self.endedReason(client, directory, now())
    }

    /// Why nobody acts under a SPIFFE ID any more, or why not the same agent as at a time (seconds since 1970); nil also for
    /// what is no agent of ours.
    func endedReason(_ id: SPIFFEID, since time: Int64?, _ directory: DirectorySnapshot) -> String? {
        guard id.trustDomain == authorities.trustDomain else { return nil }
        guard let agent = directory.agent(withSPIFFEID: id) else {
            return directory.hasRetired(id) ? "`\(id)` is retired" : nil
        }
        // The ID of one that was retired may be another agent's now, which has nothing to do with the token.
        if let time, directory.hasRetired(id), agent.createdAt.seconds > time { return "`\(id)` was another agent's" }
        return Self.endedReason(agent, directory, now())
    }

    static func endedReason(_ agent: AgentIdentity, _ directory: DirectorySnapshot, _ time: UnixTime) -> String? {
        guard agent.state == .enabled else { return "`\(agent.spiffeID)` is \(agent.state.rawValue)" }
        if let end = agent.expiresAt, time >= end { return "`\(agent.spiffeID)` has expired" }
        guard let id = agent.blueprintID else { return nil }
        return directory.blueprint(id)?.isEnabled == true ? nil : "the blueprint of `\(agent.spiffeID)` is disabled"
    }
}
