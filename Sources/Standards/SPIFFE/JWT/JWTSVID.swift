package import JOSE

/// JWT-SVIDs: bearer tokens that say a SPIFFE ID to one audience (JWT-SVID §2 to §4).
package enum JWTSVID {
    /// Whether this is one of the nine algorithms; EdDSA and `none` are not among them (JWT-SVID §2.1).
    package static func allows(_ algorithm: JWSAlgorithm) -> Bool {
        switch algorithm {
        case .rs256, .rs384, .rs512, .es256, .es384, .es512, .ps256, .ps384, .ps512: true
        case .eddsa: false
        }
    }

    /// Longest token that is read, in bytes.
    package static let maximumLength = 16 * 1024

    /// How far the issuer's clock may be ahead, in seconds: widens `nbf` and `iat`. `exp` gets no leeway at all, so no
    /// token outlives what its issuer granted.
    package static let clockSkewTolerance: Int64 = 60

    /// Signs a token with `kid`, typ `JWT`, `sub`, `aud` (always an array), `exp`, `iat`, and what else is given.
    ///
    /// Times are cut to whole seconds. The caller sees to it that `expiresAt` is not after the key's own end.
    package static func sign(
        id: SPIFFEID, audience: [String], issuedAt: UnixTime, expiresAt: UnixTime, key: JWSSigningKey,
        issuer: String? = nil, jwtID: String? = nil, extraClaims: JSONObject = JSONObject()
    ) throws(JWTSVIDError) -> String {
        guard !id.path.isEmpty else { throw .badSubject(nil) }
        guard !audience.isEmpty, audience.allSatisfy({ !$0.isEmpty }) else { throw .missingAudience }
        guard issuedAt.seconds < expiresAt.seconds, JWTClaims.allowedDates.contains(issuedAt.seconds),
            JWTClaims.allowedDates.contains(expiresAt.seconds)
        else { throw .badTimes }
        guard allows(key.algorithm) else { throw .algorithmNotAllowed(key.algorithm) }
        guard !key.keyID.isEmpty else { throw .missingKeyID }
        for (name, _) in extraClaims.members where reservedClaims.contains(where: { $0.hasSameBytes(as: name) }) {
            throw .reservedClaim(name)
        }
        var claims: [(String, JSONValue)] = [
            ("sub", .string(id.string)),
            ("aud", .array(audience.map { .string($0) })),
            ("exp", .number(JSONNumber(expiresAt.seconds))),
            ("iat", .number(JSONNumber(issuedAt.seconds))),
        ]
        if let issuer { claims.append(("iss", .string(issuer))) }
        if let jwtID { claims.append(("jti", .string(jwtID))) }
        claims += extraClaims.members.map { ($0.name, $0.value) }
        let token: String
        do {
            token = try CompactJWS.sign(
                type: "JWT", payload: JSONObject(claims).serializedBytes, key: key)
        } catch {
            throw .token(error)
        }
        guard token.utf8.count <= maximumLength else { throw .token(.tooLarge(limit: maximumLength)) }
        return token
    }

    /// Claims that only the issuer's own rules set.
    private static let reservedClaims = ["sub", "aud", "exp", "iat", "nbf", "iss", "jti"]
}

