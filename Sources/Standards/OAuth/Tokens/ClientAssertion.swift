package import JOSE

/// What an authorization server demands of assertions (RFC 7523 §3, draft-ietf-oauth-rfc7523bis).
package struct ClientAssertionPolicy: Sendable {
    /// Who vouches for whom.
    package enum Kind: Sendable {
        /// `private_key_jwt`: the client itself, so `iss` is `sub`, and each assertion is used once.
        case privateKeyJWT
        /// A federated credential: another issuer, about a subject of its own, until the assertion ends.
        case federated
        /// The grant of RFC 7523 §2.1: a trusted issuer about a subject.
        case authorizationGrant
    }

    package var kind: Kind
    /// The names one of which has to be the only audience: the issuer identifier alone, as the bis wants, or the
    /// token endpoint and its siblings too, which older clients send.
    package var audiences: [String]
    /// How long from now an assertion may last at most, in seconds; nil leaves it to its issuer.
    package var maximumLifetime: Int64?
    /// How far the other clock may be off, in seconds: widens `nbf`, `iat` and the longest life, never `exp`.
    package var clockSkew: Int64
    package var algorithms: [JWSAlgorithm]

    package init(
        kind: Kind, audiences: [String], maximumLifetime: Int64? = 3600, clockSkew: Int64 = 60,
        algorithms: [JWSAlgorithm] = JWSAlgorithm.allCases
    ) {
        self.kind = kind
        self.audiences = audiences
        self.maximumLifetime = maximumLifetime
        self.clockSkew = clockSkew
        self.algorithms = algorithms
    }
}

extension ClientAssertionPolicy.Kind {
    /// Whether assertions of this kind may have this `typ`; they may also have none. Others belong to other kinds of token,
    /// and taking those too would let one stand in for another (RFC 8725 §3.11).
    package func takes(type: String) -> Bool {
        let types: [String] =
            switch self {
            case .privateKeyJWT, .federated: ["JWT", "client-authentication+jwt"]
            case .authorizationGrant: ["JWT", "authorization-grant+jwt"]
            }
        return types.contains { ByteClass.equalsIgnoringCase(type.utf8, $0) }
    }
}

/// An assertion taken apart. Nothing in it is proven; issuer, subject and key ID tell where to look for the key.
package struct UnverifiedClientAssertion: Sendable {
    package let unverifiedIssuer: String
    package let unverifiedSubject: String
    package let keyID: String?
    package var algorithm: JWSAlgorithm { jws.header.algorithm }
    private let jws: CompactJWS
    private let claims: JWTClaims

    /// Longest assertion that is read, in bytes.
    package static let maximumLength = 16 * 1024
    /// Longest `jti`, in bytes.
    package static let maximumTokenIDBytes = 256

    /// Header members by which an assertion would choose its own key. `x5c` is passed over: MSAL sends it.
    private static let refusedHeaderMembers = ["jwk", "jku", "x5u"]

    /// Takes an assertion apart: `iss` and `sub` have to be there (RFC 7523 §3), and no key of its own.
    package init(parsing assertion: SecretText) throws(ClientAssertionError) {
        do {
            jws = try CompactJWS(
                parsing: assertion.text, limits: JWSLimits(maximumBytes: Self.maximumLength, maximumHeaderDepth: 4))
        } catch {
            throw .token(error)
        }
        for name in Self.refusedHeaderMembers where jws.header.json[name] != nil { throw .headerMember(name) }
        do {
            claims = try JWTClaims(
                parsing: jws.payload, limits: JSONLimits(maximumBytes: Self.maximumLength, maximumDepth: 32))
        } catch {
            throw .claims(error)
        }
        guard let issuer = claims.issuer, !issuer.isEmpty else { throw .missingClaim("iss") }
        guard let subject = claims.subject, !subject.isEmpty else { throw .missingClaim("sub") }
        unverifiedIssuer = issuer
        unverifiedSubject = subject
        keyID = jws.header.keyID
    }

    /// Checks type, algorithm, signature, parties, audience, times and `jti`, in this order, with a key that the caller
    /// trusts for the issuer.
    ///
    /// - Parameter clientID: the parameter `client_id`, if the request has one.
    package func verify(
        with key: JWSVerificationKey, policy: ClientAssertionPolicy, clientID: String?, now: Int64
    ) throws(ClientAssertionError) -> VerifiedClientAssertion {
        if let type = jws.header.type {
            guard policy.kind.takes(type: type) else { throw .badType }
        }
        guard policy.algorithms.contains(algorithm) else { throw .algorithmNotAllowed(algorithm) }
        do {
            try jws.verify(with: key)
        } catch {
            throw .token(error)
        }
        if policy.kind == .privateKeyJWT {
            guard unverifiedIssuer.hasSameBytes(as: unverifiedSubject) else { throw .issuerIsNotSubject }
            guard clientID?.hasSameBytes(as: unverifiedSubject) ?? true else { throw .wrongClient }
        }
        guard !claims.audience.isEmpty else { throw .missingClaim("aud") }
        guard claims.audience.count == 1 else { throw .severalAudiences }
        guard policy.audiences.contains(where: { $0.hasSameBytes(as: claims.audience[0]) }) else {
            throw .wrongAudience
        }
        let expiresAt = try checkTimes(policy, now: now)
        return VerifiedClientAssertion(
            issuer: unverifiedIssuer, subject: unverifiedSubject, tokenID: try tokenID(policy), expiresAt: expiresAt,
            claims: claims.json)
    }

    private func checkTimes(_ policy: ClientAssertionPolicy, now: Int64) throws(ClientAssertionError) -> Int64 {
        guard let expiresAt = claims.expiration else { throw .missingClaim("exp") }
        guard now < expiresAt else { throw .expired(at: expiresAt) }
        if let maximum = policy.maximumLifetime {
            let (limit, overflow) = maximum.addingReportingOverflow(policy.clockSkew)
            let (life, underflow) = expiresAt.subtractingReportingOverflow(now)
            guard overflow || (!underflow && life <= limit) else { throw .lastsTooLong }
        }
        do {
            try claims.checkTime(now: now, leeway: policy.clockSkew)
        } catch {
            throw .claims(error)
        }
        return expiresAt
    }

    private func tokenID(_ policy: ClientAssertionPolicy) throws(ClientAssertionError) -> String? {
        guard let tokenID = claims.jwtID else {
            guard policy.kind != .privateKeyJWT else { throw .missingClaim("jti") }
            return nil
        }
        guard (1...Self.maximumTokenIDBytes).contains(tokenID.utf8.count) else { throw .badTokenID }
        return tokenID
    }
}

