import ArgumentParser
import ControlPlane
import JOSE
import Logging
import NodeAgent

struct Up: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs control plane and node agent in one process, for one machine.",
        discussion:
            "Everything lives below -dataDir. Stock clients find the Workload API by what `agentshield env` prints.")

    @Option(name: .flag("trustDomain"), help: "The trust domain, such as example.org.")
    var trustDomain: String?
    @Option(name: .flag("dataDir"), help: "Directory for everything (default data).")
    var dataDirectory: String?
    @Option(name: .flag("socketPath"), help: "Workload API socket (default: agent/api.sock in the data directory).")
    var socketPath: String?
    @Option(name: .flag("adminSocketPath"), help: "Admin socket (default: admin.sock in the data directory).")
    var adminSocketPath: String?
    @Option(name: .flag("serverPort"), help: "Port of the node API (0: a free one; default 8081).")
    var serverPort: Int?
    @OptionGroup var service: WorkloadServiceOptions
    @OptionGroup var server: ServerOptions
    @OptionGroup var daemon: DaemonOptions

    func run() async throws {
        let file = try daemon.file()
        let settings = Settings(section: "server", file: file)
        let agentSettings = Settings(section: "agent", file: file)
        let configuration = try server.configuration(
            settings, trustDomain: trustDomain, dataDirectory: dataDirectory, port: serverPort,
            adminSocketPath: adminSocketPath)
        let workloadSocket = absolute(
            try agentSettings.text("socket_path", flag: socketPath) ?? "\(configuration.dataDirectory)/agent/api.sock")
        let serviceChanges = try service.changes(agentSettings)
        let agentAdminSocket = try agentSettings.text("admin_socket_path", flag: nil).map(absolute)
        let (logger, logLevel) = try daemon.logger(settings)
        let readyFile = ReadyFile(
            path: try daemon.readyFile(settings) ?? "\(configuration.dataDirectory)/ready.json")
        readyFile.clear()
        let controlPlane = ControlPlane(
            configuration: configuration, version: AgentShieldVersion.current, logger: logger,
            logLevel: logLevel, world: .real)
        let machine = OneMachine(
            controlPlane: controlPlane, configuration: configuration, workloadSocket: workloadSocket,
            agentAdminSocket: agentAdminSocket, serviceChanges: serviceChanges,
            readyFile: readyFile, logger: logger, logLevel: logLevel)
        do {
            try await SignalWatch.run(logger: logger, stop: machine.shutDown, machine.run)
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure("\(error)")
        }
        readyFile.clear()
    }
}
