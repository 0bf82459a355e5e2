import ControlPlane
import JOSE
import Logging
import NodeAgent
import Observability
import SPIFFE
import Synchronization

/// Control plane and node agent in one process. The node agent comes by the same door as any other: a join token, then
/// mutual TLS over loopback.
final class OneMachine: Sendable {
    private let controlPlane: ControlPlane
    private let configuration: ControlPlaneConfiguration
    private let workloadSocket: String
    private let agentAdminSocket: String?
    private let serviceChanges: @Sendable (inout NodeAgentConfiguration) -> Void
    private let readyFile: ReadyFile
    private let logger: Logger
    private let logLevel: LogLevelSwitch
    private struct State {
        // Exists while it runs, which is when the control plane serves.
        var nodeAgent: NodeAgent?
        var isStopping = false
    }

    private let state = Mutex(State())

    init(
        controlPlane: ControlPlane, configuration: ControlPlaneConfiguration, workloadSocket: String,
        agentAdminSocket: String?,
        serviceChanges: @escaping @Sendable (inout NodeAgentConfiguration) -> Void,
        readyFile: ReadyFile, logger: Logger, logLevel: LogLevelSwitch
    ) {
        self.controlPlane = controlPlane
        self.configuration = configuration
        self.workloadSocket = workloadSocket
        self.agentAdminSocket = agentAdminSocket
        self.serviceChanges = serviceChanges
        self.readyFile = readyFile
        self.logger = logger
        self.logLevel = logLevel
    }

    /// The node agent first, so that workloads see a clean end while the control plane still records it.
    @Sendable func shutDown() {
        let agent = state.withLock { state in
            state.isStopping = true
            return state.nodeAgent
        }
        if let agent { agent.shutDown() } else { controlPlane.shutDown() }
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
        settings.adminSocketPath = agentAdminSocket
        serviceChanges(&settings)
        settings.agentVersion = AgentShieldVersion.current
        settings.joinToken = try await serving.makeJoinToken(requestID: "up")
        let agent = NodeAgent(
            configuration: settings, logger: logger, logLevel: logLevel, now: WallClock.now,
            randomBytes: WallClock.randomBytes, sleep: { try await Task.sleep(for: $0) })
        state.withLock { $0.nodeAgent = agent }
        try await withThrowingTaskGroup(of: Void.self) { [configuration, logger] group in
            defer { group.cancelAll() }
            group.addTask { await serving.keepBundleFile(in: configuration.dataDirectory, logger: logger) }
            group.addTask {
                do {
                    try await self.run(agent, beside: serving)
                } catch NodeAgentError.banned(let id) {
                    self.goOn(without: id)
                    // Until the end of the control plane's run cancels it.
                    try await Task.sleep(for: .seconds(Int64(Int32.max)))
                } catch is CancellationError {
                    return
                }
            }
            // The file is followed for as long as the other task runs.
            try await group.next()
        }
    }

    /// A ban is about this node's workloads: the control plane and its other nodes go on.
    private func goOn(without id: SPIFFEID) {
        let isStopping = state.withLock { state in
            state.nodeAgent = nil
            return state.isStopping
        }
        guard !isStopping else { return controlPlane.shutDown() }
        logger.error(
            """
            the node agent of this machine is banned: no workload here gets an identity; the control plane keeps \
            serving, and a restart attests the machine anew
            """, metadata: ["agent": "\(id)"])
    }

    private func run(_ agent: NodeAgent, beside serving: Serving) async throws {
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
