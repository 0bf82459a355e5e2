import Attestation
import PeerRPC
import WorkloadAPI

extension WorkloadService {
    /// A stream of what `build` makes of a caller: at once, and whenever something changed that concerns it.
    ///
    /// The consumer pulls, so a slow one gets the newest state and nothing piles up. The caller is attested again before
    /// every message, and looked at from time to time in between.
    func stream<Content: Sendable>(
        _ peer: ConnectionPeer, _ method: String,
        _ build: @escaping @Sendable (Caller, AttestedWorkload, Follower) async throws -> Content
    ) async throws(WorkloadAPIError) -> AsyncThrowingStream<Content, any Error> {
        let caller = try await attest(peer, method)
        guard let follower = cache.follow(caller.workload.selectors) else {
            throw .unavailable("too many streams are open")
        }
        let position = StreamPosition()
        return AsyncThrowingStream {
            guard position.begin() else { return try await build(caller, caller.workload, follower) }
            while true {
                let reason = try await follower.signal.wait()
                guard reason == .change else {
                    do throws(WorkloadAttestationError) {
                        try await attestation.check(caller.process)
                    } catch {
                        throw await attestationFailed(caller.peer, caller.method, caller.requestID, error)
                    }
                    continue
                }
                return try await build(caller, try await attestAgain(caller, follower), follower)
            }
        }
    }
}
