package import JOSE

/// Access tokens as JWT (RFC 9068).
package enum AccessToken {
    /// The media type in the header, `typ`.
    package static let type = "at+jwt"

    /// Longest token that is read, in bytes.
    package static let maximumLength = 16 * 1024

    /// Signs a token, by whatever algorithm the key has.
    package static func sign(_ claims: AccessTokenClaims, key: JWSSigningKey) throws(AccessTokenError) -> SecretText {
        guard !key.keyID.isEmpty else { throw .missingKeyID }
        let payload = try payload(of: claims)
        let token: String
        do {
            token = try CompactJWS.sign(type: type, payload: payload, key: key)
        } catch {
            throw .token(error)
        }
        return try checked(token)
    }

    /// What is signed, for a signer that gives no key away; ``checked(_:)`` takes its token.
    package static func payload(of claims: AccessTokenClaims) throws(AccessTokenError) -> [UInt8] {
        guard claims.issuedAt < claims.expiresAt, JWTClaims.allowedDates.contains(claims.issuedAt),
            JWTClaims.allowedDates.contains(claims.expiresAt),
            claims.notBefore.map({ JWTClaims.allowedDates.contains($0) && $0 < claims.expiresAt }) ?? true
        else { throw .badTimes }
        for (name, value) in [
            ("iss", claims.issuer), ("sub", claims.subject), ("jti", claims.tokenID), ("client_id", claims.clientID),
        ] where value.isEmpty {
            throw .missingClaim(name)
        }
        guard !claims.audience.isEmpty, claims.audience.allSatisfy({ !$0.isEmpty }) else { throw .missingClaim("aud") }
        if let name = claims.misplacedClaim { throw .reservedClaim(name) }
        return claims.json.serializedBytes
    }

    /// A signed token, if readers take one of its length.
    package static func checked(_ token: String) throws(AccessTokenError) -> SecretText {
        guard token.utf8.count <= maximumLength else { throw .token(.tooLarge(limit: maximumLength)) }
        return SecretText(token)
    }
}

/// What a resource demands of access tokens.
package struct AccessTokenPolicy: Sendable {
    /// The one issuer whose tokens are taken.
    package var issuer: String
    /// The names that the resource goes by.
    package var audiences: [String]
    /// Whether a token may be for others too. Each of them could use it here (RFC 9068 §5).
    package var allowsOtherAudiences: Bool
    /// The longest chain of actors.
    package var actorLimit: Int
    /// Whether every actor needs an `iss` (actor profile).
    package var requiresActorIssuer: Bool
    /// How far the issuer's clock may be ahead, in seconds: widens `nbf` and `iat`, never `exp`.
    package var clockSkew: Int64

    package init(
        issuer: String, audiences: [String], allowsOtherAudiences: Bool = false,
        actorLimit: Int = ActorChain.defaultLimit, requiresActorIssuer: Bool = true, clockSkew: Int64 = 60
    ) {
        self.issuer = issuer
        self.audiences = audiences
        self.allowsOtherAudiences = allowsOtherAudiences
        self.actorLimit = actorLimit
        self.requiresActorIssuer = requiresActorIssuer
        self.clockSkew = clockSkew
    }
}

