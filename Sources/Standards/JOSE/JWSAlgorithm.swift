/// The signature algorithms of RFC 7518 §3.1 and RFC 8037 §3.1 that are understood here; `none` and the shared-secret
/// algorithms cannot be expressed.
package enum JWSAlgorithm: String, Sendable, CaseIterable {
    case es256 = "ES256"
    case es384 = "ES384"
    case es512 = "ES512"
    case rs256 = "RS256"
    case rs384 = "RS384"
    case rs512 = "RS512"
    case ps256 = "PS256"
    case ps384 = "PS384"
    case ps512 = "PS512"
    case eddsa = "EdDSA"

    /// Whether this is one of the six RSA algorithms.
    package var usesRSA: Bool {
        switch self {
        case .rs256, .rs384, .rs512, .ps256, .ps384, .ps512: true
        case .es256, .es384, .es512, .eddsa: false
        }
    }
}
