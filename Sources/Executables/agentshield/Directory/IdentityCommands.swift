import ArgumentParser
import ControlPlaneAPI
import GRPCCore
import JOSE
import SPIFFE

struct Identity: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "AI agents as the token service knows them: who they are and who answers for them.",
        subcommands: [
            Create.self, Show.self, List.self, Update.self, Disable.self, Enable.self, Retire.self,
        ])
}

extension Identity {
    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes an agent.",
            discussion: """
                Prints the client ID and the environment that clients of Microsoft Entra ID want. The token file is the \
                one that `agentshield svid watch -dir DIR -jwtAudience AUDIENCE` keeps.
                """)

        @Option(name: .flag("name"), help: "Its name: letters, digits, `-`, `_` and `.`.")
        var name: String
        @Option(
            name: [.customLong("spiffeID"), .customLong("spiffeID", withSingleDash: true), .customLong("spiffe-id")],
            help: "The SPIFFE ID that its SVIDs carry.")
        var spiffeID: String
        @Option(name: .flag("owner"), help: "Who may change its credentials.")
        var owner: String = ""
        @Option(name: .flag("sponsor"), help: "Who answers for what it does (default: the blueprint's sponsor).")
        var sponsor: String = ""
        @Option(name: .flag("blueprint"), help: "Identifier or name of the blueprint that it is made from.")
        var blueprint: String = ""
        @Option(
            name: .flag("tokenDir"), help: "The directory of `svid watch`, for the path in AZURE_FEDERATED_TOKEN_FILE.")
        var tokenDirectory = "/run/agentshield/svid"
        @OptionGroup var end: EndOptions
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            _ = try parseID(spiffeID, flag: "-spiffeID")
            let end = try end.seconds() ?? 0
            let request = Agentshield_Admin_V1_CreateIdentityRequest.with {
                $0.name = name
                $0.spiffeID = spiffeID
                $0.owner = owner
                $0.sponsor = sponsor
                $0.blueprint = blueprint
                $0.expiresAt = end
            }
            let (identity, server) = try await admin.withControlPlane { client in
                let identity = try await client.directory.createIdentity(request, options: .failingFast)
                let server = try await client.server.getInfo(
                    Agentshield_Admin_V1_GetServerInfoRequest(), options: .failingFast)
                return (identity, server)
            }
            let environment = ClientEnvironment(identity, server, tokenDirectory: absolute(tokenDirectory))
            format.write(json: environment.json) { identity.pretty + "\n" + environment.pretty }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows an agent; a retired one by its client ID.")

        @OptionGroup var reference: IdentityReferenceOptions
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let identity = try await admin.withControlPlane { client in
                try await client.directory.getIdentity(.with { $0.identity = reference.id }, options: .failingFast)
            }
            format.write(json: identity.json) { identity.pretty }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists the agents.")

        @Option(name: .flag("state"), help: "Only those that are enabled, disabled or retired.")
        var state = ""
        @Option(name: .flag("blueprint"), help: "Only those made from this blueprint.")
        var blueprint = ""
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let all = try await admin.withControlPlane { client in
                try await allPages { token in
                    let page = try await client.directory.listIdentities(
                        .with {
                            $0.state = state
                            $0.blueprint = blueprint
                            $0.pageToken = token
                        }, options: .failingFast)
                    return (page.items, page.nextPageToken)
                }
            }
            format.write(json: ["identities": .array(all.map(\.json))]) {
                "Found \(counted(all.count, "agent", "agents"))\n" + all.map { "\n" + $0.pretty }.joined()
            }
        }
    }

    struct Update: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Changes an agent; its client ID and SPIFFE ID stay.",
            discussion: "What has no flag stays as it is.")

        @OptionGroup var reference: IdentityReferenceOptions
        @Option(name: .flag("name"), help: "Its new name.")
        var name: String?
        @Option(name: .flag("owner"), help: "Who may change its credentials.")
        var owner: String?
        @Option(name: .flag("sponsor"), help: "Who answers for what it does.")
        var sponsor: String?
        @OptionGroup var end: EndOptions
        @Flag(name: .flag("neverExpires"), help: "Takes its end away.")
        var neverExpires = false
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            var request = Agentshield_Admin_V1_UpdateIdentityRequest()
            request.identity = reference.id
            if let name { request.name = name }
            if let owner { request.owner = owner }
            if let sponsor { request.sponsor = sponsor }
            if let end = try end.seconds() {
                guard !neverExpires else { throw CommandFailure("-neverExpires goes with no other end") }
                request.expiresAt = end
            } else if neverExpires {
                request.expiresAt = 0
            }
            let prepared = request
            let identity = try await admin.withControlPlane { client in
                try await client.directory.updateIdentity(prepared, options: .failingFast)
            }
            format.write(json: identity.json) { identity.pretty }
        }
    }

    struct Disable: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "No tokens and no SVIDs for the agent from now on, until `identity enable`.")

        @OptionGroup var reference: IdentityReferenceOptions
        @OptionGroup var reason: ReasonOptions
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let identity = try await admin.withControlPlane { client in
                try await client.directory.disableIdentity(reason.request(reference), options: .failingFast)
            }
            format.write(json: identity.json) { identity.pretty }
        }
    }

    struct Enable: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lets a disabled agent get tokens again.")

        @OptionGroup var reference: IdentityReferenceOptions
        @OptionGroup var reason: ReasonOptions
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let identity = try await admin.withControlPlane { client in
                try await client.directory.enableIdentity(reason.request(reference), options: .failingFast)
            }
            format.write(json: identity.json) { identity.pretty }
        }
    }

    struct Retire: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Ends an agent for good.",
            discussion: """
                Its tokens and SVIDs end, its grants, credentials and registration entries go. Its name is free at once, \
                its SPIFFE ID when the last credential has ended. The record stays, so that its client ID can be resolved. \
                There is no way back.
                """)

        @OptionGroup var reference: IdentityReferenceOptions
        @OptionGroup var reason: ReasonOptions
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let identity = try await admin.withControlPlane { client in
                try await client.directory.retireIdentity(reason.request(reference), options: .failingFast)
            }
            format.write(json: identity.json) { identity.pretty }
        }
    }
}

