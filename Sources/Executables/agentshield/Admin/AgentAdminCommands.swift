import ArgumentParser
import ControlPlaneAPI
import GRPCCore
import JOSE
import SPIFFE

/// Where a node agent's admin socket is.
struct AgentAdminOptions: ParsableArguments {
    @Option(
        name: .flag("socketPath"),
        help:
            "Admin socket of the node agent (default: $AGENTSHIELD_AGENT_ADMIN_SOCKET, else data/agent/admin.sock).")
    var socketPath: String?

    /// Runs `body` with a connection to the node agent; answers of the other side become one-line failures.
    func withNodeAgent<Result: Sendable>(
        _ body: @Sendable (AdminClient) async throws -> Result
    ) async throws -> Result {
        let path = socketPath ?? Environment["AGENTSHIELD_AGENT_ADMIN_SOCKET"] ?? "data/agent/admin.sock"
        return try await withSocket(path, named: "the node agent at `\(path)`", body)
    }
}

struct AgentLogger: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logger", abstract: "The level of a node agent's log, while it runs.",
        subcommands: [Get.self, Set.self, Reset.self])

    struct Get: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows the level.")

        @OptionGroup var admin: AgentAdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            try await admin.withNodeAgent { client in
                try await client.agentLogger.getLogger(.init(), options: .failingFast)
            }.show(format)
        }
    }

    struct Set: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Sets the level until the next start.")

        @Option(name: .flag("level"), help: "panic, fatal, error, warn, info, debug or trace.")
        var level: String
        @OptionGroup var admin: AgentAdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let named = try Spire_Api_Types_LogLevel(named: level)
            try await admin.withNodeAgent { client in
                try await client.agentLogger.setLogLevel(.with { $0.newLevel = named }, options: .failingFast)
            }.show(format)
        }
    }

    struct Reset: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Goes back to the level of the start.")

        @OptionGroup var admin: AgentAdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            try await admin.withNodeAgent { client in
                try await client.agentLogger.resetLogLevel(.init(), options: .failingFast)
            }.show(format)
        }
    }
}

struct AgentDebug: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "debug", abstract: "How a node agent is doing.", subcommands: [GetInfo.self])

    struct GetInfo: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "getinfo", abstract: "Shows uptime, what is at hand, and the node agent's own certificates.")

        @OptionGroup var admin: AgentAdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let info = try await admin.withNodeAgent { client in
                try await client.agentDebug.getInfo(.init(), options: .failingFast)
            }
            format.write(json: info.json) { info.pretty }
        }
    }
}

extension Spire_Agent_Debug_V1_GetInfoResponse {
    fileprivate var json: JSONValue {
        [
            "uptime": .number(JSONNumber(Int64(uptime))), "svids_count": .number(JSONNumber(Int64(svidsCount))),
            "cached_x509_svids_count": .number(JSONNumber(Int64(cachedX509SvidsCount))),
            "cached_jwt_svids_count": .number(JSONNumber(Int64(cachedJwtSvidsCount))),
            "cached_svidstore_x509_svids_count": .number(JSONNumber(Int64(cachedSvidstoreX509SvidsCount))),
            "last_sync_success": .string("\(lastSyncSuccess)"),
            "svid_chain": .array(
                svidChain.map { certificate in
                    [
                        "id": [
                            "trust_domain": .string(certificate.id.trustDomain), "path": .string(certificate.id.path),
                        ],
                        "expires_at": .string("\(certificate.expiresAt)"), "subject": .string(certificate.subject),
                    ]
                }),
        ]
    }

    fileprivate var pretty: String {
        var lines = PrettyLines()
        lines.line("Uptime", "\(uptime) s")
        lines.line("X509-SVIDs", "\(cachedX509SvidsCount)")
        lines.line("JWT-SVIDs", "\(cachedJwtSvidsCount)")
        lines.line("Last sync", lastSyncSuccess == 0 ? "never" : UnixTime(seconds: lastSyncSuccess).rfc3339)
        for certificate in svidChain {
            let ends = UnixTime(seconds: certificate.expiresAt).rfc3339
            lines.line("Certificate", "spiffe://\(certificate.id.trustDomain)\(certificate.id.path) until \(ends)")
        }
        return lines.text
    }
}
