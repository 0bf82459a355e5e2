public import SPIFFE

/// Who sends a request to an agent, as the transport has verified it.
public struct A2ACaller: Sendable, Hashable {
    /// How a caller proved who it is.
    public enum Method: String, Sendable, Hashable {
        /// Not at all.
        case none
        /// By an X.509-SVID in the TLS handshake.
        case mutualTLS = "mtls"
        /// By an access token that is bound to a key which the caller proved to hold.
        case boundToken = "bound-token"
        /// By an access token that anybody could present who has seen it.
        case bearerToken = "bearer-token"
        /// By a signature over the request (WIMSE).
        case signature = "wimse-signature"
        /// By a user name and a password, or another static word.
        case staticCredential = "static-credential"
    }

    /// How it proved who it is.
    public let method: Method
    /// Who calls, as the proof names it; empty when nobody knows.
    public let name: String
    /// The same as SPIFFE ID, if it is one.
    public let id: SPIFFEID?
    /// On whose behalf it calls, if not on its own.
    public let subject: String?
    /// What its token allows; `nil` without a token.
    public let scopes: Set<String>?

    /// A caller that a transport has verified.
    public init(method: Method, name: String, subject: String? = nil, scopes: Set<String>? = nil) {
        self.method = method
        self.name = name
        id = try? SPIFFEID(name)
        self.subject = subject == name ? nil : subject
        self.scopes = scopes
    }

    /// Somebody who proved nothing.
    public static let anonymous = A2ACaller(method: .none, name: "")

    /// What tells callers apart: tasks and conversations belong to it. The same agent has the same one whether it comes
    /// with a certificate or with a token, and another one for everybody on whose behalf it calls.
    package var owner: String {
        // A line feed stands in no identifier.
        subject.map { "\(name)\n\($0)" } ?? name
    }
}
