import ArgumentParser
import ControlPlaneAPI
import GRPCCore
import JOSE
import PeerRPC
import WorkloadAPI

struct HealthCheck: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "healthcheck", abstract: "Asks a daemon whether it serves (control plane or node agent socket).")

    @OptionGroup var admin: AdminOptions
    @OptionGroup var format: OutputOptions
    @OptionGroup var how: HealthOptions

    func run() async throws { try await how.check(admin.resolvedSocketPath, "the control plane", format) }
}

/// SPIRE's `spire-server healthcheck`.
struct ServerHealthCheck: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "healthcheck", abstract: "Asks the control plane whether it serves.")

    @OptionGroup var admin: AdminOptions
    @OptionGroup var format: OutputOptions
    @OptionGroup var how: HealthOptions

    func run() async throws { try await how.check(admin.resolvedSocketPath, "the control plane", format) }
}

/// SPIRE's `spire-agent healthcheck`.
struct AgentHealthCheck: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "healthcheck", abstract: "Asks a node agent whether it serves.")

    @Option(
        name: .flag("socketPath"),
        help: "Workload API socket (default: $SPIFFE_ENDPOINT_SOCKET, else data/agent/api.sock).")
    var socketPath: String?
    @OptionGroup var format: OutputOptions
    @OptionGroup var how: HealthOptions

    func run() async throws {
        let isNamed = socketPath != nil || Environment[WorkloadEndpoint.environmentVariable] != nil
        switch try WorkloadOptions.endpoint(isNamed ? socketPath : "data/agent/api.sock") {
        case .unix(let path): try await how.check(path, "the node agent", format)
        case let other: throw CommandFailure("`\(other)` is no Unix socket")
        }
    }
}

/// How health is asked for.
struct HealthOptions: ParsableArguments {
    @Flag(name: .flag("verbose"), help: "Says more.")
    var verbose = false
    @Flag(name: .flag("shallow"), help: "Accepted for SPIRE's sake; the check is always the whole one.")
    var shallow = false

    func check(_ path: String, _ daemon: String, _ format: OutputOptions) async throws {
        let status = try await withSocket(path, named: "\(daemon) at `\(path)`") { client in
            try await Grpc_Health_V1_Health.Client(wrapping: client.client)
                .check(Grpc_Health_V1_HealthCheckRequest(), options: .failingFast).status
        }
        guard status == .serving else { throw CommandFailure("not serving") }
        format.write(json: ["status": "SERVING"]) { verbose ? "`\(path)` answers.\nServing." : "Serving." }
    }
}
