import ArgumentParser
import ControlPlaneAPI
import GRPCCore
import JOSE
import PeerRPC

struct HealthCheck: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "healthcheck", abstract: "Asks a daemon whether it serves (control plane or node agent socket).")

    @OptionGroup var admin: AdminOptions
    @OptionGroup var format: OutputOptions
    @Flag(name: .flag("verbose"), help: "Says more.")
    var verbose = false
    @Flag(name: .flag("shallow"), help: "Accepted for SPIRE's sake; the check is always the whole one.")
    var shallow = false

    func run() async throws {
        let status = try await admin.withControlPlane { client in
            try await Grpc_Health_V1_Health.Client(wrapping: client.client)
                .check(Grpc_Health_V1_HealthCheckRequest(), options: .failingFast).status
        }
        guard status == .serving else { throw CommandFailure("not serving") }
        format.write(json: ["status": "SERVING"]) {
            verbose ? "`\(admin.resolvedSocketPath)` answers.\nServing." : "Serving."
        }
    }
}
