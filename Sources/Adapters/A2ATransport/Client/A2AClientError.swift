public import A2A

/// Why an operation at another agent did not succeed.
public enum A2AClientError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The agent refused it.
    case refused(A2AError)
    /// No connection could be made: nothing of the request has left.
    case unreachable(String)
    /// The connection ended before an answer: nobody knows whether the agent did anything.
    case noAnswer(String)
    /// The answer took too long: nobody knows whether the agent did anything.
    case timedOut
    /// The answer is not one of the protocol.
    case invalidAnswer(String)
    /// The answer is longer than the limit, in bytes.
    case answerTooLarge(limit: Int)
    /// The answer broke off after it had begun; a stream that could not be taken up again.
    case answerBroken(String)
    /// The card names no interface that this client speaks; of which versions they are.
    case noInterface(versions: [String])
    /// Every way to authenticate that the card allows needs something that this client does not have.
    case noUsableSecurity([String])
    /// The address is not `https:`, or none at all.
    case unusableAddress(String)

    /// What happened, in words that are safe to show.
    public var description: String {
        switch self {
        case .refused(let error): "the agent refused: \(error.message) (\(error.kind.rawValue))"
        case .unreachable(let reason): "the agent cannot be reached: \(reason)"
        case .noAnswer(let reason): "the connection ended before an answer: \(reason)"
        case .timedOut: "the agent did not answer in time"
        case .invalidAnswer(let reason): "the agent's answer is not valid: \(reason)"
        case .answerTooLarge(let limit): "the agent's answer is longer than \(limit) bytes"
        case .answerBroken(let reason): "the agent's answer broke off: \(reason)"
        case .noInterface(let versions) where versions.isEmpty: "the card names no interface that this client speaks"
        case .noInterface(let versions):
            "the agent speaks \(versions.joined(separator: ", ")) of the protocol; this client speaks version 1.0 over "
                + "JSON-RPC, HTTP+JSON and gRPC"
        case .noUsableSecurity(let schemes):
            "none of the agent's ways to authenticate can be used: \(schemes.joined(separator: ", "))"
        case .unusableAddress(let url): "`\(url)` is no address that this client calls"
        }
    }

    /// Whether the request surely had no effect, so that it may be sent again whatever it is.
    var hadNoEffect: Bool {
        switch self {
        case .unreachable: true
        case .refused(let error): error.kind == .unavailable
        default: false
        }
    }

    /// Whether the request may be sent again if doing it twice is doing it once.
    var mayHaveHadNoEffect: Bool {
        switch self {
        case .noAnswer, .timedOut: true
        default: hadNoEffect
        }
    }
}
