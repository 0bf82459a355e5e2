import JOSE

/// Why there is no access token, or no document of the authorization server.
package enum TokenClientError: Error, Sendable, Equatable, CustomStringConvertible {
    /// There is no identity to ask with; the text says why.
    case noIdentity(String)
    /// The server cannot be reached, or is not the one that it has to be; the text says why.
    case unreachable(String)
    /// What the server says about itself cannot be used.
    case badMetadata(String)
    /// The server refused; the code is the standard's (RFC 6749 §5.2).
    case refused(code: String)
    /// The server cannot answer now.
    case busy(status: Int)
    /// The server has no such document.
    case noDocument(status: Int)
    /// The answer cannot be used.
    case badAnswer(String)
    /// What was asked for is no resource or no scope.
    case badRequest(String)
    /// The own certificate changed while the token was on its way, again and again.
    case certificateChanged

    /// Whether the same question may be answered well later, so that a token that is still good goes on being used.
    package var isTemporary: Bool {
        switch self {
        case .unreachable, .busy, .noDocument, .badAnswer, .badMetadata: true
        case .noIdentity, .refused, .badRequest, .certificateChanged: false
        }
    }

    package var description: String {
        switch self {
        case .noIdentity(let reason): reason
        case .unreachable(let reason): "the authorization server cannot be asked: \(reason)"
        case .badMetadata(let reason): "the authorization server's metadata are refused: \(reason)"
        case .refused(let code): "the authorization server answered `\(code.truncatedForMessage)`"
        case .busy(let status): "the authorization server cannot answer now (status \(status))"
        case .noDocument(let status): "the authorization server's metadata cannot be read (status \(status))"
        case .badAnswer(let reason): "the authorization server's answer cannot be used: \(reason)"
        case .badRequest(let reason): reason
        case .certificateChanged: "the certificate changed while the token was asked for"
        }
    }
}
