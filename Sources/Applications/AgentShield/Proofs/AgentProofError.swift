public import SPIFFE

/// Why an agent cannot prove that a request is its own, or does not believe an answer.
public enum AgentProofError: Error, Equatable, Sendable, CustomStringConvertible {
    /// There is no WIT-SVID to prove anything with; the text says what the Workload API answered last.
    case noIdentity(String)
    /// The request, or what was asked for it, cannot be proved; the text says why.
    case badRequest(String)
    /// The request's body is longer than the limit, in bytes.
    case bodyTooLarge(limit: Int)
    /// The response is signed, and longer than the limit, in bytes.
    case responseTooLarge(limit: Int)
    /// The response had to be signed and is not. Its status says what a server or an intermediary wanted to say; nobody vouches
    /// for it.
    case unsignedResponse(status: Int)
    /// The response is signed, and the signature does not hold; the text says why.
    case badResponse(String)
    /// The response is signed by somebody whom the rule does not allow.
    case signerNotAllowed(SPIFFEID)

    /// The error in words; never with a token in it.
    public var description: String {
        switch self {
        case .noIdentity(let reason): reason
        case .badRequest(let reason): reason
        case .bodyTooLarge(let limit): "the request's body is longer than \(limit) bytes"
        case .responseTooLarge(let limit): "the signed response is longer than \(limit) bytes"
        case .unsignedResponse(let status): "the response, of status \(status), is not signed"
        case .badResponse(let reason): "the response's signature does not hold: \(reason)"
        case .signerNotAllowed(let id): "the response is signed by `\(id)`, which is not allowed"
        }
    }
}
