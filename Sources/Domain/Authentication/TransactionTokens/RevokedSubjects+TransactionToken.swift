package import OAuth
package import Revocation
package import SPIFFE

extension TransactionClaims {
    /// The SPIFFE IDs of subject, actors and requesters.
    package var everybody: [SPIFFEID] {
        ([subject] + (actors?.actors.map(\.subject) ?? []) + requesters).compactMap { try? SPIFFEID($0) }
    }
}

extension RevokedSubjects {
    /// Why a transaction token is revoked: by its transaction, by the first token of its chain, by the key that signed it or by
    /// anybody in it; nil when it is not.
    package func revocation(of token: VerifiedTransactionToken) -> RevokedSubject? {
        guard !all.isEmpty else { return nil }
        let claims = token.claims
        let candidates: [RevokedSubject] =
            [.jwtID(claims.transactionID), .chainRoot(claims.chainRoot), .key(token.keyID)]
            + claims.everybody.map { .agent($0) }
        return candidates.first { all.contains($0) }
    }
}
