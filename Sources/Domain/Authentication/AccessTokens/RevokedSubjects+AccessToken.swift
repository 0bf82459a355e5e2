import JOSE
package import OAuth
package import Revocation
import SPIFFE

extension RevokedSubjects {
    /// Why an access token is revoked: by itself, by the first token of its chain, by the key that signed it or the one that it
    /// is bound to, or by anybody in it; nil when it is not.
    package func revocation(of token: VerifiedAccessToken) -> RevokedSubject? {
        guard !all.isEmpty else { return nil }
        let claims = token.claims
        var candidates: [RevokedSubject] = [
            .jwtID(claims.tokenID), .chainRoot(claims.chainRoot), .key(token.keyID),
        ]
        if let thumbprint = claims.confirmation?.keyThumbprint { candidates.append(.key(Base64URL.encode(thumbprint))) }
        for name in [claims.subject] + (claims.actors?.actors.map(\.subject) ?? []) {
            if let id = try? SPIFFEID(name) { candidates.append(.agent(id)) }
        }
        return candidates.first { all.contains($0) }
    }
}
