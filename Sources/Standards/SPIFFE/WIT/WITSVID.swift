package import JOSE
package import WIMSE

/// WIT-SVIDs: workload identity tokens with a SPIFFE ID (WIT-SVID §2 to §5). Never a bearer credential: a receiver asks
/// for a proof with the key that the token names.
package enum WITSVID {
    /// Whether this is one of the nine algorithms, of the issuer's key and of the holder's (WIT-SVID §2).
    package static func allows(_ algorithm: JWSAlgorithm) -> Bool { JWTSVID.allows(algorithm) }

    /// Longest token that is read, in bytes.
    package static let maximumLength = WorkloadIdentityToken.maximumLength

    /// How far the issuer's clock may be ahead, in seconds: widens `nbf` and `iat`, never `exp`.
    package static let clockSkewTolerance = JWTSVID.clockSkewTolerance

    /// Signs a token for the holder of a key. Times are cut to whole seconds; the caller sees to it that `expiresAt` is
    /// not after the signing key's own end.
    package static func sign(
        id: SPIFFEID, confirmationKey: JWSVerificationKey, issuedAt: UnixTime, expiresAt: UnixTime, key: JWSSigningKey,
        tokenID: String? = nil, extraClaims: JSONObject = JSONObject()
    ) throws(WITSVIDError) -> String {
        guard !id.path.isEmpty else { throw .badSubject(nil) }
        guard allows(key.algorithm) else { throw .algorithmNotAllowed(key.algorithm) }
        guard allows(confirmationKey.algorithm) else {
            throw .algorithmNotAllowed(confirmationKey.algorithm)
        }
        guard !key.keyID.isEmpty else { throw .missingKeyID }
        do {
            return try WorkloadIdentityToken.sign(
                subject: id.string, confirmationKey: confirmationKey, issuedAt: issuedAt.seconds,
                expiresAt: expiresAt.seconds, key: key, tokenID: tokenID,
                extraClaims: extraClaims)
        } catch {
            throw .token(error)
        }
    }

    /// Verifies a token: form, header and mandatory claims; the key by its ID from the bundle of the subject's trust
    /// domain and no other; signature; times (WIT-SVID §5). The proof of possession is checked apart.
    package static func verify(
        token: String, bundles: (TrustDomain) -> [WITAuthority]?, now: UnixTime
    ) throws(WITSVIDError) -> VerifiedWITSVID {
        let token = try UnverifiedWITSVID(parsing: token)
        let trustDomain = token.unverifiedID.trustDomain
        guard let authorities = bundles(trustDomain) else { throw .unknownTrustDomain(trustDomain) }
        guard let authority = authorities.first(where: { $0.keyID.hasSameBytes(as: token.keyID) }) else {
            throw .unknownKey(token.keyID)
        }
        do {
            try token.wit.verify(with: authority.publicKey, now: now.seconds, leeway: clockSkewTolerance)
        } catch {
            throw .token(error)
        }
        return VerifiedWITSVID(token, signedBy: authority.publicKey)
    }
}

/// A WIT-SVID taken apart and found well-formed. Nothing in it is proven: for looking at one's own tokens, and the first
/// step of verification.
package struct UnverifiedWITSVID: Sendable {
    /// Whom the token claims to be about.
    package let unverifiedID: SPIFFEID
    package let keyID: String
    package let expiresAt: UnixTime
    package let issuedAt: UnixTime?
    /// The key of the token's holder.
    package var confirmationKey: JWSVerificationKey { wit.confirmationKey }
    package var claims: JWTClaims { wit.claims }
    let wit: UnverifiedWIT

    /// Takes a token apart and checks header and mandatory claims; `aud` must not be there (WIT-SVID §3).
    package init(parsing token: String) throws(WITSVIDError) {
        do {
            wit = try UnverifiedWIT(parsing: token)
        } catch {
            throw .token(error)
        }
        for (name, _) in wit.header.json.members
        where !["alg", "kid", "typ"].contains(where: { $0.hasSameBytes(as: name) }) {
            throw .headerMember(name)
        }
        for algorithm in [wit.header.algorithm, wit.confirmationKey.algorithm] {
            guard WITSVID.allows(algorithm) else { throw .algorithmNotAllowed(algorithm) }
        }
        guard let keyID = wit.header.keyID, !keyID.isEmpty else { throw .missingKeyID }
        guard wit.claims.json["aud"] == nil else { throw .hasAudience }
        do {
            unverifiedID = try SPIFFEID(wit.unverifiedSubject)
        } catch {
            throw .badSubject(error)
        }
        guard !unverifiedID.path.isEmpty else { throw .badSubject(nil) }
        self.keyID = keyID
        expiresAt = UnixTime(seconds: wit.expiresAt)
        issuedAt = wit.claims.issuedAt.map { UnixTime(seconds: $0) }
    }
}

/// A WIT-SVID that a key of its subject's own trust domain signed and that had not expired. It authenticates whoever
/// also proves to hold `confirmationKey`, and nobody else. Only `WITSVID.verify` makes values of this type.
package struct VerifiedWITSVID: Sendable {
    package let id: SPIFFEID
    /// The key that the sender has to prove, with the one algorithm of the proof.
    package let confirmationKey: JWSVerificationKey
    package let claims: JSONObject
    package let expiresAt: UnixTime
    package let keyID: String
    /// The key that signed it, as the bundle has it.
    package let signingKey: JWSVerificationKey

    fileprivate init(_ token: UnverifiedWITSVID, signedBy key: JWSVerificationKey) {
        id = token.unverifiedID
        confirmationKey = token.confirmationKey
        claims = token.claims.json
        expiresAt = token.expiresAt
        keyID = token.keyID
        signingKey = key
    }
}

/// Why a WIT-SVID was refused or cannot be made.
package enum WITSVIDError: Error, Equatable, Sendable, CustomStringConvertible {
    case token(WITError)
    /// A header member other than `alg`, `kid` and `typ`.
    case headerMember(String)
    case algorithmNotAllowed(JWSAlgorithm)
    case missingKeyID
    /// `aud` is there: a WIT-SVID is for everybody who checks the proof.
    case hasAudience
    /// `sub` is no SPIFFE ID, or one without a path.
    case badSubject(SPIFFEIDError?)
    case unknownTrustDomain(TrustDomain)
    /// The subject's trust domain has no key of this ID for WIT-SVIDs.
    case unknownKey(String)

    package var description: String {
        switch self {
        case .token(let error): error.description
        case .headerMember(let name): "token header has member \(quoted(name))"
        case .algorithmNotAllowed(let algorithm): "algorithm `\(algorithm.rawValue)` is not allowed for WIT-SVIDs"
        case .missingKeyID: "token names no key"
        case .hasAudience: "a WIT-SVID has no audience"
        case .badSubject(let error?): "token subject is not a SPIFFE ID: \(error)"
        case .badSubject(nil): "token subject is not a SPIFFE ID with a path"
        case .unknownTrustDomain(let trustDomain): "there is no bundle for trust domain \(quoted(trustDomain.name))"
        case .unknownKey(let keyID): "the subject's trust domain has no WIT key \(quoted(keyID))"
        }
    }
}
