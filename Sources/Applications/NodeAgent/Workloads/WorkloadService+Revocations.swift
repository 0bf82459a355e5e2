import PeerRPC
import SPIFFE
import WorkloadAPI

extension WorkloadService: RevocationWatchHandler {
    func revocations(
        for peer: ConnectionPeer
    ) async throws(WorkloadAPIError) -> AsyncThrowingStream<WorkloadRevocations, any Error> {
        let caller = try await attest(peer, "WatchRevocations")
        guard !entries(for: caller.workload).isEmpty || configuration.allowUnauthenticatedVerifiers else {
            throw await noIdentity(caller)
        }
        guard let observer = revocations.observe() else { throw .unavailable("too many streams are open") }
        let position = StreamPosition()
        return AsyncThrowingStream {
            if position.begin() { _ = try await observer.signal.wait() }
            let message = revocations.message
            return WorkloadRevocations(snapshot: message.token, age: message.age, isOffered: message.isOffered)
        }
    }

    /// Refuses a token that is revoked, and any token while nobody can tell whether it is.
    func checkRevocation(_ token: VerifiedJWTSVID, _ caller: Caller) async throws(WorkloadAPIError) {
        guard revocations.isFresh else {
            await refuse(
                caller.peer, caller.method, caller.requestID, "revocations_stale", kind: "revocations_stale")
            throw .unavailable("the state of revocations is not known")
        }
        guard revocations.snapshot?.revoked.revocation(of: token) != nil else { return }
        await refuse(caller.peer, caller.method, caller.requestID, "revoked", kind: "revoked")
        throw .invalidArgument("the token is not valid: it is revoked")
    }
}