/// Why an agent's state changes.
struct ReasonOptions: ParsableArguments {
    @Option(name: .flag("reason"), help: "Why, for the audit log.")
    var reason = ""

    func request(_ reference: IdentityReferenceOptions) -> Agentshield_Admin_V1_IdentityStateRequest {
        .with {
            $0.identity = reference.id
            $0.reason = reason
        }
    }
}

/// What a client of the token service has to be told: the counterpart of what `az ad sp create-for-rbac` prints.
struct ClientEnvironment {
    private let identity: Agentshield_Admin_V1_Identity
    private let tenant: String
    private let authority: String
    private let tokenFile: String

    init(
        _ identity: Agentshield_Admin_V1_Identity, _ server: Agentshield_Admin_V1_ServerInfo, tokenDirectory: String
    ) {
        self.identity = identity
        tenant = server.trustDomain
        authority = server.publicURL
        tokenFile = "\(tokenDirectory)/jwt_svid.token"
    }

    private var variables: [(String, String)] {
        [
            ("AZURE_CLIENT_ID", identity.id), ("AZURE_TENANT_ID", tenant), ("AZURE_AUTHORITY_HOST", authority),
            ("AZURE_FEDERATED_TOKEN_FILE", tokenFile),
        ]
    }

    var json: JSONValue {
        [
            "clientId": .string(identity.id), "tenantId": .string(tenant), "issuer": .string("\(authority)/oauth2"),
            "tokenEndpoint": .string("\(authority)/oauth2/token"),
            "spiffeId": .string(identity.spiffeID),
            "environment": .object(JSONObject(variables.map { ($0.0, .string($0.1)) })),
            "identity": identity.json,
        ]
    }

    var pretty: String { variables.map { "\($0.0)=\($0.1)\n" }.joined() }
}
