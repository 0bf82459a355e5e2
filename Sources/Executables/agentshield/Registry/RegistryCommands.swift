import ArgumentParser
import ControlPlaneAPI
import GRPCCore

struct RegistryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "registry", abstract: "The registry of agents: their cards, who approved them, who may see them.",
        discussion: """
            Agents register themselves over HTTPS with their SVIDs. Whoever approves is the person that the control plane \
            knows behind the caller: the user of this machine (-socketApprover of the server), or an administrator by its \
            SPIFFE ID.
            """,
        subcommands: [
            List.self, Show.self, Search.self, Register.self, Approve.self, Reject.self, Deprecate.self, Revoke.self,
            VisibilityCommand.self, Check.self, Export.self, Watch.self,
        ])
}

/// Which agent is meant.
struct RegisteredNameOptions: ParsableArguments {
    @Option(name: .flag("name"), help: "The agent's registered name.")
    var name: String
}

/// Who may see an agent.
struct VisibilityOptions: ParsableArguments {
    @Option(
        name: .flag("visibility"),
        help: "Who may see it: public, entitled (those of -entitled) or private (itself and administrators).")
    var visibility: String?
    @Option(name: .flag("entitled"), help: "A SPIFFE ID that may see it (repeatable).")
    var entitled: [String] = []

    /// What the flags say together.
    var word: String { visibility ?? (entitled.isEmpty ? "" : "entitled") }
}

extension RegistryCommand {
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists agents, older first.")

