import Crypto
package import JOSE
package import OAuth
import Revocation
import Synchronization

/// The resource server's half of RFC 6750, 8705, 9068 and 9449: whether a request may be believed to come from whom its token
/// names.
///
/// Control plane, proxy and SDK share it. A token that verified once is remembered until it ends, so that a second look costs
/// no signature; binding and revocation are looked at on every request all the same.
package final class AccessTokenVerifier: Sendable {
    /// What the resource demands.
    package struct Demands: Sendable {
        package var token: AccessTokenPolicy
        /// Whether a bearer token is refused.
        package var isBoundOnly: Bool
        /// The nonces that proofs must carry; nil where none is asked for.
        package var nonces: (@Sendable () -> [String])?
        /// Has a token for one approved act used up at its issuer, and throws unless that was done now. Without it such tokens
        /// are refused: taken without asking, they would count more than once.
        package var useUp: UseUp?

        package typealias UseUp = @Sendable (SecretText) async throws(AccessTokenRefusal) -> Void

        package init(
            _ token: AccessTokenPolicy, isBoundOnly: Bool = false, nonces: (@Sendable () -> [String])? = nil,
            useUp: UseUp? = nil
        ) {
            self.token = token
            self.isBoundOnly = isBoundOnly
            self.nonces = nonces
            self.useUp = useUp
        }
    }

    /// Finds a key of the issuer.
    package typealias Keys =
        @Sendable (String, JWSAlgorithm) async throws(AccessTokenRefusal) -> JWSVerificationKey

    private let demands: Demands
    private let keys: Keys
    private let revocation: @Sendable (VerifiedAccessToken) -> AccessTokenRefusal?
    private let now: @Sendable () -> Int64
    // Guards what verified before, by SHA-256 of the token.
    private let known = Mutex(KnownTokens(capacity: rememberedTokens))
    // Guards the identifiers of proofs that were seen.
    private let proofs = Mutex(ReplayCache(capacity: rememberedProofs))

    /// Tokens that are remembered; the eldest give way.
    package static let rememberedTokens = 10_000
    /// Proofs that are remembered; when they are as many, no other is taken.
    package static let rememberedProofs = 200_000

    /// - Parameters:
    ///   - keys: the key of the policy's issuer with this ID, for this algorithm; throws `unknownKey` or `keysUnavailable`.
    ///   - revocation: why the token is good no more; asked on every request.
    ///   - now: seconds since 1970.
    package init(
        _ demands: Demands,
        keys: @escaping Keys,
        revocation: @escaping @Sendable (VerifiedAccessToken) -> AccessTokenRefusal?,
        now: @escaping @Sendable () -> Int64
    ) {
        self.demands = demands
        self.keys = keys
        self.revocation = revocation
        self.now = now
    }

    /// The caller of a request, whose token allows these scopes.
    ///
    /// A token for one approved act is used up by it, last of all: a request that is refused for something else leaves it.
    package func verify(
        _ presented: PresentedAccessToken, scopes: [String] = []
    ) async throws(AccessTokenRefusal) -> TokenCaller {
        let token = try await verifiedToken(presented.token)
        if let refusal = revocation(token) { throw refusal }
        let isBound = try checkHolder(token.claims, presented)
        let missing = scopes.filter { !token.claims.scope.contains($0) }
        guard missing.isEmpty else { throw .scope(missing: missing) }
        if token.claims.isSingleUse {
            guard let useUp = demands.useUp else { throw .forOneUse }
            try await useUp(presented.token)
        }
        return TokenCaller(verified: token, isBound: isBound)
    }

    private func verifiedToken(_ text: SecretText) async throws(AccessTokenRefusal) -> VerifiedAccessToken {
        let digest = text.digest
        let time = now()
        if let token = known.withLock({ $0.token(digest, at: time) }) { return token }
        let unverified: UnverifiedAccessToken
        do {
            unverified = try UnverifiedAccessToken(parsing: text.text)
        } catch {
            throw .token(error)
        }
        // Whose key is asked for is not the token's choice: a token of another issuer is refused before any key is.
        guard let issuer = unverified.unverifiedIssuer, issuer.hasSameBytes(as: demands.token.issuer) else {
            throw .token(.wrongIssuer)
        }
        let key = try await keys(unverified.keyID, unverified.algorithm)
        let token: VerifiedAccessToken
        do {
            token = try unverified.verify(with: key, policy: demands.token, now: time)
        } catch {
            throw .token(error)
        }
        known.withLock { $0.insert(token, digest, at: time) }
        return token
    }

    /// Whether the caller holds what the token is bound to. A bound token is never taken without its proof, a bearer token
    /// never with one.
    private func checkHolder(
        _ claims: AccessTokenClaims, _ presented: PresentedAccessToken
    ) throws(AccessTokenRefusal) -> Bool {
        guard let confirmation = claims.confirmation else {
            guard presented.scheme == .bearer else { throw .notTheHolder }
            guard !demands.isBoundOnly else { throw .notBound }
            return false
        }
        if let thumbprint = confirmation.certificateThumbprint {
            guard presented.certificateDigest == thumbprint else { throw .notTheHolder }
        }
        guard let thumbprint = confirmation.keyThumbprint else {
            guard presented.scheme == .bearer else { throw .notTheHolder }
            return true
        }
        // RFC 9449 §7.2: a bound token under `Bearer` is a downgrade.
        guard presented.scheme == .dpop, presented.proofs.count == 1 else { throw .notTheHolder }
        let proof: VerifiedDPoPProof
        do {
            proof = try DPoPProof.verify(
                presented.proofs[0],
                request: DPoPRequest(
                    method: presented.method, url: presented.url,
                    use: .resource(accessToken: presented.token, keyThumbprint: thumbprint)),
                policy: DPoPPolicy(nonces: demands.nonces?()), now: now())
        } catch {
            throw .proof(error)
        }
        let outcome = proofs.withLock {
            $0.insert(proof.tokenID, of: proof.keyThumbprint, until: proof.replayableUntil, now: now())
        }
        switch outcome {
        case .fresh: return true
        case .replayed, .ended: throw .replayed
        case .full: throw .tooManyProofs
        }
    }
}
