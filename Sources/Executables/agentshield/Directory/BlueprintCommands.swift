import ArgumentParser
import ControlPlaneAPI
import GRPCCore
import JOSE

struct Blueprint: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Templates of agents: the ceiling over everything that they are granted.",
        subcommands: [
            Create.self, Show.self, List.self, Update.self, Enable.self, Disable.self, Delete.self,
        ])
}

/// Which blueprint is meant.
struct BlueprintReferenceOptions: ParsableArguments {
    @Option(name: .flag("id"), help: "The blueprint: its identifier or name.")
    var id: String
}

extension Blueprint {
    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Makes a blueprint.")

        @Option(name: .flag("name"), help: "Its name: letters, digits, `-`, `_` and `.`.")
        var name: String
        @Option(name: .flag("sponsor"), help: "Who answers for agents that name nobody else.")
        var sponsor: String
        @Option(name: .flag("description"), help: "What it is for.")
        var description = ""
        @Option(name: .flag("scope"), help: "A scope that agents may be granted (repeatable).")
        var scopes: [String] = []
        @Option(name: .flag("audience"), help: "A resource that agents may get tokens for (repeatable).")
        var audiences: [String] = []
        @Option(
            name: .flag("credential"),
            help: """
                How agents may prove who they are (repeatable): spiffe_x509, spiffe_jwt, tls_client_auth, \
                self_signed_tls_client_auth, private_key_jwt, federated_assertion, blueprint_assertion, client_secret \
                (default: all but the last).
                """)
        var credentials: [String] = []
        @Option(name: .flag("maxTokenTTL"), help: "Longest life of an access token (default 1h).")
        var tokenTTL: String?
        @Option(name: .flag("maxActorDepth"), help: "Longest chain of actors (default 4).")
        var actorDepth: Int32 = 0
        @Option(
            name: .flag("operator"),
            help: "The agent that runs agents of this blueprint: it gets assertions for them at the token endpoint.")
        var `operator`: String?
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let lifetime = try seconds(tokenTTL, flag: "-maxTokenTTL")
            let request = Agentshield_Admin_V1_CreateBlueprintRequest.with {
                $0.name = name
                $0.sponsor = sponsor
                $0.description_p = description
                $0.scopes = words(scopes)
                $0.audiences = words(audiences)
                $0.credentialKinds = words(credentials)
                $0.maximumTokenLifetime = lifetime
                $0.maximumActorDepth = actorDepth
                $0.operator = `operator` ?? ""
            }
            let blueprint = try await admin.withControlPlane { client in
                try await client.directory.createBlueprint(request, options: .failingFast)
            }
            format.write(json: blueprint.json) { blueprint.pretty }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows a blueprint.")

        @OptionGroup var reference: BlueprintReferenceOptions
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let blueprint = try await admin.withControlPlane { client in
                try await client.directory.getBlueprint(.with { $0.blueprint = reference.id }, options: .failingFast)
            }
            format.write(json: blueprint.json) { blueprint.pretty }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists the blueprints.")

        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let all = try await admin.withControlPlane { client in
                try await allPages { token in
                    let page = try await client.directory.listBlueprints(
                        .with { $0.pageToken = token }, options: .failingFast)
                    return (page.items, page.nextPageToken)
                }
            }
            format.write(json: ["blueprints": .array(all.map(\.json))]) {
                "Found \(counted(all.count, "blueprint", "blueprints"))\n" + all.map { "\n" + $0.pretty }.joined()
            }
        }
    }

    struct Update: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Changes a blueprint, at once for all its agents.",
            discussion: "What has no flag stays as it is. A list is replaced; -scope '' makes it empty.")

        @OptionGroup var reference: BlueprintReferenceOptions
        @Option(name: .flag("name"), help: "Its new name.")
        var name: String?
        @Option(name: .flag("sponsor"), help: "Who answers for agents that name nobody else.")
        var sponsor: String?
        @Option(name: .flag("description"), help: "What it is for.")
        var description: String?
        @Option(name: .flag("scope"), help: "A scope that agents may be granted (repeatable).")
        var scopes: [String] = []
        @Option(name: .flag("audience"), help: "A resource that agents may get tokens for (repeatable).")
        var audiences: [String] = []
        @Option(name: .flag("credential"), help: "How agents may prove who they are (repeatable).")
        var credentials: [String] = []
        @Option(name: .flag("maxTokenTTL"), help: "Longest life of an access token.")
        var tokenTTL: String?
        @Option(name: .flag("maxActorDepth"), help: "Longest chain of actors.")
        var actorDepth: Int32?
        @Option(name: .flag("operator"), help: "The agent that runs agents of this blueprint; '' for none.")
        var `operator`: String?
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            var request = Agentshield_Admin_V1_UpdateBlueprintRequest()
            request.blueprint = reference.id
            if let name { request.name = name }
            if let sponsor { request.sponsor = sponsor }
            if let description { request.description_p = description }
            if let list = Agentshield_Admin_V1_TextList(scopes) { request.scopes = list }
            if let list = Agentshield_Admin_V1_TextList(audiences) { request.audiences = list }
            if let list = Agentshield_Admin_V1_TextList(credentials) { request.credentialKinds = list }
            if tokenTTL != nil { request.maximumTokenLifetime = try seconds(tokenTTL, flag: "-maxTokenTTL") }
            if let actorDepth { request.maximumActorDepth = actorDepth }
            if let `operator` { request.operator = `operator` }
            try await update(request, admin, format)
        }
    }

    struct Enable: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lets agents of a blueprint get tokens again.")

        @OptionGroup var reference: BlueprintReferenceOptions
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            try await update(
                .with {
                    $0.blueprint = reference.id
                    $0.enabled = true
                }, admin, format)
        }
    }

    struct Disable: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "No agent of the blueprint gets a token from now on.")

        @OptionGroup var reference: BlueprintReferenceOptions
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            try await update(
                .with {
                    $0.blueprint = reference.id
                    $0.enabled = false
                }, admin, format)
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Deletes a blueprint that no live agent has.")

        @OptionGroup var reference: BlueprintReferenceOptions
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            _ = try await admin.withControlPlane { client in
                try await client.directory.deleteBlueprint(.with { $0.blueprint = reference.id }, options: .failingFast)
            }
            format.write(json: ["deleted": .string(reference.id)]) { "Blueprint deleted." }
        }
    }
}

private func update(
    _ request: Agentshield_Admin_V1_UpdateBlueprintRequest, _ admin: AdminOptions, _ format: OutputOptions
) async throws {
    let blueprint = try await admin.withControlPlane { client in
        try await client.directory.updateBlueprint(request, options: .failingFast)
    }
    format.write(json: blueprint.json) { blueprint.pretty }
}
