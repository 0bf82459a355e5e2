package import JOSE

/// A resource's demand that a person approve one transaction (draft-rosomakho-oauth-txn-challenge-00): a JWT that the agent
/// carries from the resource to the authorization server and cannot change.
///
/// Taken apart; nothing in it is proven. Issuer, key ID and certificates tell where to look for the key.
package struct UnverifiedTransactionChallenge: Sendable {
    /// The resource, by its identifier.
    package let unverifiedIssuer: String
    package let keyID: String?
    package var algorithm: JWSAlgorithm { jws.header.algorithm }
    /// The certificates of the header (`x5c`, RFC 7515 §4.1.6) in DER, leaf first: an X.509-SVID of whoever signed.
    package let certificates: [[UInt8]]?
    private let jws: CompactJWS
    private let claims: JWTClaims

    /// The media type in the header.
    package static let type = "txn-authz-challenge+jwt"
    /// Longest challenge that is read, in bytes.
    package static let maximumLength = 32 * 1024
    /// Longest life, in seconds.
    package static let maximumLifetime: Int64 = 600
    private static let maximumCertificates = 4
    private static let maximumReasonLength = 300
    private static let maximumIdentifierLength = 200
    private static let refusedHeaderMembers = ["jwk", "jku", "x5u"]

    package init(parsing text: SecretText) throws(TransactionChallengeError) {
        do {
            jws = try CompactJWS(
                parsing: text.text, limits: JWSLimits(maximumBytes: Self.maximumLength, maximumHeaderDepth: 4))
        } catch {
            throw .token(error)
        }
        for name in Self.refusedHeaderMembers where jws.header.json[name] != nil { throw .headerMember(name) }
        guard let type = jws.header.type, ByteClass.equalsIgnoringCase(type.utf8, Self.type) else { throw .badType }
        do {
            claims = try JWTClaims(
                parsing: jws.payload, limits: JSONLimits(maximumBytes: Self.maximumLength, maximumDepth: 16))
        } catch {
            throw .claims(error)
        }
        guard let issuer = claims.issuer, !issuer.isEmpty else { throw .missingClaim("iss") }
        unverifiedIssuer = issuer
        keyID = jws.header.keyID
        certificates = try jws.header.json["x5c"].map { value throws(TransactionChallengeError) in
            guard let texts = value.stringArrayValue, (1...Self.maximumCertificates).contains(texts.count) else {
                throw .headerMember("x5c")
            }
            var certificates: [[UInt8]] = []
            for text in texts {
                guard let bytes = try? Base64.decode(text) else { throw .headerMember("x5c") }
                certificates.append(bytes)
            }
            return certificates
        }
    }

    /// Checks signature, audience, times and content, with a key that the caller trusts for the issuer.
    ///
    /// - Parameter audience: the issuer identifier of this authorization server, the only audience.
    package func verify(
        with key: JWSVerificationKey, audience: String, clockSkew: Int64 = 60, now: Int64
    ) throws(TransactionChallengeError) -> TransactionChallenge {
        do {
            try jws.verify(with: key)
        } catch {
            throw .token(error)
        }
        guard claims.audience.count == 1, claims.audience[0].hasSameBytes(as: audience) else { throw .wrongAudience }
        guard let expiresAt = claims.expiration else { throw .missingClaim("exp") }
        guard claims.issuedAt != nil else { throw .missingClaim("iat") }
        guard now < expiresAt else { throw .expired(at: expiresAt) }
        guard expiresAt - now <= Self.maximumLifetime + clockSkew else { throw .lastsTooLong }
        do {
            try claims.checkTime(now: now, leeway: clockSkew)
        } catch {
            throw .claims(error)
        }
        let json = claims.json
        let tokenID = try Self.text(claims.jwtID, "jti", limit: Self.maximumIdentifierLength)
        let transactionID = try Self.text(try string("txn"), "txn", limit: Self.maximumIdentifierLength)
        let reason = try string("reason") ?? ""
        guard reason.utf8.count <= Self.maximumReasonLength,
            reason.unicodeScalars.allSatisfy(Self.isPlain)
        else { throw .badClaim("reason") }
        guard let details = json["authorization_details"] else { throw .missingClaim("authorization_details") }
        var scope = Scope.empty
        if let text = try string("scope"), !text.isEmpty {
            do { scope = try Scope(text) } catch { throw .badClaim("scope") }
        }
        var actors: ActorChain?
        if let claim = json["act"] {
            do {
                actors = try ActorChain(parsing: claim, limit: ActorChain.deepestLimit)
            } catch {
                throw .badClaim("act")
            }
        }
        do {
            return TransactionChallenge(
                issuer: unverifiedIssuer, tokenID: tokenID, transactionID: transactionID, expiresAt: expiresAt,
                details: try AuthorizationDetails(json: details), scope: scope, reason: reason,
                subject: claims.subject, actors: actors)
        } catch {
            throw .details(error)
        }
    }

    /// Whether a character is shown as it is: none that moves the cursor, breaks lines or reorders letters.
    private static func isPlain(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
        default: true
        }
    }

    private func string(_ name: String) throws(TransactionChallengeError) -> String? {
        guard let value = claims.json[name] else { return nil }
        guard let text = value.stringValue else { throw .badClaim(name) }
        return text
    }

    private static func text(
        _ value: String?, _ name: String, limit: Int
    ) throws(TransactionChallengeError) -> String {
        guard let value, !value.isEmpty else { throw .missingClaim(name) }
        guard value.utf8.count <= limit, value.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            throw .badClaim(name)
        }
        return value
    }
}

