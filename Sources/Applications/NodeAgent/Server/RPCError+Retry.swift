import ControlPlaneAPI
import GRPCCore

extension RPCError {
    /// Whether the same call can succeed later.
    var isWorthRetrying: Bool {
        switch code {
        case .unavailable, .deadlineExceeded, .aborted, .cancelled, .resourceExhausted, .internalError, .unknown: true
        default: false
        }
    }

    /// What the server says about the node itself, if that is why it refused.
    var refusal: NodeAgentError.Refusal? {
        switch permissionDeniedReason {
        case .agentExpired: .expired
        case .agentNotAttested: .notAttested
        case .agentNotActive: .notActive
        case .agentBanned: .banned
        case .agentMustReattest: .mustReattest
        default: nil
        }
    }
}

/// The server does not accept the node's identity any more.
struct NodeRefused: Error {
    let reason: NodeAgentError.Refusal
}
