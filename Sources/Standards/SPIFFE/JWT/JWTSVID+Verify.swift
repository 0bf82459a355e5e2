package import JOSE

/// A JWT-SVID that a key of its subject's own trust domain signed for this audience, and that had not expired. Only
/// `JWTSVID.verify` makes values of this type.
package struct VerifiedJWTSVID: Sendable {
    /// Who presented the token, as far as a bearer token can tell.
    package let id: SPIFFEID
    /// All audiences of the token, the verifier's among them.
    package let audience: [String]
    /// All claims, `sub`, `aud` and `exp` included.
    package let claims: JSONObject
    package let expiresAt: UnixTime
    package let keyID: String
    /// The key that signed it, as the bundle has it.
    package let signingKey: JWSVerificationKey

    fileprivate init(_ token: UnverifiedJWTSVID, signedBy key: JWSVerificationKey) {
        id = token.unverifiedID
        audience = token.audience
        claims = token.claims.json
        expiresAt = token.expiresAt
        keyID = token.keyID
        signingKey = key
    }
}

extension JWTSVID {
    /// Verifies a token for one audience (JWT-SVID §5).
    package static func verify(
        token: String, audience: String, bundles: (TrustDomain) -> [JWTAuthority]?, now: UnixTime
    ) throws(JWTSVIDError) -> VerifiedJWTSVID {
        try verify(token: token, anyAudience: [audience], bundles: bundles, now: now)
    }

    /// Verifies a token for a receiver that goes by several names: one of them has to be in the token. No names, no
    /// token.
    ///
    /// The steps: form, header and mandatory claims; the key by its ID from the bundle of the subject's trust domain and
    /// no other; signature by the key's algorithm; audience; times.
    package static func verify(
        token: String, anyAudience names: [String], bundles: (TrustDomain) -> [JWTAuthority]?, now: UnixTime
    ) throws(JWTSVIDError) -> VerifiedJWTSVID {
        let token = try UnverifiedJWTSVID(parsing: token)
        let trustDomain = token.unverifiedID.trustDomain
        guard let authorities = bundles(trustDomain) else { throw .unknownTrustDomain(trustDomain) }
        guard let authority = authorities.first(where: { $0.keyID.hasSameBytes(as: token.keyID) }) else {
            throw .unknownKey(token.keyID)
        }
        do {
            try token.jws.verify(with: authority.publicKey)
        } catch {
            throw .token(error)
        }
        guard token.audience.contains(where: { asked in names.contains { $0.hasSameBytes(as: asked) } }) else {
            throw .wrongAudience
        }
        guard now < token.expiresAt else { throw .expired(token.expiresAt) }
        do {
            try token.claims.checkTime(now: now.seconds, leeway: clockSkewTolerance)
        } catch {
            throw .claims(error)
        }
        return VerifiedJWTSVID(token, signedBy: authority.publicKey)
    }
}
