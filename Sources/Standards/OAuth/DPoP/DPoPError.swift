package import JOSE

/// Why a DPoP proof is refused or cannot be made.
package enum DPoPError: OAuthRefusal, Sendable, Equatable, CustomStringConvertible {
    case token(JWSError)
    /// `typ` is not `dpop+jwt`.
    case badType
    case algorithmNotAllowed(JWSAlgorithm)
    /// No `jwk` in the header.
    case missingKey
    /// The `jwk` is a private or a secret key.
    case privateKey
    case badKey(JWKError)
    case claims(JWTError)
    case missingClaim(String)
    /// `jti` is empty or too long.
    case badTokenID
    case wrongMethod
    case badURL(WebURL.ParseError)
    case wrongURL
    /// Seconds since 1970.
    case tooOld(issuedAt: Int64)
    /// No nonce, or one that no longer counts.
    case nonceNeeded
    /// `ath` is of another token.
    case wrongAccessToken
    /// The token is bound to another key.
    case wrongKey

    package var code: OAuthErrorCode {
        switch self {
        case .nonceNeeded: .useDPoPNonce
        case .wrongKey: .invalidToken
        default: .invalidDPoPProof
        }
    }

    package var description: String {
        switch self {
        case .token(let error): error.description
        case .badType: "proof type is not `\(DPoPProof.type)`"
        case .algorithmNotAllowed(let algorithm): "algorithm `\(algorithm.rawValue)` is not allowed for proofs"
        case .missingKey: "the proof has no key"
        case .privateKey: "the proof shows a private key"
        case .badKey(let error): error.description
        case .claims(let error): error.description
        case .missingClaim(let name): "claim `\(name)` is missing"
        case .badTokenID: "claim `jti` is empty or too long"
        case .wrongMethod: "the proof is for another method"
        case .badURL(let error): error.description
        case .wrongURL: "the proof is for another url"
        case .tooOld(let time): "the proof was made at \(time), too long ago"
        case .nonceNeeded: "the proof needs a nonce of this server"
        case .wrongAccessToken: "the proof is for another access token"
        case .wrongKey: "the token is bound to another key"
        }
    }
}
