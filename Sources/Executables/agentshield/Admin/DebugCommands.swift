import ArgumentParser
import ControlPlaneAPI
import GRPCCore
import JOSE
import SPIFFE

struct Debug: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "How the control plane is doing.", subcommands: [GetInfo.self])

    struct GetInfo: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "getinfo", abstract: "Shows uptime, counts and the control plane's own certificates.")

        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let info = try await admin.withControlPlane { client in
                try await client.debug.getInfo(.init(), options: .failingFast)
            }
            format.write(json: info.json) { info.pretty }
        }
    }
}

extension Spire_Api_Server_Debug_V1_GetInfoResponse {
    fileprivate var json: JSONValue {
        [
            "uptime": .number(JSONNumber(Int64(uptime))), "agents_count": .number(JSONNumber(Int64(agentsCount))),
            "entries_count": .number(JSONNumber(Int64(entriesCount))),
            "federated_bundles_count": .number(JSONNumber(Int64(federatedBundlesCount))),
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
        lines.line("Agents", "\(agentsCount)")
        lines.line("Entries", "\(entriesCount)")
        lines.line("Federated bundles", "\(federatedBundlesCount)")
        for certificate in svidChain {
            let ends = UnixTime(seconds: certificate.expiresAt).rfc3339
            lines.line("Certificate", "spiffe://\(certificate.id.trustDomain)\(certificate.id.path) until \(ends)")
        }
        return lines.text
    }
}
