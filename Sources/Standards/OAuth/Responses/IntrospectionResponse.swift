import JOSE

/// The answer of the introspection endpoint (RFC 7662 §2.2). It goes out with `ResponseHeaders.json`.
package enum IntrospectionResponse: Sendable {
    /// Unknown, expired, revoked, or not the asker's business: the answer does not say which.
    case inactive
    /// The claims of a token that is good now, and how it has to be shown.
    case active(AccessTokenClaims, use: TokenResponse.Use)

    /// The body. An inactive token's has one member (RFC 7662 §2.2).
    package var serializedBytes: [UInt8] {
        switch self {
        case .inactive:
            return JSONObject([("active", false)]).serializedBytes
        case .active(let claims, let use):
            var json = JSONObject([("active", true), ("token_type", .string(use.rawValue))])
            for (name, value) in claims.json.members where json[name] == nil { json[name] = value }
            return json.serializedBytes
        }
    }
}
