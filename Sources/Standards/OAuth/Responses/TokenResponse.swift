package import JOSE

/// The answer of the token endpoint (RFC 6749 §5.1, RFC 8693 §2.2.1). It goes out with `ResponseHeaders.json`.
package struct TokenResponse: Sendable {
    /// The token, of whatever type; RFC 8693 calls the member `access_token` all the same.
    package let token: SecretText
    package let use: Use
    /// Seconds from now. Our own answers always say it; those of others may not.
    package let expiresIn: Int64?
    /// What was granted.
    package let scope: Scope?
    /// Mandatory in the answer to a token exchange.
    package let issuedTokenType: TokenType?
    package let authorizationDetails: AuthorizationDetails?
    /// Members of a profile.
    package let otherMembers: JSONObject

    /// How a request shows the token.
    package enum Use: String, Sendable, CaseIterable {
        /// RFC 6750, and certificate-bound tokens (RFC 8705 §3)
        case bearer = "Bearer"
        /// RFC 9449 §5
        case dpop = "DPoP"
        /// Not as access token (RFC 8693 §2.2.1).
        case notApplicable = "N_A"
    }

    package init(
        token: SecretText, use: Use, expiresIn: Int64?, scope: Scope? = nil, issuedTokenType: TokenType? = nil,
        authorizationDetails: AuthorizationDetails? = nil, otherMembers: JSONObject = JSONObject()
    ) {
        self.token = token
        self.use = use
        self.expiresIn = expiresIn.map { max($0, 0) }
        self.scope = scope
        self.issuedTokenType = issuedTokenType
        self.authorizationDetails = authorizationDetails
        self.otherMembers = otherMembers
    }

    /// The body; no member of a profile can take the place of another.
    package var serializedBytes: [UInt8] {
        var json = JSONObject([
            ("access_token", .string(token.text)),
            ("token_type", .string(use.rawValue)),
        ])
        if let expiresIn { json["expires_in"] = .number(JSONNumber(expiresIn)) }
        if let scope { json["scope"] = .string(scope.string) }
        if let issuedTokenType { json["issued_token_type"] = .string(issuedTokenType.uri) }
        if let authorizationDetails { json["authorization_details"] = authorizationDetails.json }
        for (name, value) in otherMembers.members where json[name] == nil { json[name] = value }
        return json.serializedBytes
    }
}
