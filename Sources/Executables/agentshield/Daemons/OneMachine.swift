import ControlPlane
import JOSE
import Logging
import NodeAgent
import Synchronization

/// Control plane and node agent in one process. The node agent comes by the same door as any other: a join token, then
/// mutual TLS over loopback.
final class OneMachine: Sendable {
    private let controlPlane: ControlPlane
    private let configuration: ControlPlaneConfiguration
    private let workloadSocket: String
    private let discoverWorkloadPath: Bool
    private let serviceChanges: @Sendable (inout NodeAgentConfiguration) -> Void
    private let readyFile: ReadyFile
    private let logger: Logger
    // Guards the node agent, which exists once the control plane serves.
    private let nodeAgent = Mutex<NodeAgent?>(nil)

    init(
        controlPlane: ControlPlane, configuration: ControlPlaneConfiguration, workloadSocket: String,
        discoverWorkloadPath: Bool, serviceChanges: @escaping @Sendable (inout NodeAgentConfiguration) -> Void,
        readyFile: ReadyFile, logger: Logger
    ) {
        self.controlPlane = controlPlane
        self.configuration = configuration
        self.workloadSocket = workloadSocket
        self.discoverWorkloadPath = discoverWorkloadPath
        self.serviceChanges = serviceChanges
        self.readyFile = readyFile
        self.logger = logger
    }

    /// The node agent first, so that workloads see a clean end while the control plane still records it.
    @Sendable func shutDown() {
        if let agent = nodeAgent.withLock({ $0 }) { agent.shutDown() } else { controlPlane.shutDown() }
    }

    @Sendable func run() async throws {
        try await controlPlane.run { serving in
            // Runs inside the control plane's own run, which ends when this throws.
            do {
                try await self.runNodeAgent(serving)
            } catch {
                self.controlPlane.shutDown()
                throw error
            }
            self.controlPlane.shutDown()
        }
    }

    private func runNodeAgent(_ serving: Serving) async throws {
        guard let colon = serving.nodeAPI.lastIndex(of: ":"),
            let port = Int(serving.nodeAPI[serving.nodeAPI.index(after: colon)...])
        else { throw CommandFailure("the node API has no address") }
        let directory = "\(configuration.dataDirectory)/agent"
        var settings = NodeAgentConfiguration(
            trustDomain: configuration.trustDomain, dataDirectory: directory,
            serverHost: configuration.bindAddress, serverPort: port, workloadSocketPath: workloadSocket)
        settings.bootstrap = .bundle(serving.bundle)
        settings.discoverWorkloadPath = discoverWorkloadPath
        serviceChanges(&settings)
        settings.agentVersion = AgentShieldVersion.current
        settings.joinToken = try await serving.makeJoinToken(requestID: "up")
        let agent = NodeAgent(
            configuration: settings, logger: logger, now: WallClock.now, randomBytes: WallClock.randomBytes,
            sleep: { try await Task.sleep(for: $0) })
        nodeAgent.withLock { $0 = agent }
        let following = Task { [configuration, logger] in
            await serving.keepBundleFile(in: configuration.dataDirectory, logger: logger)
        }
        defer { following.cancel() }
        try await agent.run { [self] in
            do {
                var members = try serving.readyMembers(dataDirectory: configuration.dataDirectory)
                members.insert(("workloadAPISocket", .string(workloadSocket)), at: 3)
                try readyFile.write(members)
            } catch {
                logger.error("cannot write the ready file", metadata: ["error": "\(error)"])
            }
            logger.info(
                "serving",
                metadata: [
                    "trustDomain": "\(configuration.trustDomain.name)", "nodeAPI": "\(serving.nodeAPI)",
                    "https": "\(serving.https)", "workloadAPI": "unix://\(workloadSocket)",
                    "adminSocket": "\(serving.adminSocketPath)",
                ])
        }
    }
}