        @Option(name: .flag("state"), help: "Only those that are draft, pending, active, deprecated or revoked.")
        var state = ""
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let items = try await admin.withControlPlane { client in
                try await allPages { token in
                    let page = try await client.agentRegistry.listAgents(
                        .with {
                            $0.state = state
                            $0.pageToken = token
                        }, options: .failingFast)
                    return (page.items, page.nextPageToken)
                }
            }
            format.write(json: ["agents": .array(items.map(\.json))]) {
                "Found \(counted(items.count, "agent", "agents"))\n" + items.map { "\n" + $0.pretty }.joined()
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows an agent with its versions, or its card.")

        @OptionGroup var reference: RegisteredNameOptions
        @Flag(name: .flag("card"), help: "Writes the card that is served, byte by byte as it was registered.")
        var card = false
        @Option(name: .flag("digest"), help: "With -card: the card of this digest.")
        var digest = ""
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            guard !card else {
                let card = try await admin.withControlPlane { client in
                    try await client.agentRegistry.getCard(
                        .with {
                            $0.name = reference.name
                            $0.digest = digest
                        }, options: .failingFast)
                }
                Terminal.print(String(decoding: card.card, as: UTF8.self))
                return
            }
            let agent = try await admin.withControlPlane { client in
                try await client.agentRegistry.getAgent(.with { $0.name = reference.name }, options: .failingFast)
            }
            format.write(json: agent.json) { agent.pretty }
        }
    }

    struct Search: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Finds agents whose cards are served, best first.",
            discussion: "Within a flag one value has to match, across the flags each.")

        @Option(name: .flag("text"), help: "Words, any of which may occur.")
        var text = ""
        @Option(name: .flag("skill"), help: "The identifier of a skill (repeatable).")
        var skills: [String] = []
        @Option(name: .flag("tag"), help: "A tag of a skill (repeatable).")
        var tags: [String] = []
        @Option(
            name: .flag("scheme"),
            help: "A kind of security scheme: oauth2, mtls, oidc, http or apiKey (repeatable).")
        var schemes: [String] = []
        @Option(name: .flag("trustDomain"), help: "The trust domain of its SPIFFE ID (repeatable).")
        var trustDomains: [String] = []
        @Option(name: .flag("limit"), help: "Most agents to show (default 20).")
        var limit: Int32 = 20
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let found = try await admin.withControlPlane { client in
                try await client.agentRegistry.searchAgents(
                    .with {
                        $0.text = text
                        $0.skills = skills
                        $0.tags = tags
                        $0.schemes = schemes
                        $0.trustDomains = trustDomains
                        $0.pageSize = limit
                    }, options: .failingFast)
            }
            format.write(json: ["agents": .array(found.items.map(\.json))]) {
                "Found \(counted(found.items.count, "agent", "agents"))"
                    + (found.nextPageToken.isEmpty ? "" : " and more") + "\n"
                    + found.items.map { "\n" + $0.pretty }.joined()
            }
        }
    }

    struct Register: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Registers a card for an agent that does not do so itself.",
            discussion: """
                The card comes from a file, or from a URL whose server proves its name; addresses of private networks are \
                refused unless -allowPrivate says otherwise.
                """)

        @OptionGroup var reference: RegisteredNameOptions
        @Option(name: .flag("path"), help: "The card's file; - for standard input.")
        var path: String?
        @Option(name: .flag("url"), help: "The card's URL (https).")
        var url: String?
        @Option(name: .flag("authorities"), help: "With -url: PEM of authorities that vouch for the server.")
        var authorities: String?
        @Flag(name: .flag("allowPrivate"), help: "With -url: it may lead to private networks and to this machine.")
        var allowPrivate = false
        @Flag(name: .flag("draft"), help: "Keeps it without handing it in for approval.")
        var draft = false
        @OptionGroup var visibility: VisibilityOptions
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            var request = Agentshield_Admin_V1_RegisterAgentRequest()
            switch (path, url) {
            case (let path?, nil): request.card = .init(try LocalFile.read(path, limit: 64 << 10))
            case (nil, let url?): request.url = url
            default: throw CommandFailure("say either -path or -url")
            }
            if let authorities { request.authorities = .init(try LocalFile.read(authorities, limit: 1 << 20)) }
            request.name = reference.name
            request.allowPrivate = allowPrivate
            request.draft = draft
            request.visibility = visibility.word
            request.entitled = visibility.entitled
            let agent = try await admin.withControlPlane { [request] client in
                try await client.agentRegistry.register(request, options: .failingFast)
            }
            format.write(json: agent.json) { agent.pretty }
        }
    }

    struct Approve: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lets the card that waits be served.",
            discussion: "Shows it and asks, or takes -digest of a card that was seen before.")

        @OptionGroup var reference: RegisteredNameOptions
        @Option(name: .flag("digest"), help: "Digest of the card that is approved; asks nothing then.")
        var digest: String?
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let digest = try await seenDigest()
            let agent = try await admin.withControlPlane { client in
                try await client.agentRegistry.approve(
                    .with {
                        $0.name = reference.name
                        $0.digest = digest
                    }, options: .failingFast)
            }
            format.write(json: agent.json) { "Approved by \(printable(agent.decidedBy)).\n" }
        }

        private func seenDigest() async throws -> String {
            if let digest { return digest }
            let (agent, card) = try await admin.withControlPlane { client in
                let agent = try await client.agentRegistry.getAgent(
                    .with { $0.name = reference.name }, options: .failingFast)
                let digest = agent.versions.last?.digest ?? ""
                let card = try await client.agentRegistry.getCard(
                    .with {
                        $0.name = reference.name
                        $0.digest = digest
                    }, options: .failingFast)
                return (agent, card)
            }
            // Line by line: what a card's author wrote must not move the cursor over what is to be read.
            let lines = String(decoding: card.card, as: UTF8.self).split(separator: "\n").map { printable(String($0)) }
            Terminal.printError(
                agent.pretty + "\n" + lines.joined(separator: "\n") + "\n\nApprove exactly this? Type yes: ")
            guard readLine() == "yes" else { throw CommandFailure("nothing was approved") }
            return card.digest
        }
    }

    struct Reject: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Turns down the card that waits.")

        @OptionGroup var reference: RegisteredNameOptions
        @Option(name: .flag("reason"), help: "Why; the agent is told.")
        var reason = ""
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let agent = try await admin.withControlPlane { client in
                try await client.agentRegistry.reject(
                    .with {
                        $0.name = reference.name
                        $0.reason = reason
                    }, options: .failingFast)
            }
            format.write(json: agent.json) { "Rejected by \(printable(agent.decidedBy)).\n" }
        }
    }

    struct Deprecate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Says that others should stop using an agent; it is served on.")

        @OptionGroup var reference: RegisteredNameOptions
        @Option(name: .flag("reason"), help: "Why, and what to use instead.")
        var reason = ""
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let agent = try await admin.withControlPlane { client in
                try await client.agentRegistry.deprecate(
                    .with {
                        $0.name = reference.name
                        $0.reason = reason
                    }, options: .failingFast)
            }
            format.write(json: agent.json) { "Agent deprecated.\n" }
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Ends an agent's listing for good; nobody but administrators finds it any more.",
            discussion: """
                Its identity stays as it is: `identity disable` and `revoke` end that, and the listing with it.
                """)

        @OptionGroup var reference: RegisteredNameOptions
        @Option(name: .flag("reason"), help: "Why; for the log.")
        var reason = ""
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let agent = try await admin.withControlPlane { client in
                try await client.agentRegistry.revoke(
                    .with {
                        $0.name = reference.name
                        $0.reason = reason
                    }, options: .failingFast)
            }
            format.write(json: agent.json) { "Agent revoked.\n" }
        }
    }

    struct VisibilityCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "visibility", abstract: "Says who may see an agent. For others there is none.")

        @OptionGroup var reference: RegisteredNameOptions
        @OptionGroup var visibility: VisibilityOptions
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let agent = try await admin.withControlPlane { client in
                try await client.agentRegistry.setVisibility(
                    .with {
                        $0.name = reference.name
                        $0.visibility = visibility.word
                        $0.entitled = visibility.entitled
                    }, options: .failingFast)
            }
            format.write(json: agent.json) { agent.pretty }
        }
    }
}
