/// Why a compact JWS is refused or cannot be made.
package enum JWSError: Error, Sendable, Equatable {
    /// The three parts of a compact JWS.
    package enum Part: String, Sendable {
        case header
        case payload
        case signature
    }

    /// The token is longer than the limit, in bytes.
    case tooLarge(limit: Int)
    /// The token does not have exactly three parts.
    case wrongPartCount
    /// A part is not strict base64url.
    case invalidEncoding(Part, Base64Error)
    /// The signature is empty.
    case missingSignature
    /// The header is not acceptable JSON.
    case invalidHeader(JSONParseError)
    /// The header is JSON but no object.
    case headerIsNotAnObject
    /// The header names no algorithm.
    case missingAlgorithm
    /// The header claims that there is nothing to verify (`none` in any spelling).
    case unsecured
    /// The header names an algorithm this product does not use.
    case unsupportedAlgorithm(String)
    /// A header member has the wrong JSON type.
    case wrongType(member: String)
    /// The header has `crit` or `b64`: it asks for extensions that nothing here understands (RFC 7515 §4.1.11).
    case unsupportedExtension(String)
    /// The header's algorithm is not the key's.
    case algorithmMismatch(expected: JWSAlgorithm, found: JWSAlgorithm)
    /// The signature does not verify.
    case invalidSignature
    /// A header to be signed repeats a member, or has one that is written from the key or refused by readers.
    case refusedHeaderMember(String)
    /// The cryptographic library could not sign.
    case signingFailed
}

extension JWSError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .tooLarge(let limit): "token is larger than \(limit) bytes"
        case .wrongPartCount: "token does not have three parts"
        case .invalidEncoding(let part, let error): "token \(part.rawValue): \(error.description)"
        case .missingSignature: "token has no signature"
        case .invalidHeader(let error): "token header: \(error.description)"
        case .headerIsNotAnObject: "token header is not an object"
        case .missingAlgorithm: "token header names no algorithm"
        case .unsecured: "token is unsecured"
        case .unsupportedAlgorithm(let name): "unsupported algorithm `\(name.truncatedForMessage)`"
        case .wrongType(let member): "member `\(member.truncatedForMessage)` of token header has the wrong type"
        case .unsupportedExtension(let member): "token header has unsupported member `\(member.truncatedForMessage)`"
        case .algorithmMismatch(let expected, let found):
            "token is signed by `\(found.rawValue)`, the key is for `\(expected.rawValue)`"
        case .invalidSignature: "token signature does not verify"
        case .refusedHeaderMember(let member): "member `\(member.truncatedForMessage)` may not be set in token header"
        case .signingFailed: "token could not be signed"
        }
    }
}
