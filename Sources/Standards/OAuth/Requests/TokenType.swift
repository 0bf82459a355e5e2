import JOSE

/// What kind of token something is, by its URI (RFC 8693 §3 and those who registered more).
package enum TokenType: Sendable, Hashable {
    case accessToken
    case refreshToken
    case idToken
    case jwt
    case saml1
    case saml2
    /// draft-ietf-oauth-transaction-tokens-11
    case transactionToken
    case selfSigned
    case unsignedJSON
    /// draft-ietf-oauth-identity-assertion-authz-grant-04
    case identityAssertionGrant
    /// A URI without meaning here.
    case other(ResourceIndicator)

    private static let known: [TokenType] = [
        .accessToken, .refreshToken, .idToken, .jwt, .saml1, .saml2, .transactionToken, .selfSigned, .unsignedJSON,
        .identityAssertionGrant,
    ]

    /// Reads a URI; anything else is refused.
    package init(_ text: String) throws(ResourceIndicator.ParseError) {
        if let known = Self.known.first(where: { $0.uri.hasSameBytes(as: text) }) {
            self = known
        } else {
            self = .other(try ResourceIndicator(text))
        }
    }

    /// The URI.
    package var uri: String {
        switch self {
        case .accessToken: "urn:ietf:params:oauth:token-type:access_token"
        case .refreshToken: "urn:ietf:params:oauth:token-type:refresh_token"
        case .idToken: "urn:ietf:params:oauth:token-type:id_token"
        case .jwt: "urn:ietf:params:oauth:token-type:jwt"
        case .saml1: "urn:ietf:params:oauth:token-type:saml1"
        case .saml2: "urn:ietf:params:oauth:token-type:saml2"
        case .transactionToken: "urn:ietf:params:oauth:token-type:txn_token"
        case .selfSigned: "urn:ietf:params:oauth:token-type:self_signed"
        case .unsignedJSON: "urn:ietf:params:oauth:token-type:unsigned_json"
        case .identityAssertionGrant: "urn:ietf:params:oauth:token-type:id-jag"
        case .other(let uri): uri.string
        }
    }
}
