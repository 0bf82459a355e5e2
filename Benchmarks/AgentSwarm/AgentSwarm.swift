import ArgumentParser
import Logging
import NodeAgent
import Observability
import SPIFFE
import UnixSignals

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Many node agents in one process: each is the product's own, with an identity, a connection, a push stream and a
/// Workload API socket of its own. For measurements and tests of what many nodes do to one control plane.
///
/// One JSON object per line on standard output: `ready` when an agent serves its first time, `failed` when one has ended
/// by itself. `at` is the monotonic clock in nanoseconds, the same for all processes of the machine.
@main
struct AgentSwarm: AsyncParsableCommand {
    @Option(help: "HOST:PORT of the node API.")
    var server: String
    @Option(help: "Name of the trust domain.")
    var trustDomain: String
    @Option(help: "The control plane's authorities, PEM.")
    var trustBundle: String
    @Option(help: "File with one join token in each line: as many agents as tokens.")
    var tokens: String
    @Option(help: "Directory for the agents' own: agent 7 serves at FOLDER/7/api.sock.")
    var folder: String
    @Option(help: "How many agents attest at a time.")
    var atOnce = 16
    @Option(help: "Log level of the agents, on standard error.")
    var logLevel = "critical"

    func run() async throws {
        let swarm = Swarm(nodes: try configurations(), atOnce: max(1, atOnce), logger: try logger())
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await swarm.run() }
            group.addTask {
                for await _ in await UnixSignalsSequence(trapping: .sigterm, .sigint) { return }
            }
            // The signal's end, since a swarm goes on also when every agent has failed: somebody looks at the output.
            await group.next()
            group.cancelAll()
        }
    }

    private func logger() throws -> Logger {
        guard let level = Logger.Level(rawValue: logLevel) else {
            throw ValidationError("`\(logLevel)` is not a log level")
        }
        return LogSetup.bootstrapped(
            label: "agent-swarm", level: LogLevelSwitch(level), format: .text, now: Swarm.now)
    }

    private func configurations() throws -> [NodeAgentConfiguration] {
        let domain = try TrustDomain(trustDomain)
        let bundle = try TrustBundle(trustDomain: domain, pem: try Self.text(of: trustBundle))
        guard let colon = server.lastIndex(of: ":"), let port = Int(server[server.index(after: colon)...]) else {
            throw ValidationError("`\(server)` is not HOST:PORT")
        }
        let host = String(server[..<colon])
        return try Self.text(of: tokens).split(separator: "\n").enumerated().map { number, token in
            var configuration = NodeAgentConfiguration(
                trustDomain: domain, dataDirectory: "\(folder)/\(number)", serverHost: host, serverPort: port,
                workloadSocketPath: "\(folder)/\(number)/api.sock")
            configuration.joinToken = String(token)
            configuration.bootstrap = .bundle(bundle)
            configuration.agentVersion = "swarm"
            return configuration
        }
    }

    private static func text(of path: String) throws -> String {
        guard let file = fopen(path, "r") else { throw ValidationError("`\(path)` cannot be opened") }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }
}
