package import OAuth

/// Why a request with an access token is refused.
package enum AccessTokenRefusal: OAuthRefusal, Sendable, Equatable, CustomStringConvertible {
    /// The request shows no token: the challenge says how to get one, and no error (RFC 6750 §3.1).
    case noToken
    /// `Authorization` cannot be read, or is there twice.
    case malformed
    case token(AccessTokenError)
    /// The token names no key of its issuer.
    case unknownKey
    /// The keys of the issuer cannot be had now.
    case keysUnavailable
    case revoked
    /// Nothing recent is known of revocations, so nobody can tell.
    case revocationsUnknown
    /// A bound token came without what it is bound to, or with another key or certificate.
    case notTheHolder
    /// The resource takes bound tokens only.
    case notBound
    case proof(DPoPError)
    /// The proof was used before.
    case replayed
    /// No more proofs can be remembered.
    case tooManyProofs
    case scope(missing: [String])
    /// The token is for one approved act, and nobody here can have it used up.
    case forOneUse
    /// The token was used already.
    case usedUp
    /// Whether the token was used cannot be found out now.
    case useUnknown

    package var code: OAuthErrorCode {
        switch self {
        case .noToken, .token, .unknownKey, .revoked, .notTheHolder, .notBound, .forOneUse, .usedUp: .invalidToken
        case .malformed: .invalidRequest
        case .keysUnavailable, .revocationsUnknown, .tooManyProofs, .useUnknown: .temporarilyUnavailable
        case .proof(let error): error.code
        case .replayed: .invalidDPoPProof
        case .scope: .insufficientScope
        }
    }

    package var description: String {
        switch self {
        case .noToken: "the request has no access token"
        case .malformed: "`Authorization` cannot be read"
        case .token(let error): error.description
        case .unknownKey: "the token names no key of its issuer"
        case .keysUnavailable: "the issuer's keys cannot be had"
        case .revoked: "the token is revoked"
        case .revocationsUnknown: "nothing recent is known of revocations"
        case .notTheHolder: "the token is bound to another key or certificate"
        case .notBound: "the token is not bound to a key"
        case .proof(let error): error.description
        case .replayed: "the proof was used before"
        case .tooManyProofs: "no more proofs can be remembered"
        case .scope(let missing): "scope `\(missing.joined(separator: " "))` is missing"
        case .forOneUse: "the token is for one approved act, which is not taken here"
        case .usedUp: "the token was used"
        case .useUnknown: "nobody can tell whether the token was used"
        }
    }
}
