package import JOSE

/// A JWT that says by its `typ` what it is, taken apart: form and header are as they have to be, and nothing in it is proven.
///
/// Transaction tokens, grants for other authorization servers and challenges of resources are read by the same rules; only their
/// claims differ.
struct TypedToken: Sendable {
    let keyID: String?
    let claims: JWTClaims
    /// Which of the types it has.
    let type: String
    private let jws: CompactJWS

    /// Longest token that is read, in bytes.
    static let maximumLength = 16 * 1024
    /// Longest identifier of a token or a transaction, in bytes.
    static let maximumIDBytes = 256

    /// Header members by which a token would choose its own key.
    private static let refusedHeaderMembers = ["jwk", "jku", "x5u", "x5c"]

    var header: JSONObject { jws.header.json }
    var algorithm: JWSAlgorithm { jws.header.algorithm }

    /// - Parameter types: the types that are taken, byte by byte; one without a type, or of another, is another kind of token
    ///   (RFC 8725 §3.11).
    /// - Parameter showsCertificates: whether the header may have `x5c`, which whoever reads the token judges by its own roots.
    init(
        parsing token: String, types: [String], maximumLength: Int = Self.maximumLength, showsCertificates: Bool = false
    ) throws(TypedTokenError) {
        do {
            jws = try CompactJWS(
                parsing: token, limits: JWSLimits(maximumBytes: maximumLength, maximumHeaderDepth: 4))
        } catch {
            throw .token(error)
        }
        guard let type = jws.header.type, types.contains(where: { $0.hasSameBytes(as: type) }) else {
            throw .badType
        }
        self.type = type
        for name in Self.refusedHeaderMembers where jws.header.json[name] != nil {
            guard showsCertificates, name == "x5c" else { throw .headerMember(name) }
        }
        keyID = jws.header.keyID
        do {
            claims = try JWTClaims(
                parsing: jws.payload, limits: JSONLimits(maximumBytes: maximumLength, maximumDepth: 32))
        } catch {
            throw .claims(error)
        }
    }

    func verify(with key: JWSVerificationKey) throws(TypedTokenError) {
        do {
            try jws.verify(with: key)
        } catch {
            throw .token(error)
        }
    }

    /// Checks `exp`, `nbf` and `iat`, both ends of a life that has to be there and be short.
    func checkTimes(
        maximumLifetime: Int64, clockSkew: Int64, now: Int64
    ) throws(TypedTokenError) -> (issuedAt: Int64, expiresAt: Int64) {
        guard let expiresAt = claims.expiration else { throw .missingClaim("exp") }
        guard let issuedAt = claims.issuedAt else { throw .missingClaim("iat") }
        guard now < expiresAt else { throw .expired(at: expiresAt) }
        // Dates are between 1970 and 9999: no difference overflows.
        guard issuedAt < expiresAt, expiresAt - issuedAt <= maximumLifetime else { throw .lastsTooLong }
        do {
            try claims.checkTime(now: now, leeway: clockSkew)
        } catch {
            throw .claims(error)
        }
        return (issuedAt, expiresAt)
    }

    /// A claim that has to be there and to be a text with something in it.
    func text(_ name: String, limit: Int = 2048) throws(TypedTokenError) -> String {
        guard let text = try optionalText(name, limit: limit) else { throw .missingClaim(name) }
        return text
    }

    func optionalText(_ name: String, limit: Int = 2048) throws(TypedTokenError) -> String? {
        guard let value = claims.json[name] else { return nil }
        guard let text = value.stringValue, (1...limit).contains(text.utf8.count) else { throw .badClaim(name) }
        return text
    }

    /// The one audience: a token for several is one that each of them could use at the others.
    func onlyAudience() throws(TypedTokenError) -> String {
        guard let audience = claims.audience.first, !audience.isEmpty else { throw .missingClaim("aud") }
        guard claims.audience.count == 1 else { throw .otherAudiences }
        return audience
    }

    /// A scope that has to be there, and to allow something.
    func scope() throws(TypedTokenError) -> Scope {
        do {
            return try Scope(try text("scope", limit: Scope.maximumBytes))
        } catch let error as TypedTokenError {
            throw error
        } catch let error as Scope.ParseError {
            throw .scope(error)
        } catch {
            throw .badClaim("scope")
        }
    }

    func actors(limit: Int) throws(TypedTokenError) -> ActorChain? {
        guard let claim = claims.json["act"] else { return nil }
        do {
            return try ActorChain(parsing: claim, limit: limit)
        } catch {
            throw .actors(error)
        }
    }
}

/// Why a transaction token, a grant for another authorization server or a challenge is refused or cannot be made.
package enum TypedTokenError: Error, Sendable, Equatable, CustomStringConvertible {
    case token(JWSError)
    /// `typ` is another one, or missing.
    case badType
    /// A header member by which the token brings or names its own key.
    case headerMember(String)
    case missingKeyID
    case algorithmNotAllowed(JWSAlgorithm)
    case claims(JWTError)
    case missingClaim(String)
    /// A claim of a type or a length that it cannot have.
    case badClaim(String)
    case wrongIssuer
    case wrongAudience
    /// The token is for others too.
    case otherAudiences
    /// Seconds since 1970.
    case expired(at: Int64)
    case lastsTooLong
    case scope(Scope.ParseError)
    case confirmation(ConfirmationError)
    case actors(ActorChainError)
    case details(AuthorizationDetailsError)
    /// More workloads have asked for it, one after another, than there may be.
    case tooManyRequesters
    /// A token cannot be made with this end and start.
    case badTimes

    package var description: String {
        switch self {
        case .token(let error): error.description
        case .badType: "the token is of another type"
        case .headerMember(let name): "the token's header has member `\(name)`"
        case .missingKeyID: "the token names no key"
        case .algorithmNotAllowed(let algorithm): "algorithm `\(algorithm.rawValue)` is not allowed"
        case .claims(let error): error.description
        case .missingClaim(let name): "claim `\(name)` is missing"
        case .badClaim(let name): "claim `\(name)` is not what it has to be"
        case .wrongIssuer: "the token is of another issuer"
        case .wrongAudience: "the token is for another audience"
        case .otherAudiences: "the token is for other audiences too"
        case .expired(let time): "the token expired at \(time)"
        case .lastsTooLong: "the token lasts too long"
        case .scope(let error): error.description
        case .confirmation(let error): error.description
        case .actors(let error): error.description
        case .details(let error): error.description
        case .tooManyRequesters: "more than \(TransactionToken.maximumRequesters) workloads have asked for the token"
        case .badTimes: "a token cannot end before it starts"
        }
    }
}