/// A JWT-SVID taken apart and found well-formed. Nothing in it is proven: for looking at one's own tokens, and the first
/// step of verification.
package struct UnverifiedJWTSVID: Sendable {
    /// Whom the token claims to be about.
    package let unverifiedID: SPIFFEID
    /// Whom it is for; never empty.
    package let audience: [String]
    package let expiresAt: UnixTime
    package let issuedAt: UnixTime?
    package let keyID: String
    package let claims: JWTClaims
    let jws: CompactJWS

    /// Takes a token apart and checks the header and the mandatory claims (JWT-SVID §2 and §3).
    package init(parsing token: String) throws(JWTSVIDError) {
        do {
            jws = try CompactJWS(
                parsing: token, limits: JWSLimits(maximumBytes: JWTSVID.maximumLength, maximumHeaderDepth: 4))
        } catch {
            throw .token(error)
        }
        keyID = try Self.checkHeader(jws.header)
        do {
            claims = try JWTClaims(
                parsing: jws.payload, limits: JSONLimits(maximumBytes: JWTSVID.maximumLength, maximumDepth: 32))
        } catch {
            throw .claims(error)
        }
        unverifiedID = try Self.subject(claims.subject)
        guard !claims.audience.isEmpty, claims.audience.allSatisfy({ !$0.isEmpty }) else { throw .missingAudience }
        guard let expiration = claims.expiration else { throw .missingExpiration }
        audience = claims.audience
        expiresAt = UnixTime(seconds: expiration)
        issuedAt = claims.issuedAt.map { UnixTime(seconds: $0) }
    }

    /// Only `alg`, `kid` and `typ` may be there; gives the key ID.
    private static func checkHeader(_ header: JOSEHeader) throws(JWTSVIDError) -> String {
        for (name, _) in header.json.members
        where !["alg", "kid", "typ"].contains(where: { $0.hasSameBytes(as: name) }) {
            throw .headerMember(name)
        }
        guard JWTSVID.allows(header.algorithm) else {
            throw .algorithmNotAllowed(header.algorithm)
        }
        if let type = header.type {
            guard type.hasSameBytes(as: "JWT") || type.hasSameBytes(as: "JOSE") else { throw .badType }
        }
        guard let keyID = header.keyID, !keyID.isEmpty else { throw .missingKeyID }
        return keyID
    }

    private static func subject(_ subject: String?) throws(JWTSVIDError) -> SPIFFEID {
        guard let subject else { throw .badSubject(nil) }
        let id: SPIFFEID
        do {
            id = try SPIFFEID(subject)
        } catch {
            throw .badSubject(error)
        }
        // A trust domain's own ID is nobody's identity, here as in X509-SVIDs.
        guard !id.path.isEmpty else { throw .badSubject(nil) }
        return id
    }
}

/// Why a JWT-SVID was refused or cannot be made.
package enum JWTSVIDError: Error, Equatable, Sendable, CustomStringConvertible {
    case token(JWSError)
    /// A header member other than `alg`, `kid` and `typ`.
    case headerMember(String)
    case algorithmNotAllowed(JWSAlgorithm)
    /// `typ` is neither `JWT` nor `JOSE`.
    case badType
    case missingKeyID
    case claims(JWTError)
    /// `sub` is missing, no SPIFFE ID, or one without a path.
    case badSubject(SPIFFEIDError?)
    case missingAudience
    case missingExpiration
    case unknownTrustDomain(TrustDomain)
    /// The subject's trust domain has no key of this ID.
    case unknownKey(String)
    case expired(UnixTime)
    case wrongAudience
    /// A token cannot be made with this end and start.
    case badTimes
    /// An extra claim that the issuer sets itself.
    case reservedClaim(String)

    package var description: String {
        switch self {
        case .token(let error): error.description
        case .headerMember(let name): "token header has member \(quoted(name))"
        case .algorithmNotAllowed(let algorithm): "algorithm `\(algorithm.rawValue)` is not allowed for JWT-SVIDs"
        case .badType: "token type is neither `JWT` nor `JOSE`"
        case .missingKeyID: "token names no key"
        case .claims(let error): error.description
        case .badSubject(let error?): "token subject is not a SPIFFE ID: \(error)"
        case .badSubject(nil): "token subject is not a SPIFFE ID with a path"
        case .missingAudience: "token has no audience"
        case .missingExpiration: "token has no expiration"
        case .unknownTrustDomain(let trustDomain): "there is no bundle for trust domain \(quoted(trustDomain.name))"
        case .unknownKey(let keyID): "the subject's trust domain has no key \(quoted(keyID))"
        case .expired(let time): "token expired at \(time)"
        case .wrongAudience: "token is for another audience"
        case .badTimes: "token cannot end before it starts"
        case .reservedClaim(let name): "claim \(quoted(name)) is set by the issuer alone"
        }
    }
}
