package import OAuth

/// Who calls with an access token: proven by the issuer's signature, and for a bound token by the client's key or certificate.
///
/// Only ``AccessTokenVerifier`` makes values of this type.
package struct TokenCaller: Sendable {
    package let claims: AccessTokenClaims
    /// Whether the caller proved to hold what the token is bound to; false for a bearer token.
    package let isBound: Bool

    init(verified token: VerifiedAccessToken, isBound: Bool) {
        claims = token.claims
        self.isBound = isBound
    }

    /// On whose behalf the call is made.
    package var subject: String { claims.subject }

    /// Who acts: the last one in the chain, or the subject itself. With the subject it is all that a decision may rest on
    /// (RFC 8693 §4.1).
    package var actor: String { claims.actors?.current.subject ?? claims.subject }

    /// Everybody through whom the call came, the last one first; empty where the subject calls itself.
    package var chain: [Actor] { claims.actors?.actors ?? [] }

    package var scope: Scope { claims.scope }

    /// Refuses a caller whose token lacks one of these scopes.
    package func require(_ scopes: String...) throws(AccessTokenRefusal) {
        let missing = scopes.filter { !claims.scope.contains($0) }
        guard missing.isEmpty else { throw .scope(missing: missing) }
    }
}
