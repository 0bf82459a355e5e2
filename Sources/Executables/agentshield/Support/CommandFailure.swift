import GRPCCore

/// Why a command ends with 1: one line for standard error, lower case, without a full stop.
struct CommandFailure: Error {
    let message: String

    init(_ message: String) {
        self.message = message.split(whereSeparator: \.isNewline).joined(separator: " ")
    }

    /// What the other side answered, with its gRPC status in words.
    init(_ error: RPCError, at place: String) {
        let unreachable = error.code == .unavailable && error.cause != nil
        self.init(
            unreachable
                ? "cannot reach \(place): is it running, and is this the right socket? (\(error.message))"
                : "\(error.code.description): \(error.message)")
    }
}