/// An assertion that its issuer's key signed for this server and that had not expired. That of `private_key_jwt` counts
/// only if `tokenID` was not used before. Only `UnverifiedClientAssertion.verify` makes values of this type.
package struct VerifiedClientAssertion: Sendable {
    package let issuer: String
    package let subject: String
    package let tokenID: String?
    /// Seconds since 1970; a replay cache has to remember `tokenID` until then.
    package let expiresAt: Int64
    /// All claims.
    package let claims: JSONObject

    fileprivate init(issuer: String, subject: String, tokenID: String?, expiresAt: Int64, claims: JSONObject) {
        self.issuer = issuer
        self.subject = subject
        self.tokenID = tokenID
        self.expiresAt = expiresAt
        self.claims = claims
    }
}

/// Why an assertion is refused. To the peer all of them are one: `invalid_client`, and `invalid_grant` where the
/// assertion is the grant (RFC 7523 §3.1, §3.2).
package enum ClientAssertionError: Error, Sendable, Equatable, CustomStringConvertible {
    case token(JWSError)
    case badType
    case algorithmNotAllowed(JWSAlgorithm)
    /// A header member by which the assertion brings or names its own key.
    case headerMember(String)
    case claims(JWTError)
    case missingClaim(String)
    case issuerIsNotSubject
    /// `client_id` is not the subject.
    case wrongClient
    case severalAudiences
    case wrongAudience
    /// Seconds since 1970.
    case expired(at: Int64)
    case lastsTooLong
    /// `jti` is empty or too long.
    case badTokenID

    package var description: String {
        switch self {
        case .token(let error): error.description
        case .badType: "the assertion is a token of another type"
        case .algorithmNotAllowed(let algorithm): "algorithm `\(algorithm.rawValue)` is not allowed"
        case .headerMember(let name): "the assertion's header has member `\(name)`"
        case .claims(let error): error.description
        case .missingClaim(let name): "claim `\(name)` is missing"
        case .issuerIsNotSubject: "the assertion's issuer is not its subject"
        case .wrongClient: "`client_id` is not the assertion's subject"
        case .severalAudiences: "the assertion has several audiences"
        case .wrongAudience: "the assertion is for another audience"
        case .expired(let time): "the assertion expired at \(time)"
        case .lastsTooLong: "the assertion lasts too long"
        case .badTokenID: "claim `jti` is empty or too long"
        }
    }
}
