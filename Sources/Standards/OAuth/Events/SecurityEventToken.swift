package import JOSE

/// A security event token (RFC 8417) of shared signals (Shared Signals Framework 1.0 §4), taken apart. Nothing in it is proven;
/// the issuer and the key ID tell where to look for the key.
package struct UnverifiedSecurityEvent: Sendable {
    package let unverifiedIssuer: String
    package let keyID: String?
    package var algorithm: JWSAlgorithm { jws.header.algorithm }
    private let jws: CompactJWS
    private let claims: JWTClaims
    private let subject: SubjectIdentifier?
    private let events: [SecurityEvent]
    private let tokenID: String

    /// The media type of a request with one (RFC 8935 §2.1), and what `typ` says, with its prefix or without.
    package static let mediaType = "application/secevent+jwt"
    /// Longest token that is read, in bytes.
    package static let maximumLength = 16 * 1024
    /// Longest `jti`, in bytes.
    package static let maximumTokenIDBytes = 256
    /// Most events of one token.
    package static let maximumEvents = 16

    /// Header members by which a token would choose its own key.
    private static let refusedHeaderMembers = ["jwk", "jku", "x5u"]

    /// Reads type and claims: `iss`, `iat`, `jti` and events have to be there, `sub` and `exp` must not, so that no other kind of
    /// token is one and this is none of them (SSF 1.0 §4.1).
    package init(parsing token: some Collection<UInt8>) throws(SecurityEventError) {
        do {
            jws = try CompactJWS(
                parsing: token, limits: JWSLimits(maximumBytes: Self.maximumLength, maximumHeaderDepth: 4))
        } catch {
            throw .token(error)
        }
        let type = jws.header.type ?? ""
        guard ["secevent+jwt", Self.mediaType].contains(where: { ByteClass.equalsIgnoringCase(type.utf8, $0) }) else {
            throw .badType
        }
        for name in Self.refusedHeaderMembers where jws.header.json[name] != nil { throw .headerMember(name) }
        do {
            claims = try JWTClaims(
                parsing: jws.payload, limits: JSONLimits(maximumBytes: Self.maximumLength, maximumDepth: 16))
        } catch {
            throw .claims(error)
        }
        for name in ["sub", "exp"] where claims.json[name] != nil { throw .unexpectedClaim(name) }
        guard let issuer = claims.issuer, !issuer.isEmpty else { throw .missingClaim("iss") }
        guard claims.issuedAt != nil else { throw .missingClaim("iat") }
        guard let tokenID = claims.jwtID, (1...Self.maximumTokenIDBytes).contains(tokenID.utf8.count) else {
            throw .missingClaim("jti")
        }
        guard let events = claims.json["events"]?.objectValue, (1...Self.maximumEvents).contains(events.count) else {
            throw .badEvents
        }
        unverifiedIssuer = issuer
        keyID = jws.header.keyID
        self.tokenID = tokenID
        var read: [SecurityEvent] = []
        for (type, payload) in events.members {
            guard let payload = payload.objectValue, type.utf8.count <= SubjectIdentifier.maximumLength else {
                throw .badEvents
            }
            read.append(SecurityEvent(type: type, payload: payload))
        }
        self.events = read
        do {
            subject = try claims.json["sub_id"].map { value throws(SubjectIdentifier.ParseError) in
                try SubjectIdentifier(parsing: value)
            }
        } catch {
            throw .subject(error)
        }
    }

    /// Checks signature, audience and age, in this order, with a key that the caller trusts for the issuer.
    package func verify(
        with key: JWSVerificationKey, audience: String, policy: SecurityEventPolicy = SecurityEventPolicy(), now: Int64
    ) throws(SecurityEventError) -> VerifiedSecurityEvent {
        guard policy.algorithms.contains(algorithm) else { throw .algorithmNotAllowed(algorithm) }
        do {
            try jws.verify(with: key)
        } catch {
            throw .token(error)
        }
        // One receiver: what is for others too could have been sent here by any of them.
        guard claims.audience.count == 1, claims.audience[0].hasSameBytes(as: audience) else { throw .wrongAudience }
        guard let issuedAt = claims.issuedAt else { throw .missingClaim("iat") }
        do {
            try claims.checkTime(now: now, leeway: policy.clockSkew, requiringExpiration: false)
        } catch {
            throw .claims(error)
        }
        // Dates are seconds of the calendar: nothing overflows.
        guard now - issuedAt < policy.longestAge else { throw .tooOld }
        return VerifiedSecurityEvent(
            issuer: unverifiedIssuer, tokenID: tokenID, issuedAt: issuedAt,
            replayableUntil: issuedAt + policy.longestAge, subject: subject, events: events)
    }
}

