import Attestation
import AuditTrail
import GRPCCore
import JOSE
import Logging
import PeerRPC
import SPIFFE
import Synchronization
import WorkloadAPI

/// What the agent answers its workloads. Every call attests its caller; a stream does so again whenever there is news.
struct WorkloadService: Sendable {
    let configuration: NodeAgentConfiguration
    let cache: AgentCache
    let revocations: RevocationHolder
    let tokens: TokenSource
    let wits: WITSource
    let attestation: WorkloadAttestation
    let audit: AgentAudit
    let signSignal: Signal
    let callerLimit: CallerLimit
    let logger: Logger
    let now: @Sendable () -> UnixTime
    let randomBytes: @Sendable (Int) -> [UInt8]
    let sleep: @Sendable (Duration) async throws -> Void

    /// How long a workload waits for an SVID that has to be signed first.
    static let patience = Duration.seconds(10)

    /// One call or stream of one process.
    struct Caller: Sendable {
        let method: String
        let requestID: String
        let peer: ConnectionPeer
        let process: ProcessReference
        let workload: AttestedWorkload
    }

    // MARK: who calls

    func attest(_ peer: ConnectionPeer, _ method: String) async throws(WorkloadAPIError) -> Caller {
        guard cache.isReady else { throw .unavailable("the node agent is not ready") }
        let requestID = HexText.encode(randomBytes(16))
        let caller: Caller
        do throws(WorkloadAttestationError) {
            let process = try attestation.pin(peer)
            let workload = try await attestation.attest(process)
            caller = Caller(method: method, requestID: requestID, peer: peer, process: process, workload: workload)
        } catch {
            throw await attestationFailed(peer, method, requestID, error)
        }
        guard callerLimit.admit(caller.workload.selectors, at: now()) else {
            await refuse(peer, method, requestID, "too_many_calls", kind: "too_many_calls")
            throw .unavailable("too many calls, try again later")
        }
        return caller
    }

    /// What the caller's process is by now; its stream follows what that may have.
    func attestAgain(_ caller: Caller, _ follower: Follower) async throws(WorkloadAPIError) -> AttestedWorkload {
        do throws(WorkloadAttestationError) {
            let workload = try await attestation.attest(caller.process)
            follower.update(selectors: workload.selectors)
            return workload
        } catch {
            throw await attestationFailed(caller.peer, caller.method, caller.requestID, error)
        }
    }

    func attestationFailed(
        _ peer: ConnectionPeer, _ method: String, _ requestID: String, _ error: WorkloadAttestationError
    ) async -> WorkloadAPIError {
        logger.warning(
            "workload attestation failed",
            metadata: ["method": "\(method)", "pid": "\(peer.process?.pid ?? 0)", "reason": "\(error)"])
        await refuse(peer, method, requestID, "attestation_failed: \(error)", kind: "attestation_failed")
        return .unavailable("workload attestation failed")
    }

    func noIdentity(_ caller: Caller) async -> WorkloadAPIError {
        await refuse(caller.peer, caller.method, caller.requestID, "no_identity", kind: "no_identity")
        return .permissionDenied("no identity issued")
    }

    func refuse(
        _ peer: ConnectionPeer, _ method: String, _ requestID: String, _ reason: String, kind: String
    ) async {
        await audit.refused(
            WorkloadEvents.refused(peer.process, method: method, reason: reason, requestID: requestID),
            source: WorkloadEvents.source(peer.process), kind: "\(method) \(kind)")
    }

    /// Records that identities are handed out; without the record they are not, unless policy says otherwise.
    func record(
        _ entries: [AuthorizedEntry], kind: String, _ caller: Caller, _ workload: AttestedWorkload,
        audience: [String] = []
    ) async throws(WorkloadAPIError) {
        let event = WorkloadEvents.handedOut(
            entries, kind: kind, to: workload, method: caller.method, requestID: caller.requestID,
            audience: audience, at: now())
        guard await audit.mayPass(event) else { throw .unavailable("the identity cannot be recorded") }
    }

