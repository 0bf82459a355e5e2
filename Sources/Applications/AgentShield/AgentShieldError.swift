public import SPIFFE

/// What can go wrong between agents, apart from HTTP itself.
public enum AgentShieldError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The Workload API's address is missing or malformed; the text says which.
    case badAddress(String)
    /// There is no identity yet, or not in time; the text says what the Workload API answered last.
    case noIdentity(String)
    /// The identity was withdrawn: nothing new may begin in its name.
    case identityWithdrawn
    /// The identity has ended and no newer one has come.
    case identityExpired
    /// A URL that does not begin with `https://`: without TLS nobody is authenticated.
    case notHTTPS
    /// No bundle of a trust domain that the rule allows is here, so nobody could be believed.
    case noTrustedAuthority
    /// The server did not prove a SPIFFE ID; no byte of the request was sent.
    case unverifiedServer(String)
    /// The server proved this ID, which the rule does not allow; no byte of the request was sent.
    case serverNotAllowed(SPIFFEID)
    /// The server proved this ID, which is revoked, or whose certificate is; no byte of the request was sent.
    case serverRevoked(SPIFFEID)
    /// Nothing recent is known of revocations, so that nobody can be believed; no byte of the request was sent.
    case revocationsUnknown
    /// The server cannot be reached; the text says why.
    case unreachable(String)
    /// The server closed the connection without an answer, as one does that does not accept the caller.
    case closedByServer
    /// The agent's tasks cannot be opened; the text says why.
    case tasks(String)

    /// The error in words.
    public var description: String {
        switch self {
        case .badAddress(let reason): reason
        case .noIdentity(let reason): reason
        case .identityWithdrawn: "the identity was withdrawn"
        case .identityExpired: "the identity has expired"
        case .notHTTPS: "the URL does not begin with `https://`"
        case .noTrustedAuthority: "there is no bundle of a trust domain that the rule allows"
        case .unverifiedServer(let reason): "the server did not prove a SPIFFE ID: \(reason)"
        case .serverNotAllowed(let id): "the server is `\(id)`, which is not allowed"
        case .serverRevoked(let id): "the server is `\(id)`, which is revoked"
        case .revocationsUnknown: "it is not known what is revoked: the node agent has had no news for too long"
        case .unreachable(let reason): "the server cannot be reached: \(reason)"
        case .closedByServer: "the server closed the connection without an answer; it may not accept this identity"
        case .tasks(let reason): "the agent's tasks cannot be opened: \(reason)"
        }
    }
}
