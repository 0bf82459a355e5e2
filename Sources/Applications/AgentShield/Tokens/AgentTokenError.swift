import CredentialClient

/// Why an agent has no access token, or may not use the one that it has.
public enum AgentTokenError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The issuer's name is no `https` URL without query and fragment.
    case badIssuer(String)
    /// What was asked for is no resource or no scope, or the request has no `https` URL.
    case badRequest(String)
    /// There is no identity to ask with.
    case noIdentity(String)
    /// The authorization server cannot be reached, or did not prove that it is the one.
    case unreachable(String)
    /// What the authorization server says about itself cannot be used.
    case badMetadata(String)
    /// The authorization server refused; the code is the standard's, such as `invalid_scope` or `invalid_target`.
    case refused(code: String)
    /// The authorization server cannot answer now.
    case unavailable
    /// The authorization server's answer cannot be used.
    case badAnswer(String)
    /// The token is bound to another certificate than the one of the connection, so it was not sent. A kept connection
    /// outlives its certificate: bind tokens for it to a key (``AgentTokenSource/Binding/dpop``).
    case certificateChanged

    init(_ error: TokenClientError) {
        switch error {
        case .noIdentity(let reason): self = .noIdentity(reason)
        case .unreachable(let reason): self = .unreachable(reason)
        case .badMetadata(let reason): self = .badMetadata(reason)
        case .refused(let code): self = .refused(code: code)
        case .busy: self = .unavailable
        case .badAnswer(let reason): self = .badAnswer(reason)
        case .noDocument: self = .badMetadata(error.description)
        case .badRequest(let reason): self = .badRequest(reason)
        case .certificateChanged: self = .certificateChanged
        }
    }

    /// The error in words; never with a token in it.
    public var description: String {
        switch self {
        case .badIssuer(let reason): "the issuer is refused: \(reason)"
        case .badRequest(let reason): reason
        case .noIdentity(let reason): reason
        case .unreachable(let reason): "the authorization server cannot be asked: \(reason)"
        case .badMetadata(let reason): "the authorization server's metadata are refused: \(reason)"
        case .refused(let code): "the authorization server answered `\(code)`"
        case .unavailable: "the authorization server cannot answer now"
        case .badAnswer(let reason): "the authorization server's answer cannot be used: \(reason)"
        case .certificateChanged: "the token is bound to another certificate than that of the connection"
        }
    }
}