/// What a receiver demands of security event tokens.
package struct SecurityEventPolicy: Sendable {
    /// Seconds after its making during which one counts. A transmitter that was away sends late, and for as long its
    /// identifiers have to be remembered.
    package var longestAge: Int64
    /// How far the other clock may be ahead, in seconds.
    package var clockSkew: Int64
    package var algorithms: [JWSAlgorithm]

    package init(
        longestAge: Int64 = 24 * 3600, clockSkew: Int64 = 60, algorithms: [JWSAlgorithm] = [.rs256, .es256]
    ) {
        self.longestAge = longestAge
        self.clockSkew = clockSkew
        self.algorithms = algorithms
    }
}

/// One event: its type, a URI, and what it says.
package struct SecurityEvent: Sendable {
    package let type: String
    package let payload: JSONObject

    /// `https://schemas.openid.net/secevent/` and what follows for an event of CAEP 1.0 or RISC 1.0.
    package static let caep = "https://schemas.openid.net/secevent/caep/event-type/"
    package static let risc = "https://schemas.openid.net/secevent/risc/event-type/"
    /// How a transmitter tries a stream out (SSF 1.0 §8.1.4.1).
    package static let verification = "https://schemas.openid.net/secevent/ssf/event-type/verification"
    /// What becomes of a stream (SSF 1.0 §8.1.5).
    package static let streamUpdated = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated"
}

/// A token that its issuer's key signed for this receiver, not too long ago. Whether it was here before is the receiver's to
/// know. Only `UnverifiedSecurityEvent.verify` makes values of this type.
package struct VerifiedSecurityEvent: Sendable {
    package let issuer: String
    package let tokenID: String
    /// Seconds since 1970.
    package let issuedAt: Int64
    /// Seconds since 1970: `tokenID` has to be remembered until then.
    package let replayableUntil: Int64
    /// Nil where the token names nobody.
    package let subject: SubjectIdentifier?
    package let events: [SecurityEvent]

    fileprivate init(
        issuer: String, tokenID: String, issuedAt: Int64, replayableUntil: Int64, subject: SubjectIdentifier?,
        events: [SecurityEvent]
    ) {
        self.issuer = issuer
        self.tokenID = tokenID
        self.issuedAt = issuedAt
        self.replayableUntil = replayableUntil
        self.subject = subject
        self.events = events
    }
}

/// Why a security event token is refused.
package enum SecurityEventError: Error, Sendable, Equatable, CustomStringConvertible {
    case token(JWSError)
    case badType
    case algorithmNotAllowed(JWSAlgorithm)
    /// A header member by which the token brings or names its own key.
    case headerMember(String)
    case claims(JWTError)
    case missingClaim(String)
    /// A claim that other kinds of token have.
    case unexpectedClaim(String)
    /// None, too many, or one that is no object.
    case badEvents
    case subject(SubjectIdentifier.ParseError)
    case wrongAudience
    case tooOld

    package var description: String {
        switch self {
        case .token(let error): error.description
        case .badType: "the token is of another type"
        case .algorithmNotAllowed(let algorithm): "algorithm `\(algorithm.rawValue)` is not allowed"
        case .headerMember(let name): "the token's header has member `\(name)`"
        case .claims(let error): error.description
        case .missingClaim(let name): "claim `\(name)` is missing"
        case .unexpectedClaim(let name): "claim `\(name)` does not belong into a security event"
        case .badEvents: "claim `events` has no event, too many, or one that is no object"
        case .subject(let error): error.description
        case .wrongAudience: "the token is for another audience"
        case .tooOld: "the token is too old"
        }
    }

    /// What the transmitter is told (RFC 8935 §2.4).
    package var code: EventDeliveryError.Code {
        switch self {
        case .token(.invalidSignature), .token(.algorithmMismatch): .authenticationFailed
        case .algorithmNotAllowed, .headerMember: .invalidKey
        case .wrongAudience: .invalidAudience
        case .token, .badType, .claims, .missingClaim, .unexpectedClaim, .badEvents, .subject, .tooOld: .invalidRequest
        }
    }
}

/// The body of a refused delivery (RFC 8935 §2.3).
package struct EventDeliveryError: Error, Sendable, Equatable {
    package let code: Code
    /// For whoever runs the transmitter; never about anything but its own token.
    package let description: String

    package enum Code: String, Sendable, CaseIterable {
        case invalidRequest = "invalid_request"
        case invalidKey = "invalid_key"
        case invalidIssuer = "invalid_issuer"
        case invalidAudience = "invalid_audience"
        case authenticationFailed = "authentication_failed"
        case accessDenied = "access_denied"
    }

    package init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }

    package init(_ error: SecurityEventError) { self.init(error.code, error.description) }

    package var serializedBytes: [UInt8] {
        JSONObject([("err", .string(code.rawValue)), ("description", .string(description))]).serializedBytes
    }
}
