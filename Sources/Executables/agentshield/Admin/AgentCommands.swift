import ArgumentParser
import ControlPlaneAPI
import GRPCCore
import JOSE
import SPIFFE
import SwiftProtobuf

struct Agent: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "The node agent: run one here, or administer those of the trust domain.",
        subcommands: [
            AgentRun.self, List.self, Show.self, Ban.self, Evict.self, Count.self, Purge.self, AgentLogger.self,
            AgentDebug.self, AgentValidate.self, AgentHealthCheck.self,
        ])
}

/// The filters of `agent list` and `agent count`.
struct AgentFilterOptions: ParsableArguments {
    @Option(name: .flag("attestationType"), help: "Only node agents attested by this method.")
    var attestationType: String?
    @Option(name: .flag("banned"), help: "Only banned (true) or not banned (false) node agents.")
    var banned: Bool?
    @Option(name: .flag("canReattest"), help: "Only node agents that can (true) or cannot (false) attest again.")
    var canReattest: Bool?
    @Option(name: .flag("expiresBefore"), help: "Only node agents whose certificate ends before this time (RFC 3339).")
    var expiresBefore: String?
    @Option(name: .flag("selector"), help: "Only node agents with these selectors; repeat for more.")
    var selectors: [String] = []
    @Option(name: .flag("matchSelectorsOn"), help: "How selectors compare: exact, any, superset or subset.")
    var matchSelectorsOn: MatchBehavior = .superset

    func filter() throws -> Spire_Api_Server_Agent_V1_ListAgentsRequest.Filter {
        var filter = Spire_Api_Server_Agent_V1_ListAgentsRequest.Filter()
        filter.byAttestationType = attestationType ?? ""
        if let banned { filter.byBanned = Google_Protobuf_BoolValue(banned) }
        if let canReattest { filter.byCanReattest = Google_Protobuf_BoolValue(canReattest) }
        filter.byExpiresBefore = expiresBefore ?? ""
        if !selectors.isEmpty {
            filter.bySelectorMatch.selectors = try selectors.map(parseSelector)
            filter.bySelectorMatch.match = matchSelectorsOn.selectors
        }
        return filter
    }
}

extension Agent {
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists attested node agents.")

        @OptionGroup var filter: AgentFilterOptions
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let agents = try await listAgents(filter.filter(), admin)
            format.write(json: ["agents": .array(agents.map(\.json)), "next_page_token": ""]) {
                "Found \(counted(agents.count, "attested agent", "attested agents"))\n\n"
                    + agents.map { $0.pretty + "\n" }.joined()
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows one node agent.")

        @Option(name: .flag("spiffeID"), help: "SPIFFE ID of the node agent.")
        var spiffeID: String
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            var request = Spire_Api_Server_Agent_V1_GetAgentRequest()
            request.id = try parseID(spiffeID, flag: "-spiffeID").message
            let prepared = request
            let agent = try await admin.withControlPlane { client in
                try await client.agents
                    .getAgent(prepared, options: .failingFast)
            }
            format.write(json: agent.json) { agent.pretty }
        }
    }

    struct Ban: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Bans a node agent: it loses its service and cannot attest again.")

        @Option(name: .flag("spiffeID"), help: "SPIFFE ID of the node agent.")
        var spiffeID: String
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            var request = Spire_Api_Server_Agent_V1_BanAgentRequest()
            request.id = try parseID(spiffeID, flag: "-spiffeID").message
            let prepared = request
            _ = try await admin.withControlPlane { client in
                try await client.agents
                    .banAgent(prepared, options: .failingFast)
            }
            format.write(json: [:]) { "Agent banned successfully" }
        }
    }

    struct Evict: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Forgets a node agent; it may attest again.")

        @Option(name: .flag("spiffeID"), help: "SPIFFE ID of the node agent.")
        var spiffeID: String
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            try await evict(parseID(spiffeID, flag: "-spiffeID").message, admin)
            format.write(json: [:]) { "Agent evicted successfully" }
        }
    }

    struct Count: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Counts attested node agents.")

        @OptionGroup var filter: AgentFilterOptions
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let listing = try filter.filter()
            let count = try await admin.withControlPlane { client in
                var request = Spire_Api_Server_Agent_V1_CountAgentsRequest()
                request.filter.byAttestationType = listing.byAttestationType
                if listing.hasByBanned { request.filter.byBanned = listing.byBanned }
                if listing.hasByCanReattest { request.filter.byCanReattest = listing.byCanReattest }
                request.filter.byExpiresBefore = listing.byExpiresBefore
                if listing.hasBySelectorMatch { request.filter.bySelectorMatch = listing.bySelectorMatch }
                return try await client.agents
                    .countAgents(request, options: .failingFast).count
            }
            format.write(json: ["count": .number(JSONNumber(Int64(count)))]) {
                counted(Int(count), "attested agent", "attested agents")
            }
        }
    }

    struct Purge: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Evicts node agents whose certificate ended a while ago and that cannot attest again.")

        @Option(name: .flag("expiredFor"), help: "How long ago the certificate ended, such as 720h.")
        var expiredFor = "720h"
        @Flag(name: .flag("dryRun"), help: "Says what would go and leaves it.")
        var dryRun = false
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let age = try DurationText.seconds(expiredFor, flag: "-expiredFor")
            var filter = Spire_Api_Server_Agent_V1_ListAgentsRequest.Filter()
            filter.byExpiresBefore = (WallClock.now() - age).rfc3339
            filter.byCanReattest = Google_Protobuf_BoolValue(false)
            filter.byBanned = Google_Protobuf_BoolValue(false)
            let expired = try await listAgents(filter, admin)
            if !dryRun {
                for agent in expired { try await evict(agent.id, admin) }
            }
            format.write(
                json: [
                    "expired_agents": .array(
                        expired.map { ["agent_id": .string($0.id.uri), "deleted": .bool(!dryRun)] })
                ]
            ) {
                guard !expired.isEmpty else { return "No agents to purge." }
                let verb = dryRun ? "can be purged" : "purged"
                return "\(counted(expired.count, "agent", "agents")) \(verb)\n"
                    + expired.map { "SPIFFE ID : \($0.id.uri)" }.joined(separator: "\n")
            }
        }
    }
}

private func listAgents(
    _ filter: Spire_Api_Server_Agent_V1_ListAgentsRequest.Filter, _ admin: AdminOptions
) async throws -> [Spire_Api_Types_Agent] {
    try await admin.withControlPlane { client in
        let agents = client.agents
        var all: [Spire_Api_Types_Agent] = []
        var request = Spire_Api_Server_Agent_V1_ListAgentsRequest()
        request.filter = filter
        request.pageSize = 500
        repeat {
            let page = try await agents.listAgents(request, options: .failingFast)
            all += page.agents
            request.pageToken = page.nextPageToken
        } while !request.pageToken.isEmpty
        return all
    }
}

private func evict(_ id: Spire_Api_Types_SPIFFEID, _ admin: AdminOptions) async throws {
    _ = try await admin.withControlPlane { client in
        var request = Spire_Api_Server_Agent_V1_DeleteAgentRequest()
        request.id = id
        return try await client.agents
            .deleteAgent(request, options: .failingFast)
    }
}
