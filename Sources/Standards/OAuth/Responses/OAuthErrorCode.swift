/// Where a request was refused; the same code can have another status there.
package enum OAuthEndpoint: Sendable, CaseIterable {
    /// Token, introspection and revocation endpoint (RFC 6749 §5.2, RFC 7662 §2.3, RFC 7009 §2.2.1).
    case token
    /// The endpoint where CIBA begins (CIBA Core 1.0 §13).
    case backchannelAuthentication
    /// A protected resource (RFC 6750 §3.1).
    case resource
}

/// The error codes of the standards.
package enum OAuthErrorCode: String, Sendable, CaseIterable {
    // RFC 6749 §5.2
    case invalidRequest = "invalid_request"
    case invalidClient = "invalid_client"
    case invalidGrant = "invalid_grant"
    case unauthorizedClient = "unauthorized_client"
    case unsupportedGrantType = "unsupported_grant_type"
    case invalidScope = "invalid_scope"
    // RFC 6749 §4.1.2.1, used at other endpoints with their own status
    case accessDenied = "access_denied"
    case unsupportedResponseType = "unsupported_response_type"
    case serverError = "server_error"
    case temporarilyUnavailable = "temporarily_unavailable"
    // RFC 6750 §3.1
    case invalidToken = "invalid_token"
    case insufficientScope = "insufficient_scope"
    // RFC 7009 §2.2.1
    case unsupportedTokenType = "unsupported_token_type"
    // RFC 8693 §2.2.2, RFC 8707 §2
    case invalidTarget = "invalid_target"
    // RFC 9396 §5
    case invalidAuthorizationDetails = "invalid_authorization_details"
    // RFC 9449 §5, §8, §9
    case invalidDPoPProof = "invalid_dpop_proof"
    case useDPoPNonce = "use_dpop_nonce"
    // RFC 9470 §3
    case insufficientUserAuthentication = "insufficient_user_authentication"
    // RFC 8628 §3.5, CIBA Core 1.0 §11
    case authorizationPending = "authorization_pending"
    case slowDown = "slow_down"
    case expiredToken = "expired_token"
    // CIBA Core 1.0 §11 and §13
    case transactionFailed = "transaction_failed"
    case expiredLoginHintToken = "expired_login_hint_token"
    case unknownUserID = "unknown_user_id"
    case missingUserCode = "missing_user_code"
    case invalidUserCode = "invalid_user_code"
    case invalidBindingMessage = "invalid_binding_message"
    // draft-mcguinness-oauth-actor-profile-00
    case actorUnauthorized = "actor_unauthorized"

    /// The HTTP status that goes with the code.
    package func status(at endpoint: OAuthEndpoint) -> Int {
        switch self {
        case .invalidClient, .invalidToken, .insufficientUserAuthentication: 401
        case .invalidDPoPProof, .useDPoPNonce: endpoint == .resource ? 401 : 400
        case .insufficientScope, .actorUnauthorized: 403
        case .accessDenied: endpoint == .token ? 400 : 403
        case .serverError: 500
        case .temporarilyUnavailable: 503
        case .invalidRequest, .invalidGrant, .unauthorizedClient, .unsupportedGrantType, .invalidScope,
            .unsupportedResponseType, .unsupportedTokenType, .invalidTarget, .invalidAuthorizationDetails,
            .authorizationPending, .slowDown, .expiredToken, .transactionFailed, .expiredLoginHintToken,
            .unknownUserID, .missingUserCode, .invalidUserCode, .invalidBindingMessage:
            400
        }
    }
}

/// A rule's refusal that knows which of the standard's codes the peer is told.
package protocol OAuthRefusal: Error {
    /// The code that the peer gets; details go to log and audit.
    var code: OAuthErrorCode { get }
}

extension FormError: OAuthRefusal {
    package var code: OAuthErrorCode { .invalidRequest }
}
