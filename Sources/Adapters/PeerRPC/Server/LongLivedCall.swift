package import GRPCCore

extension ServerContext {
    /// Runs the body of a long stream, and cancels its task as soon as the peer is gone or the server shuts down.
    ///
    /// gRPC does not cancel the task of a call that was reset: a body that waits for news without this would wait for
    /// ever, and keep the connection's peer alive with it.
    /// - Throws: what `body` throws; Unavailable when the call was cancelled, so that clients come back.
    package func untilCancelled(_ body: @escaping @Sendable () async throws -> Void) async throws {
        let cancellation = cancellation
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await body()
                return true
            }
            group.addTask {
                try await cancellation.cancelled
                return false
            }
            defer { group.cancelAll() }
            let isComplete: Bool
            do {
                isComplete = try await group.next() ?? true
            } catch is CancellationError {
                isComplete = false
            }
            guard isComplete else { throw RPCError(code: .unavailable, message: "the call was cancelled") }
        }
    }
}
