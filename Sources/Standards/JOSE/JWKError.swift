/// Why a JSON Web Key or a set of them is refused.
package enum JWKError: Error, Sendable, Equatable {
    /// The text is not acceptable JSON.
    case json(JSONParseError)
    /// The key set is no object with an array `keys`, or one of its entries is no object.
    case notAKeySet
    /// A required member is missing.
    case missingMember(String)
    /// A member has the wrong JSON type.
    case wrongType(member: String)
    /// A member is not strict base64 or base64url.
    case invalidEncoding(member: String)
    /// Coordinates, exponent or bytes do not make a public key of the stated type.
    case invalidKey
    /// The RSA modulus has a size outside `JWK.allowedRSAModulusBits`.
    case refusedRSASize(bits: Int)
    /// A key type this product does not use.
    case unsupportedKeyType(String)
    /// A curve this product does not use.
    case unsupportedCurve(String)
    /// An algorithm this product does not use.
    case unsupportedAlgorithm(String)
    /// The algorithm does not belong to this type of key.
    case algorithmMismatch
    /// The key says that it is for something else than checking signatures.
    case notForVerification

    /// Whether a key set may pass over the entry, because it is meant for other readers (RFC 7517 §5).
    var isUnsupported: Bool {
        switch self {
        case .unsupportedKeyType, .unsupportedCurve, .unsupportedAlgorithm: true
        default: false
        }
    }
}

extension JWKError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .json(let error): error.description
        case .notAKeySet: "key set is not an object with an array of key objects"
        case .missingMember(let name): "key lacks member `\(name.truncatedForMessage)`"
        case .wrongType(let member): "member `\(member.truncatedForMessage)` of key has the wrong type"
        case .invalidEncoding(let member): "member `\(member.truncatedForMessage)` of key is not strictly encoded"
        case .invalidKey: "key material is invalid"
        case .refusedRSASize(let bits): "RSA keys of \(bits) bits are refused"
        case .unsupportedKeyType(let name): "unsupported key type `\(name.truncatedForMessage)`"
        case .unsupportedCurve(let name): "unsupported curve `\(name.truncatedForMessage)`"
        case .unsupportedAlgorithm(let name): "unsupported algorithm `\(name.truncatedForMessage)`"
        case .algorithmMismatch: "algorithm does not belong to this type of key"
        case .notForVerification: "key is not for checking signatures"
        }
    }
}
