import Attestation
import PeerRPC
import SPIFFE
import SecretDiscovery
import WorkloadAPI

extension WorkloadService: SecretDiscoveryHandler {
    func secrets(
        for peer: ConnectionPeer
    ) async throws(WorkloadAPIError) -> AsyncThrowingStream<any SecretView, any Error> {
        let recorded = LastRecorded()
        return try await stream(peer, "StreamSecrets") { caller, workload, _ in
            try await secrets(of: workload, caller, recorded)
        }
    }

    fileprivate func secrets(
        of workload: AttestedWorkload, _ caller: Caller, _ recorded: LastRecorded
    ) async throws(WorkloadAPIError) -> WorkloadSecrets {
        let bundles = try await bundles(for: caller, workload)
        return WorkloadSecrets(
            service: self, caller: caller, workload: workload, entries: entries(for: workload), recorded: recorded,
            bundles: Dictionary(
                bundles.map { ($0.trustDomain, $0.x509Bundle) }, uniquingKeysWith: { own, _ in own }))
    }
}

/// What one process may have as Envoy's secrets: its identities, and the bundles that go with them.
private struct WorkloadSecrets: SecretView {
    let service: WorkloadService
    let caller: WorkloadService.Caller
    let workload: AttestedWorkload
    let entries: [AuthorizedEntry]
    let recorded: LastRecorded
    let bundles: [TrustDomain: X509Bundle]

    var trustDomain: TrustDomain { service.configuration.trustDomain }
    var ids: [SPIFFEID] { entries.map(\.spiffeID) }

    func identities(at positions: [Int]) async throws -> [WorkloadX509SVID] {
        let wanted = positions.compactMap { entries.indices.contains($0) ? entries[$0] : nil }
        // Waits by itself: the stream's own follower is being waited on already.
        guard let follower = service.cache.follow(workload.selectors) else {
            throw WorkloadAPIError.unavailable("too many streams are open")
        }
        _ = try await service.awaitSVIDs(of: wanted, follower)
        let (context, served) = try service.x509Context(of: wanted)
        guard served.count == positions.count else {
            throw WorkloadAPIError.unavailable("an identity is not signed yet")
        }
        // One record per identity change, not one per rotation.
        if recorded.isNews(served) {
            do {
                try await service.record(served, kind: "x509-svid", caller, workload)
            } catch {
                recorded.forget()
                throw error
            }
        }
        return context.svids
    }

    func refreshed() async throws -> any SecretView {
        do {
            let workload = try await service.attestation.attest(caller.process)
            return try await service.secrets(of: workload, caller, recorded)
        } catch let error as WorkloadAttestationError {
            throw await service.attestationFailed(caller.peer, caller.method, caller.requestID, error)
        }
    }
}
