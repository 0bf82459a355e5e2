package import JOSE

/// Transaction tokens (draft-ietf-oauth-transaction-tokens-11): what one request is for, on whose behalf and through whom, for
/// every workload of a trust domain that it comes through. They are no access tokens, and authenticate nobody.
package enum TransactionToken {
    /// The media type in the header, `typ`.
    package static let type = "txntoken+jwt"
    /// The header field that carries it, once.
    package static let headerField = "Txn-Token"
    /// The longest that one lasts, in seconds: "minutes or less".
    package static let maximumLifetime: Int64 = 300
    /// How long one lasts where nobody says otherwise, in seconds.
    package static let defaultLifetime: Int64 = 60
    /// The most workloads that have asked for a token and for those that replaced it.
    package static let maximumRequesters = 16

    /// What is signed.
    package static func payload(of claims: TransactionClaims) throws(TypedTokenError) -> [UInt8] {
        guard claims.issuedAt < claims.expiresAt, JWTClaims.allowedDates.contains(claims.issuedAt),
            JWTClaims.allowedDates.contains(claims.expiresAt)
        else { throw .badTimes }
        guard claims.expiresAt - claims.issuedAt <= maximumLifetime else { throw .lastsTooLong }
        for (name, value) in [
            ("iss", claims.issuer), ("aud", claims.audience), ("sub", claims.subject), ("txn", claims.transactionID),
            ("chain_root", claims.chainRoot),
        ] where value.isEmpty {
            throw .missingClaim(name)
        }
        guard !claims.scope.isEmpty else { throw .missingClaim("scope") }
        guard !claims.requesters.isEmpty else { throw .missingClaim("req_wl") }
        guard claims.requesters.count <= maximumRequesters else { throw .tooManyRequesters }
        guard claims.requesters.allSatisfy({ !$0.isEmpty && !$0.utf8.contains(UInt8(ascii: ",")) }) else {
            throw .badClaim("req_wl")
        }
        let payload = claims.json.serializedBytes
        // With header and signature it has to fit what is read.
        guard payload.count <= TypedToken.maximumLength / 2 else {
            throw .token(.tooLarge(limit: TypedToken.maximumLength))
        }
        return payload
    }

    /// The token of a request: exactly one header field with exactly one token in it.
    package static func presented(_ values: [String]) throws(TransactionTokenRefusal) -> String {
        guard let value = values.first else { throw .noToken }
        guard values.count == 1, !value.isEmpty,
            value.utf8.allSatisfy({ (0x21...0x7e).contains($0) && $0 != UInt8(ascii: ",") })
        else { throw .malformed }
        return value
    }
}

/// What a workload demands of transaction tokens.
package struct TransactionTokenPolicy: Sendable {
    /// The one issuer whose tokens are taken.
    package var issuer: String
    /// The trust domain's name in tokens: its SPIFFE ID.
    package var audience: String
    /// The longest chain of actors.
    package var actorLimit: Int
    /// How far the issuer's clock may be ahead, in seconds: widens `nbf` and `iat`, never `exp`.
    package var clockSkew: Int64

    package init(
        issuer: String, audience: String, actorLimit: Int = ActorChain.defaultLimit, clockSkew: Int64 = 60
    ) {
        self.issuer = issuer
        self.audience = audience
        self.actorLimit = actorLimit
        self.clockSkew = clockSkew
    }
}

/// A transaction token taken apart. Nothing in it is proven.
package struct UnverifiedTransactionToken: Sendable {
    /// The key that it names.
    package let keyID: String
    package var algorithm: JWSAlgorithm { token.algorithm }
    /// Who claims to have issued it.
    package var unverifiedIssuer: String? { token.claims.issuer }
    private let token: TypedToken

    package init(parsing text: String) throws(TypedTokenError) {
        token = try TypedToken(parsing: text, types: [TransactionToken.type])
        guard let keyID = token.keyID, !keyID.isEmpty else { throw .missingKeyID }
        self.keyID = keyID
    }

    /// Checks signature, issuer, audience, times and form, in this order, with a key that the caller trusts for the issuer.
    package func verify(
        with key: JWSVerificationKey, policy: TransactionTokenPolicy, now: Int64
    ) throws(TypedTokenError) -> VerifiedTransactionToken {
        try token.verify(with: key)
        guard let issuer = token.claims.issuer else { throw .missingClaim("iss") }
        guard issuer.hasSameBytes(as: policy.issuer) else { throw .wrongIssuer }
        guard try token.onlyAudience().hasSameBytes(as: policy.audience) else { throw .wrongAudience }
        let times = try token.checkTimes(
            maximumLifetime: TransactionToken.maximumLifetime, clockSkew: policy.clockSkew, now: now)
        return VerifiedTransactionToken(
            try TransactionClaims(token, times, actorLimit: policy.actorLimit), keyID: keyID)
    }
}

/// A transaction token that its issuer's key signed for this trust domain and that had not expired. It says what a request is
/// for, and nothing about who sends it. Only `UnverifiedTransactionToken.verify` makes values of this type.
package struct VerifiedTransactionToken: Sendable {
    package let claims: TransactionClaims
    package let keyID: String

    fileprivate init(_ claims: TransactionClaims, keyID: String) {
        self.claims = claims
        self.keyID = keyID
    }
}

/// Why a request with a transaction token is refused.
package enum TransactionTokenRefusal: Error, Sendable, Equatable, CustomStringConvertible {
    /// The request has none.
    case noToken
    /// There are several, or what is there is none.
    case malformed
    case token(TypedTokenError)
    /// The token names no key of its issuer.
    case unknownKey
    /// The keys of the issuer cannot be had now.
    case keysUnavailable
    case revoked
    /// Nothing recent is known of revocations, so nobody can tell.
    case revocationsUnknown
    case scope(missing: [String])

    /// Whether the same token may be taken a moment later.
    package var isTemporary: Bool { self == .keysUnavailable || self == .revocationsUnknown }

    package var description: String {
        switch self {
        case .noToken: "the request has no transaction token"
        case .malformed: "`\(TransactionToken.headerField)` is there twice, or holds no single token"
        case .token(let error): error.description
        case .unknownKey: "the token names no key of its issuer"
        case .keysUnavailable: "the issuer's keys cannot be had"
        case .revoked: "the token is revoked"
        case .revocationsUnknown: "nothing recent is known of revocations"
        case .scope(let missing): "scope `\(missing.joined(separator: " "))` is missing"
        }
    }
}
