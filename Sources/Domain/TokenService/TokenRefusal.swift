package import OAuth

/// Why there is no token. The peer reads the code and, where it helps an honest client and no other, a sentence; the log has
/// the reason.
package struct TokenRefusal: Error, Sendable {
    package let code: OAuthErrorCode
    /// A sentence for the peer; nil where near misses must look alike.
    package let hint: String?
    /// For the log, never with a secret in it.
    package let reason: String

    /// A refusal that says to the peer what it says to the log.
    init(_ code: OAuthErrorCode, _ reason: String) {
        self.code = code
        hint = reason
        self.reason = reason
    }

    /// A refusal whose reason is for the log alone.
    init(silently code: OAuthErrorCode, _ reason: String) {
        self.code = code
        hint = nil
        self.reason = reason
    }

    /// The client did not prove who it is. Every way to fail looks the same from outside.
    static func client(_ reason: String) -> TokenRefusal { TokenRefusal(silently: .invalidClient, reason) }

    /// The service itself cannot do it now.
    static func unavailable(_ reason: String) -> TokenRefusal {
        TokenRefusal(silently: .temporarilyUnavailable, reason)
    }

    package var error: OAuthError { OAuthError(code, description: hint) }
}
