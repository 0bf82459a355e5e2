package import GRPCCore
package import PeerRPC

/// What a node agent tells a local verifier of revocations.
package struct WorkloadRevocations: Sendable, Equatable {
    /// The signed snapshot; empty when there is none yet.
    package var snapshot: [UInt8]
    /// Milliseconds since the control plane confirmed it; nil when it never did.
    package var age: Int64?
    /// False when the control plane has no revocations.
    package var isOffered: Bool

    package init(snapshot: [UInt8], age: Int64?, isOffered: Bool) {
        self.snapshot = snapshot
        self.age = age
        self.isOffered = isOffered
    }
}

/// Answers `agentshield.workload.v1.Revocation`.
package protocol RevocationWatchHandler: Sendable {
    /// The present state at once, then one for each change and each confirmation.
    func revocations(
        for peer: ConnectionPeer
    ) async throws(WorkloadAPIError) -> AsyncThrowingStream<WorkloadRevocations, any Error>
}

/// The generated service in front of a ``RevocationWatchHandler``.
package struct RevocationWatchService: Agentshield_Workload_V1_Revocation.SimpleServiceProtocol {
    private let handler: any RevocationWatchHandler

    package init(_ handler: any RevocationWatchHandler) {
        self.handler = handler
    }

    package func watch(
        request: Agentshield_Workload_V1_WatchRevocationsRequest,
        response: RPCWriter<Agentshield_Workload_V1_RevocationState>, context: ServerContext
    ) async throws {
        guard let peer = context.connectionPeer else { throw WorkloadAPIError.unavailable("the caller is not known") }
        let states = try await handler.revocations(for: peer)
        try await context.untilCancelled {
            var sent: [UInt8] = []
            for try await state in states {
                try await response.write(
                    .with {
                        if state.snapshot != sent { $0.snapshot = .init(state.snapshot) }
                        $0.ageMilliseconds = state.age ?? -1
                        $0.notOffered = !state.isOffered
                    })
                sent = state.snapshot
            }
        }
    }
}
