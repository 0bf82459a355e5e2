import ArgumentParser
import ControlPlaneAPI
import GRPCCore
import JOSE

struct ResourceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resource", abstract: "What agents get tokens for, and which scopes it has.",
        subcommands: [Create.self, Show.self, List.self, Update.self, Delete.self])
}

/// Which resource is meant.
struct ResourceReferenceOptions: ParsableArguments {
    @Option(name: .flag("id"), help: "The resource: its audience, such as api://agent-b.")
    var id: String
}

/// What a person has to approve there.
struct ApprovalRuleOptions: ParsableArguments {
    @Option(
        name: .flag("approver"),
        help: """
            Who may approve what has to be approved: a person, or an administrator's SPIFFE ID (repeatable; '' takes \
            all rules away).
            """)
    var approvers: [String] = []
    @Option(name: .flag("approvalScope"), help: "A scope that is approved each time (repeatable).")
    var scopes: [String] = []
    @Option(
        name: .flag("approvalDetails"), help: "A type of authorization details that is approved each time (repeatable)."
    )
    var detailTypes: [String] = []
    @Option(name: .flag("approvalTime"), help: "How long a question waits for its answer (default 5m).")
    var waitingTime: String?
    @Flag(
        name: .flag("allowSponsorApproval"), help: "Lets owner and sponsor of the asking agent approve, too.")
    var allowsSponsor = false
    @Flag(name: .flag("refuseSocketApproval"), help: "Takes no answers from the administration socket.")
    var refusesSocket = false

    /// The rules; nil where no flag was given.
    func message() throws -> Agentshield_Admin_V1_ApprovalRules? {
        let isGiven =
            !approvers.isEmpty || !scopes.isEmpty || !detailTypes.isEmpty || waitingTime != nil || allowsSponsor
            || refusesSocket
        guard isGiven else { return nil }
        guard !approvers.isEmpty else { throw CommandFailure("-approver is needed: somebody has to answer") }
        let waitingTime = try seconds(waitingTime, flag: "-approvalTime")
        return .with {
            $0.approvers = approvers.filter { !$0.isEmpty }
            $0.scopes = words(scopes)
            $0.detailTypes = detailTypes
            $0.waitingTime = waitingTime
            $0.allowSponsor = allowsSponsor
            $0.refuseSocket = refusesSocket
        }
    }
}

extension ResourceCommand {
    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Makes a resource.")

        @Option(name: .flag("id"), help: "Its audience: an absolute URI such as api://agent-b.")
        var id: String
        @Option(name: .flag("scope"), help: "A scope that exists there (repeatable).")
        var scopes: [String] = []
        @Option(name: .flag("description"), help: "What it is.")
        var description = ""
        @Option(
            name: .flag("profile"),
            help: """
                What its tokens look like: standard, entra, or authorization-server for grants to another one (default \
                standard).
                """)
        var profile = ""
        @Option(name: .flag("tokenTTL"), help: "Life of its tokens, from 1m to 1h (default 10m).")
        var tokenTTL: String?
        @Option(
            name: .flag("binding"),
            help: "Whether its tokens must be bound to a key of the client: preferred or required (default preferred).")
        var binding = ""
        @Option(name: .flag("agent"), help: "The agent behind it: client ID, SPIFFE ID or name.")
        var agent = ""
        @OptionGroup var approval: ApprovalRuleOptions
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let lifetime = try seconds(tokenTTL, flag: "-tokenTTL")
            let rules = try approval.message()
            let request = Agentshield_Admin_V1_CreateResourceRequest.with {
                $0.id = id
                $0.scopes = words(scopes)
                $0.description_p = description
                $0.profile = profile
                $0.tokenLifetime = lifetime
                $0.binding = binding
                $0.agent = agent
                if let rules { $0.approval = rules }
            }
            let resource = try await admin.withControlPlane { client in
                try await client.directory.createResource(request, options: .failingFast)
            }
            format.write(json: resource.json) { resource.pretty }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows a resource.")

        @OptionGroup var reference: ResourceReferenceOptions
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let resource = try await admin.withControlPlane { client in
                try await client.directory.getResource(.with { $0.resource = reference.id }, options: .failingFast)
            }
            format.write(json: resource.json) { resource.pretty }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists the resources.")

        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let all = try await admin.withControlPlane { client in
                try await allPages { token in
                    let page = try await client.directory.listResources(
                        .with { $0.pageToken = token }, options: .failingFast)
                    return (page.items, page.nextPageToken)
                }
            }
            format.write(json: ["resources": .array(all.map(\.json))]) {
                "Found \(counted(all.count, "resource", "resources"))\n" + all.map { "\n" + $0.pretty }.joined()
            }
        }
    }

    struct Update: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Changes a resource.",
            discussion: """
                What has no flag stays as it is. -scope replaces all scopes; -agent '' takes the agent away; -approver \
                replaces all rules of approval.
                """)

        @OptionGroup var reference: ResourceReferenceOptions
        @Option(name: .flag("scope"), help: "A scope that exists there (repeatable).")
        var scopes: [String] = []
        @Option(name: .flag("description"), help: "What it is.")
        var description: String?
        @Option(name: .flag("profile"), help: "What its tokens look like: standard, entra or authorization-server.")
        var profile: String?
        @Option(name: .flag("tokenTTL"), help: "Life of its tokens, from 1m to 1h.")
        var tokenTTL: String?
        @Option(name: .flag("binding"), help: "Whether its tokens must be bound: preferred or required.")
        var binding: String?
        @Option(name: .flag("agent"), help: "The agent behind it.")
        var agent: String?
        @OptionGroup var approval: ApprovalRuleOptions
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            var request = Agentshield_Admin_V1_UpdateResourceRequest()
            request.resource = reference.id
            if let list = Agentshield_Admin_V1_TextList(scopes) { request.scopes = list }
            if let description { request.description_p = description }
            if let profile { request.profile = profile }
            if tokenTTL != nil { request.tokenLifetime = try seconds(tokenTTL, flag: "-tokenTTL") }
            if let binding { request.binding = binding }
            if let agent { request.agent = agent }
            if let rules = try approval.message() { request.approval = rules }
            let prepared = request
            let resource = try await admin.withControlPlane { client in
                try await client.directory.updateResource(prepared, options: .failingFast)
            }
            format.write(json: resource.json) { resource.pretty }
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Deletes a resource that no grant names.")

        @OptionGroup var reference: ResourceReferenceOptions
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            _ = try await admin.withControlPlane { client in
                try await client.directory.deleteResource(.with { $0.resource = reference.id }, options: .failingFast)
            }
            format.write(json: ["deleted": .string(reference.id)]) { "Resource deleted." }
        }
    }
}