/// A challenge that a key of the resource signed for this authorization server and that has not expired. It counts once.
/// Only `UnverifiedTransactionChallenge.verify` makes values of this type.
package struct TransactionChallenge: Sendable, Equatable {
    package let issuer: String
    package let tokenID: String
    /// Names the transaction at the resource.
    package let transactionID: String
    /// Seconds since 1970.
    package let expiresAt: Int64
    /// What is to be approved; never empty.
    package let details: AuthorizationDetails
    /// Scopes that go with it; mostly none.
    package let scope: Scope
    /// Why a person is asked, in the resource's words; empty for no reason.
    package let reason: String
    /// On whose behalf the resource was called, if it says so.
    package let subject: String?
    package let actors: ActorChain?

    fileprivate init(
        issuer: String, tokenID: String, transactionID: String, expiresAt: Int64, details: AuthorizationDetails,
        scope: Scope, reason: String, subject: String?, actors: ActorChain?
    ) {
        self.issuer = issuer
        self.tokenID = tokenID
        self.transactionID = transactionID
        self.expiresAt = expiresAt
        self.details = details
        self.scope = scope
        self.reason = reason
        self.subject = subject
        self.actors = actors
    }
}

/// Why a challenge is refused.
package enum TransactionChallengeError: OAuthRefusal, Sendable, Equatable, CustomStringConvertible {
    case token(JWSError)
    case badType
    case headerMember(String)
    case claims(JWTError)
    case missingClaim(String)
    case badClaim(String)
    case details(AuthorizationDetailsError)
    case wrongAudience
    /// Seconds since 1970.
    case expired(at: Int64)
    case lastsTooLong

    package var code: OAuthErrorCode { .invalidRequest }

    package var description: String {
        switch self {
        case .token(let error): error.description
        case .badType: "the challenge is a token of another type"
        case .headerMember(let name): "the challenge's header has a member `\(name)` that is not taken"
        case .claims(let error): error.description
        case .missingClaim(let name): "claim `\(name)` is missing"
        case .badClaim(let name): "claim `\(name)` is malformed"
        case .details(let error): error.description
        case .wrongAudience: "the challenge is for another audience"
        case .expired(let time): "the challenge expired at \(time)"
        case .lastsTooLong: "the challenge lasts too long"
        }
    }
}
