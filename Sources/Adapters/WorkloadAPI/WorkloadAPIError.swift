package import GRPCCore

/// The answers of a Workload API that are not the wanted one (SPIFFE Workload Endpoint §6).
package enum WorkloadAPIError: Error, Equatable, CustomStringConvertible {
    /// The request itself is wrong: clients do not try again.
    case invalidArgument(String)
    /// The workload has no identity, or not the one asked for: clients may try again, slowly.
    case permissionDenied(String)
    /// Not ready, overloaded, gone, or attestation failed: clients try again.
    case unavailable(String)
    /// This profile is not offered: clients do not try again.
    case unimplemented(String)
    /// The other side answered something that no Workload API may.
    case malformedResponse(String)
    /// Any other status, by the name of its code.
    case failed(code: String, String)

    package var description: String {
        switch self {
        case .invalidArgument(let message), .permissionDenied(let message), .unavailable(let message),
            .unimplemented(let message), .malformedResponse(let message):
            message
        case .failed(let code, let message): "\(code): \(message)"
        }
    }

    /// Whether asking again, later, can help.
    package var isWorthRetrying: Bool {
        switch self {
        case .invalidArgument, .unimplemented: false
        case .permissionDenied, .unavailable, .malformedResponse, .failed: true
        }
    }
}

extension WorkloadAPIError: RPCErrorConvertible {
    package var rpcErrorCode: RPCError.Code {
        switch self {
        case .invalidArgument: .invalidArgument
        case .permissionDenied: .permissionDenied
        case .unavailable: .unavailable
        case .unimplemented: .unimplemented
        case .malformedResponse, .failed: .internalError
        }
    }

    package var rpcErrorMessage: String { description }

    /// What a client was answered.
    init(_ error: RPCError) {
        switch error.code {
        case .invalidArgument: self = .invalidArgument(error.message)
        case .permissionDenied: self = .permissionDenied(error.message)
        case .unavailable: self = .unavailable(error.message)
        case .unimplemented: self = .unimplemented(error.message)
        default: self = .failed(code: error.code.description, error.message)
        }
    }
}
