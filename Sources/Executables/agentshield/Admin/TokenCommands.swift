import ArgumentParser
import ControlPlaneAPI
import GRPCCore
import JOSE

struct Token: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Join tokens: one use each, for a node agent's first attestation.", subcommands: [Generate.self])
}

extension Token {
    struct Generate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Makes a join token.")

        @Option(name: .flag("ttl"), help: "Seconds until the token ends.")
        var ttl: Int32 = 600
        @Option(name: .flag("spiffeID"), help: "An additional SPIFFE ID for the node that uses the token (an alias).")
        var spiffeID: String?
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            guard ttl > 0 else { throw CommandFailure("-ttl must be positive") }
            var request = Spire_Api_Server_Agent_V1_CreateJoinTokenRequest()
            request.ttl = ttl
            if let spiffeID { request.agentID = try parseID(spiffeID, flag: "-spiffeID").message }
            let prepared = request
            let token = try await admin.withControlPlane { client in
                try await client.agents
                    .createJoinToken(prepared, options: .failingFast)
            }
            format.write(json: ["value": .string(token.value), "expires_at": .string("\(token.expiresAt)")]) {
                "Token: \(token.value)"
            }
        }
    }
}
