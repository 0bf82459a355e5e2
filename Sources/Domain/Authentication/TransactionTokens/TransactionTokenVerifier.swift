package import JOSE
package import OAuth

/// The half of a workload that receives transaction tokens (draft-ietf-oauth-transaction-tokens-11 §9.2): what a request is for,
/// on whose behalf and through whom. Never who sends it: that is for mutual TLS or an access token to say.
package struct TransactionTokenVerifier: Sendable {
    private let policy: TransactionTokenPolicy
    private let keys: Keys
    private let revocation: @Sendable (VerifiedTransactionToken) -> TransactionTokenRefusal?
    private let now: @Sendable () -> Int64

    /// Finds a key of the issuer.
    package typealias Keys =
        @Sendable (String, JWSAlgorithm) async throws(TransactionTokenRefusal) -> JWSVerificationKey

    /// - Parameters:
    ///   - keys: the key of the policy's issuer with this ID, for this algorithm; throws `unknownKey` or `keysUnavailable`.
    ///   - revocation: why the token is good no more; asked on every request.
    ///   - now: seconds since 1970.
    package init(
        _ policy: TransactionTokenPolicy, keys: @escaping Keys,
        revocation: @escaping @Sendable (VerifiedTransactionToken) -> TransactionTokenRefusal?,
        now: @escaping @Sendable () -> Int64
    ) {
        self.policy = policy
        self.keys = keys
        self.revocation = revocation
        self.now = now
    }

    /// - Parameter values: the values of all header fields `Txn-Token` of the request.
    package func verify(_ values: [String]) async throws(TransactionTokenRefusal) -> VerifiedTransactionToken {
        let text = try TransactionToken.presented(values)
        let unverified: UnverifiedTransactionToken
        do {
            unverified = try UnverifiedTransactionToken(parsing: text)
        } catch {
            throw .token(error)
        }
        // Whose key is asked for is not the token's choice: a token of another issuer is refused before any key is.
        guard let issuer = unverified.unverifiedIssuer, issuer.hasSameBytes(as: policy.issuer) else {
            throw .token(.wrongIssuer)
        }
        let key = try await keys(unverified.keyID, unverified.algorithm)
        let token: VerifiedTransactionToken
        do {
            token = try unverified.verify(with: key, policy: policy, now: now())
        } catch {
            throw .token(error)
        }
        if let refusal = revocation(token) { throw refusal }
        return token
    }
}