/// An access token taken apart, its header found well-formed. Nothing in it is proven.
package struct UnverifiedAccessToken: Sendable {
    /// The key that it names.
    package let keyID: String
    package var algorithm: JWSAlgorithm { jws.header.algorithm }
    /// Who claims to have issued it.
    package let unverifiedIssuer: String?
    /// Whom it says that it is for. To be checked by its issuer alone, whose business every audience is.
    package var unverifiedAudience: [String] { claims.audience }
    private let jws: CompactJWS
    private let claims: JWTClaims

    /// Header members by which a token would choose its own key.
    private static let refusedHeaderMembers = ["jwk", "jku", "x5u", "x5c"]

    /// Takes a token apart: `typ` of RFC 9068 §4, a key ID, no key of its own.
    package init(parsing token: String) throws(AccessTokenError) {
        do {
            jws = try CompactJWS(
                parsing: token, limits: JWSLimits(maximumBytes: AccessToken.maximumLength, maximumHeaderDepth: 4))
        } catch {
            throw .token(error)
        }
        guard let type = jws.header.type,
            type.hasSameBytes(as: AccessToken.type) || type.hasSameBytes(as: "application/" + AccessToken.type)
        else { throw .badType }
        for name in Self.refusedHeaderMembers where jws.header.json[name] != nil { throw .headerMember(name) }
        guard let keyID = jws.header.keyID, !keyID.isEmpty else { throw .missingKeyID }
        self.keyID = keyID
        do {
            claims = try JWTClaims(
                parsing: jws.payload, limits: JSONLimits(maximumBytes: AccessToken.maximumLength, maximumDepth: 32))
        } catch {
            throw .claims(error)
        }
        unverifiedIssuer = claims.issuer
    }

    /// Checks signature, issuer, audience, times and form, in this order (RFC 9068 §4), with a key that the caller
    /// trusts for the issuer. The binding of `cnf` is checked apart: it needs the connection or a proof.
    package func verify(
        with key: JWSVerificationKey, policy: AccessTokenPolicy, now: Int64
    ) throws(AccessTokenError) -> VerifiedAccessToken {
        do {
            try jws.verify(with: key)
        } catch {
            throw .token(error)
        }
        guard let issuer = claims.issuer else { throw .missingClaim("iss") }
        guard issuer.hasSameBytes(as: policy.issuer) else { throw .wrongIssuer }
        let isOurs = { (name: String) in policy.audiences.contains { $0.hasSameBytes(as: name) } }
        guard claims.audience.contains(where: isOurs) else { throw .wrongAudience }
        guard policy.allowsOtherAudiences || claims.audience.allSatisfy(isOurs) else { throw .otherAudiences }
        if let expiration = claims.expiration, now >= expiration { throw .expired(at: expiration) }
        do {
            try claims.checkTime(now: now, leeway: policy.clockSkew)
        } catch {
            throw .claims(error)
        }
        return VerifiedAccessToken(
            try AccessTokenClaims(
                claims, actorLimit: policy.actorLimit, requiresActorIssuer: policy.requiresActorIssuer),
            keyID: keyID)
    }
}

/// An access token that its issuer's key signed for this resource and that had not expired. With `cnf` it authenticates
/// only who also proves to hold that key. Only `UnverifiedAccessToken.verify` makes values of this type.
package struct VerifiedAccessToken: Sendable {
    package let claims: AccessTokenClaims
    package let keyID: String

    fileprivate init(_ claims: AccessTokenClaims, keyID: String) {
        self.claims = claims
        self.keyID = keyID
    }
}

/// Why an access token is refused or cannot be made.
package enum AccessTokenError: OAuthRefusal, Sendable, Equatable, CustomStringConvertible {
    case token(JWSError)
    /// `typ` is neither `at+jwt` nor `application/at+jwt`.
    case badType
    /// A header member by which the token brings or names its own key.
    case headerMember(String)
    case missingKeyID
    case claims(JWTError)
    case missingClaim(String)
    case wrongIssuer
    case wrongAudience
    /// The token is for others too.
    case otherAudiences
    /// Seconds since 1970.
    case expired(at: Int64)
    case scope(Scope.ParseError)
    case confirmation(ConfirmationError)
    case actors(ActorChainError)
    case authorizationDetails(AuthorizationDetailsError)
    /// A token cannot be made with this end and start.
    case badTimes
    /// A claim with a place of its own is among the others.
    case reservedClaim(String)

    package var code: OAuthErrorCode { .invalidToken }

    package var description: String {
        switch self {
        case .token(let error): error.description
        case .badType: "token type is not `\(AccessToken.type)`"
        case .headerMember(let name): "token header has member `\(name)`"
        case .missingKeyID: "token names no key"
        case .claims(let error): error.description
        case .missingClaim(let name): "claim `\(name)` is missing"
        case .wrongIssuer: "token is of another issuer"
        case .wrongAudience: "token is for another audience"
        case .otherAudiences: "token is for other audiences too"
        case .expired(let time): "token expired at \(time)"
        case .scope(let error): error.description
        case .confirmation(let error): error.description
        case .actors(let error): error.description
        case .authorizationDetails(let error): error.description
        case .badTimes: "token cannot end before it starts"
        case .reservedClaim(let name): "claim `\(name.truncatedForMessage)` has a place of its own"
        }
    }
}
