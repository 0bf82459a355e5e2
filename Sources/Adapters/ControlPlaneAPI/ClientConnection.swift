import GRPCCore
import PeerRPC

extension PeerClientSettings.Pauses {
    /// Quick first attempts, then one every few seconds: gRPC's own default waits up to two minutes.
    static let controlPlane = Self(first: .milliseconds(100), longest: .seconds(5))
}

extension GRPCClient {
    /// Runs `body` while the connections are kept.
    func running<Result: Sendable>(_ body: @Sendable () async throws -> Result) async throws -> Result {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.runConnections() }
            defer {
                self.beginGracefulShutdown()
                group.cancelAll()
            }
            return try await body()
        }
    }
}
