import ArgumentParser
import ControlPlane
import JOSE
import Logging

struct Server: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "The control plane.", subcommands: [ServerRun.self, ServerValidate.self, ServerHealthCheck.self])
}

struct ServerRun: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "run", abstract: "Runs the control plane.")

    @Option(name: .flag("trustDomain"), help: "The trust domain, such as example.org.")
    var trustDomain: String?
    @Option(name: .flag("dataDir"), help: "Directory for databases, keys and the admin socket (default data).")
    var dataDirectory: String?
    @Option(name: .flag("serverPort"), help: "Port of the node API (0: a free one; default 8081).")
    var serverPort: Int?
    @Option(name: .flag("socketPath"), help: "Admin socket (default: admin.sock in the data directory).")
    var socketPath: String?
    @OptionGroup var server: ServerOptions
    @OptionGroup var daemon: DaemonOptions

    func run() async throws {
        let settings = Settings(section: "server", file: try daemon.file())
        let configuration = try server.configuration(
            settings, trustDomain: trustDomain, dataDirectory: dataDirectory, port: serverPort,
            adminSocketPath: socketPath)
        let (logger, logLevel) = try daemon.logger(settings)
        let readyFile = ReadyFile(path: try daemon.readyFile(settings))
        readyFile.clear()
        let controlPlane = ControlPlane(
            configuration: configuration, version: AgentShieldVersion.current, logger: logger,
            logLevel: logLevel, world: .real)
        do {
            try await SignalWatch.run(logger: logger, stop: controlPlane.shutDown) {
                try await controlPlane.run { serving in
                    try readyFile.write(serving.readyMembers(dataDirectory: configuration.dataDirectory))
                    logger.info(
                        "the control plane serves",
                        metadata: ["nodeAPI": "\(serving.nodeAPI)", "https": "\(serving.https)"])
                    await serving.keepBundleFile(in: configuration.dataDirectory, logger: logger)
                }
            }
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure("\(error)")
        }
        readyFile.clear()
    }
}

extension ControlPlane.World {
    /// The real clock, the system's randomness, real sleep.
    static let real = ControlPlane.World(
        now: WallClock.now, randomBytes: WallClock.randomBytes, sleep: { try await Task.sleep(for: $0) })
}

extension Serving {
    /// Keeps the file that the ready file names as `trustBundle` as the bundle is, until the task is cancelled.
    func keepBundleFile(in dataDirectory: String, logger: Logger) async {
        await followBundle { bundle in
            do {
                try LocalFile.write(Array(bundle.pem.utf8), to: Self.bundlePath(dataDirectory), mode: 0o644)
            } catch {
                logger.error("cannot write the trust bundle", metadata: ["error": "\(error)"])
            }
        }
    }

    private static func bundlePath(_ dataDirectory: String) -> String { "\(dataDirectory)/bundle.pem" }

    /// What the ready file holds of the control plane; writes the trust bundle beside the databases first.
    func readyMembers(dataDirectory: String) throws -> [(String, JSONValue)] {
        let bundlePath = Self.bundlePath(dataDirectory)
        try LocalFile.write(Array(bundle.pem.utf8), to: bundlePath, mode: 0o644)
        return [
            ("nodeAPI", .string(nodeAPI)), ("https", .string(https)), ("adminSocket", .string(adminSocketPath)),
            ("trustBundle", .string(bundlePath)),
        ]
    }
}
