extension JWTClaims {
    /// Checks `exp`, `nbf` and `iat` against a time in seconds since 1970; `leeway`, in seconds, widens all three and
    /// counts as zero if negative. A token without `exp` is refused unless `requiringExpiration` is false.
    package func checkTime(now: Int64, leeway: Int64, requiringExpiration: Bool = true) throws(JWTError) {
        let leeway = max(leeway, 0)
        // RFC 7519 §4.1.4: refused on and after the expiration time.
        if let expiration {
            if now >= Self.sum(expiration, leeway) { throw .expired(at: expiration) }
        } else if requiringExpiration {
            throw .missingClaim("exp")
        }
        if let notBefore, Self.sum(now, leeway) < notBefore { throw .notYetValid(until: notBefore) }
        if let issuedAt, Self.sum(now, leeway) < issuedAt { throw .issuedInFuture(at: issuedAt) }
    }

    /// Checks that the token is for this audience, compared byte by byte (RFC 7519 §4.1.3).
    package func checkAudience(_ expected: String) throws(JWTError) {
        guard audience.contains(where: { $0.hasSameBytes(as: expected) }) else { throw .wrongAudience }
    }

    /// Adds a leeway that is not negative, stopping at the largest integer.
    private static func sum(_ time: Int64, _ leeway: Int64) -> Int64 {
        let (sum, overflow) = time.addingReportingOverflow(leeway)
        return overflow ? .max : sum
    }
}

/// Why the claims of a token are refused.
package enum JWTError: Error, Sendable, Equatable {
    /// The payload is not acceptable JSON.
    case invalidPayload(JSONParseError)
    /// The payload is JSON but no object.
    case payloadIsNotAnObject
    /// A registered claim has the wrong JSON type.
    case wrongType(claim: String)
    /// A date is negative or after the year 9999.
    case dateOutOfRange(claim: String)
    /// A claim that the check needs is missing.
    case missingClaim(String)
    /// The token has expired, seconds since 1970.
    case expired(at: Int64)
    /// The token is not valid yet, seconds since 1970.
    case notYetValid(until: Int64)
    /// The token claims to have been issued later than now, seconds since 1970.
    case issuedInFuture(at: Int64)
    /// The token is for someone else, or for no one.
    case wrongAudience
}

extension JWTError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .invalidPayload(let error): "token payload: \(error.description)"
        case .payloadIsNotAnObject: "token payload is not an object"
        case .wrongType(let claim): "claim `\(claim.truncatedForMessage)` has the wrong type"
        case .dateOutOfRange(let claim): "claim `\(claim.truncatedForMessage)` is out of range"
        case .missingClaim(let claim): "claim `\(claim.truncatedForMessage)` is missing"
        case .expired(let time): "token expired at \(time)"
        case .notYetValid(let time): "token is not valid before \(time)"
        case .issuedInFuture(let time): "token was issued in the future at \(time)"
        case .wrongAudience: "token is for another audience"
        }
    }
}
