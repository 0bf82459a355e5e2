import ArgumentParser
import ControlPlaneAPI
import GRPCCore
import JOSE

struct GrantCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "grant", abstract: "Which agent may get which scopes on which resource.",
        subcommands: [Create.self, List.self, Delete.self])
}

extension GrantCommand {
    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Grants scopes on a resource to an agent.")

        @Option(name: .flag("agent"), help: "The agent: its client ID, SPIFFE ID or name.")
        var agent: String
        @Option(name: .flag("resource"), help: "The resource: its audience.")
        var resource: String
        @Option(name: .flag("scope"), help: "A scope that is granted (repeatable).")
        var scopes: [String] = []
        @Option(
            name: .flag("use"),
            help: """
                For whom the agent may act: own (itself), delegated (also others, named beside them) or impersonation \
                (as others, unnamed) (default own).
                """)
        var use = ""
        @Flag(name: .flag("allowImpersonation"), help: "Says that -use impersonation is meant.")
        var allowImpersonation = false
        @Option(
            name: .flag("details"),
            help: """
                Authorization details (RFC 9396) that it covers: a JSON object with a type, and limits in the place of \
                values (repeatable).
                """)
        var details: [String] = []
        @Option(
            name: .flag("approval"),
            help: "It holds only when a person has approved it, and then for so long: from 10s to 24h.")
        var approval: String?
        @OptionGroup var end: EndOptions
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let end = try end.seconds() ?? 0
            let activation = try seconds(approval, flag: "-approval")
            let request = Agentshield_Admin_V1_CreateGrantRequest.with {
                $0.identity = agent
                $0.resource = resource
                $0.scopes = words(scopes)
                $0.use = use
                $0.expiresAt = end
                $0.allowImpersonation = allowImpersonation
                $0.details = details
                $0.activation = activation
            }
            let grant = try await admin.withControlPlane { client in
                try await client.directory.createGrant(request, options: .failingFast)
            }
            format.write(json: grant.json) { grant.pretty }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists grants.")

        @Option(name: .flag("agent"), help: "Only those of this agent.")
        var agent = ""
        @Option(name: .flag("resource"), help: "Only those on this resource.")
        var resource = ""
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let all = try await admin.withControlPlane { client in
                try await allPages { token in
                    let page = try await client.directory.listGrants(
                        .with {
                            $0.identity = agent
                            $0.resource = resource
                            $0.pageToken = token
                        }, options: .failingFast)
                    return (page.items, page.nextPageToken)
                }
            }
            format.write(json: ["grants": .array(all.map(\.json))]) {
                "Found \(counted(all.count, "grant", "grants"))\n" + all.map { "\n" + $0.pretty }.joined()
            }
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Takes a grant back.")

        @Option(name: .flag("id"), help: "Identifier of the grant.")
        var id: String
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            _ = try await admin.withControlPlane { client in
                try await client.directory.deleteGrant(.with { $0.id = id }, options: .failingFast)
            }
            format.write(json: ["deleted": .string(id)]) { "Grant deleted." }
        }
    }
}
