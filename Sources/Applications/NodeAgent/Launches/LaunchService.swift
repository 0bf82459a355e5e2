import Attestation
import AuditTrail
import GRPCCore
import Logging
import PeerRPC
import SPIFFE
import WorkloadAPI

/// `agentshield.agent.v1.Launch`: begins launches and holds them as long as their launcher calls.
struct LaunchService: Agentshield_Agent_V1_Launch.SimpleServiceProtocol {
    let launches: LaunchTable
    let attestation: WorkloadAttestation
    let cache: AgentCache
    let audit: AgentAudit
    let logger: Logger
    let randomBytes: @Sendable (Int) -> [UInt8]
    let sleep: @Sendable (Duration) async throws -> Void

    /// How often a held launch looks whether its launcher is there: its connection can outlive it in another process.
    static let launcherCheck = Duration.seconds(5)
    private static let method = "Launch.Hold"

    func hold(
        request: Agentshield_Agent_V1_HoldRequest, response: RPCWriter<Agentshield_Agent_V1_HoldResponse>,
        context: ServerContext
    ) async throws {
        guard let peer = context.connectionPeer else {
            throw RPCError(code: .unavailable, message: "the caller is not known")
        }
        let requestID = HexText.encode(randomBytes(16))
        let launch: Launch
        do throws(LaunchRefusal) {
            launch = try await begin(request, peer)
        } catch {
            throw await refused(request, peer, requestID, error)
        }
        guard await audit.mayPass(LaunchEvents.begun(launch, peer.process, requestID: requestID)) else {
            await end(launch, peer, requestID)
            throw RPCError(code: .unavailable, message: "the launch cannot be recorded")
        }
        logger.info("launch begun", metadata: Self.metadata(launch))
        // What runs already and is taken up again has its identities back.
        cache.tell(selectedBy: Launch.selector(named: launch.name))
        let result: Result<Void, any Error>
        do {
            try await context.untilCancelled {
                try await response.write(.with { $0.tracking = .init(launch.tracking) })
                while await attestation.isHeld(launch) { try await sleep(Self.launcherCheck) }
            }
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await end(launch, peer, requestID)
        try result.get()
    }

    private func begin(
        _ request: Agentshield_Agent_V1_HoldRequest, _ peer: ConnectionPeer
    ) async throws(LaunchRefusal) -> Launch {
        let name = try LaunchName(request.name)
        let launcher: ProcessReference
        do {
            launcher = try attestation.pin(peer)
        } catch {
            throw .launcher(error)
        }
        return try await attestation.begin(name, by: launcher, mainPID: request.mainPid, in: launches)
    }

    private func end(_ launch: Launch, _ peer: ConnectionPeer, _ requestID: String) async {
        let isEmpty = await attestation.end(launch, in: launches)
        // Streams of its processes end: they are attested again and are in no launch now.
        cache.tell(selectedBy: Launch.selector(named: launch.name))
        logger.info("launch ended", metadata: Self.metadata(launch))
        await audit.note(LaunchEvents.ended(launch, peer.process, isEmpty: isEmpty, requestID: requestID))
    }

    private func refused(
        _ request: Agentshield_Agent_V1_HoldRequest, _ peer: ConnectionPeer, _ requestID: String,
        _ refusal: LaunchRefusal
    ) async -> RPCError {
        logger.warning(
            "launch refused", metadata: ["pid": "\(peer.process?.pid ?? 0)", "reason": "\(refusal)"])
        await audit.refused(
            LaunchEvents.refused(name: request.name, peer.process, refusal, requestID: requestID),
            source: peer.process.map { "uid:\($0.uid)" } ?? "unknown", kind: "\(Self.method) \(refusal.code)")
        return RPCError(code: refusal.status, message: "\(refusal)")
    }

    private static func metadata(_ launch: Launch) -> Logger.Metadata {
        ["name": "\(launch.name)", "uid": "\(launch.uid)", "main": "\(launch.mainPID)"]
    }
}

extension LaunchRefusal {
    fileprivate var status: RPCError.Code {
        switch self {
        case .badName: .invalidArgument
        case .launcher: .permissionDenied
        case .notTheLaunchersChild, .unknownCgroup: .failedPrecondition
        case .alreadyLaunching: .alreadyExists
        case .tooManyOfUser, .tooMany: .resourceExhausted
        case .cgroup: .unavailable
        }
    }
}

extension Agentshield_Agent_V1_HoldResponse.Tracking {
    fileprivate init(_ tracking: Launch.Tracking) {
        switch tracking {
        case .cgroup: self = .cgroup
        case .lineage: self = .lineage
        }
    }
}
