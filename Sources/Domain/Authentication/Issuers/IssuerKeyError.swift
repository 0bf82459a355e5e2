package import JOSE

/// Why there is no key of an issuer. To the peer all of them are one: `invalid_client`.
package enum IssuerKeyError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Not one of the operator's issuers.
    case unknownIssuer
    /// The issuer may not sign with this algorithm.
    case algorithmNotAllowed(JWSAlgorithm)
    /// The key ID is empty or too long.
    case badKeyID
    /// The issuer has no such key for the algorithm.
    case noSuchKey
    /// Several keys of the issuer fit, and the assertion does not say which.
    case keyIDRequired
    /// The issuer's name leads to no place for its metadata.
    case badLocation
    /// The issuer's metadata could not be fetched.
    case metadata(IssuerDocumentError)
    /// The issuer's metadata are not acceptable JSON.
    case malformedMetadata(JSONParseError)
    /// The metadata do not name the issuer byte by byte (OpenID Connect Discovery 1.0 §4.3, RFC 8414 §3.3).
    case wrongIssuer
    /// The metadata have no `jwks_uri`, or one that may not be asked.
    case badKeysURL
    /// The keys could not be fetched.
    case keys(IssuerDocumentError)
    case malformedKeys(IssuerKeysError)
    /// Too many callers wait for this issuer's keys.
    case busy
    /// The caller does not want it any more.
    case cancelled

    package var description: String {
        switch self {
        case .unknownIssuer: "the issuer is not trusted"
        case .algorithmNotAllowed(let algorithm): "algorithm `\(algorithm.rawValue)` is not allowed for the issuer"
        case .badKeyID: "the key id is empty or too long"
        case .noSuchKey: "the issuer has no such key"
        case .keyIDRequired: "several keys of the issuer fit and the assertion has no key id"
        case .badLocation: "the issuer's name leads to no url of metadata"
        case .metadata(let error): "the issuer's metadata: \(error)"
        case .malformedMetadata(let error): "the issuer's metadata: \(error)"
        case .wrongIssuer: "the issuer's metadata are of another issuer"
        case .badKeysURL: "the issuer's metadata have no acceptable `jwks_uri`"
        case .keys(let error): "the issuer's keys: \(error)"
        case .malformedKeys(let error): "the issuer's keys: \(error)"
        case .busy: "too many callers wait for the issuer's keys"
        case .cancelled: "the look-up was given up"
        }
    }
}