    // MARK: what is answered

    /// The entries for a process, the default identity first.
    func entries(for workload: AttestedWorkload) -> [AuthorizedEntry] {
        let (kept, dropped) = cache.withEntries { $0.entries(for: workload.selectors) }
        for entry in dropped {
            logger.warning(
                "entry left out: an older one has the same hint", metadata: ["entry": "\(entry.id)"])
        }
        return kept.filter { !revocations.revokes($0.spiffeID) }
    }

    /// All identities of a process, as ``signedEntries(for:_:_:)`` has them; what is not signed is left out.
    func x509Context(
        of entries: [AuthorizedEntry]
    ) throws(WorkloadAPIError) -> (context: WorkloadX509Context, served: [AuthorizedEntry]) {
        let time = now()
        return try cache.withEntries { cache throws(WorkloadAPIError) in
            let bundle = cache.bundle.x509Bundle.derConcatenated
            var svids: [WorkloadX509SVID] = []
            var served: [AuthorizedEntry] = []
            for entry in entries {
                guard let svid = cache.svid(of: entry.id, at: time), svid.id == entry.spiffeID else { continue }
                svids.append(
                    WorkloadX509SVID(
                        id: svid.id, chain: svid.chain, privateKey: svid.privateKey, bundle: bundle, hint: entry.hint))
                served.append(entry)
            }
            guard !svids.isEmpty else { throw .unavailable("the identity is not signed yet") }
            let federated = cache.federatedBundles(of: served)
            return (
                WorkloadX509Context(
                    svids: svids, federatedBundles: federated.mapValues { $0.x509Bundle.derConcatenated },
                    revocationLists: revocations.revocationLists), served
            )
        }
    }

    /// The entries for a process, after what has to be signed first has been waited for.
    func signedEntries(
        for workload: AttestedWorkload, _ caller: Caller, _ follower: Follower
    ) async throws -> (entries: [AuthorizedEntry], workload: AttestedWorkload) {
        let entries = entries(for: workload)
        guard !entries.isEmpty else { throw await noIdentity(caller) }
        guard try await awaitSVIDs(of: entries, follower) else { return (entries, workload) }
        // Time has passed: entries come and go, and the process may run something else.
        let workload = try await attestAgain(caller, follower)
        let present = self.entries(for: workload)
        guard !present.isEmpty else { throw await noIdentity(caller) }
        return (present, workload)
    }

    /// Waits until these entries have SVIDs, or cannot have any for now. Whether any time was spent on it.
    func awaitSVIDs(of entries: [AuthorizedEntry], _ follower: Follower) async throws -> Bool {
        let time = now()
        let missing = cache.withEntries { cache in
            let missing = entries.map(\.id).filter { cache.svid(of: $0, at: time) == nil }
            cache.demand(missing, at: time)
            return missing
        }
        guard !missing.isEmpty else { return false }
        signSignal.fire()
        let deadline = time.adding(milliseconds: Int64(Self.patience.components.seconds) * 1000)
        while cache.withEntries({ cache in missing.contains { cache.isAwaited($0) } }) {
            let left = deadline.milliseconds(since: now())
            guard left > 0 else { return true }
            _ = try await follower.signal.wait(upTo: .milliseconds(left), sleep: sleep)
        }
        // Whatever woke this wait may have been news for the stream as well.
        follower.signal.fire(.check)
        return true
    }

    /// The bundles that a process may see: its own trust domain's, and those its identities federate with.
    func bundles(for caller: Caller, _ workload: AttestedWorkload) async throws(WorkloadAPIError) -> [TrustBundle] {
        let entries = entries(for: workload)
        guard !entries.isEmpty || configuration.allowUnauthenticatedVerifiers else { throw await noIdentity(caller) }
        return cache.withEntries { [$0.bundle] + $0.federatedBundles(of: entries).values }
    }
}
