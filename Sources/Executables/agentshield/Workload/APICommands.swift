import ArgumentParser
import FoundationEssentials
import JOSE
import SPIFFE
import WorkloadAPI

struct API: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "The Workload API, as a workload sees it.", subcommands: [Fetch.self, ValidateAPI.self, Watch.self])
}

extension API {
    struct Fetch: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Fetches identities.", subcommands: [FetchX509.self, FetchJWT.self, FetchWIT.self],
            defaultSubcommand: FetchX509.self)
    }

    struct ValidateAPI: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "validate", abstract: "Validates a credential.", subcommands: [ValidateJWT.self])
    }

    struct Watch: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Prints X.509-SVIDs whenever they change.")

        @OptionGroup var workload: WorkloadOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let format = format
            try await workload.withWorkloadAPI(limited: false) { client in
                for try await context in client.streamX509Contexts() {
                    let shown = try ShownContext(context)
                    format.write(json: shown.json) {
                        "Received an update at \(WallClock.now().rfc3339)\n\n" + shown.pretty
                    }
                }
            }
        }
    }
}

struct FetchX509: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "x509", abstract: "Fetches X.509-SVIDs.")

    @Option(
        name: .flag("write"), help: "Directory for svid.N.pem, svid.N.key, bundle.N.pem and federated_bundle.N.M.pem.")
    var directory: String?
    @Flag(name: .flag("silent"), help: "Prints nothing.")
    var silent = false
    @OptionGroup var workload: WorkloadOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let context = try await workload.withWorkloadAPI { client in
            for try await context in client.streamX509Contexts() { return context }
            throw CommandFailure("the Workload API ended the stream without an answer")
        }
        let shown = try ShownContext(context)
        if let directory { try shown.write(to: directory) }
        guard !silent else { return }
        format.write(json: shown.json) { shown.pretty + (directory.map { "\nWritten to \($0)\n" } ?? "") }
    }
}

struct FetchJWT: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "jwt", abstract: "Fetches a JWT-SVID.")

    @Option(name: .flag("audience"), help: "An audience of the token; repeat or separate by commas for more.")
    var audience: [String] = []
    @Option(name: .flag("spiffeID"), help: "Which identity, when the workload has several.")
    var spiffeID: String?
    @OptionGroup var workload: WorkloadOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let wanted = audience.flatMap { $0.split(separator: ",").map { String($0) } }
        guard !wanted.isEmpty else { throw CommandFailure("-audience is needed") }
        let id = try spiffeID.map { try parseID($0, flag: "-spiffeID") }
        let (svids, bundles) = try await workload.withWorkloadAPI { client in
            let svids = try await client.fetchJWTSVIDs(audience: wanted, id: id)
            for try await bundles in client.streamJWTBundles() { return (svids, bundles.bundles) }
            return (svids, [:])
        }
        format.write(
            json: [
                "svids": .array(
                    svids.map {
                        ["spiffe_id": .string($0.id.string), "svid": .string($0.token), "hint": .string($0.hint)]
                    }),
                "bundles": .object(
                    JSONObject(
                        bundles.sorted { $0.key < $1.key }.map {
                            ($0.key.id.string, .string(String(decoding: $0.value, as: UTF8.self)))
                        })),
            ]
        ) {
            svids.map { "token(\($0.id)):\n\t\($0.token)\n" }.joined()
                + bundles.sorted { $0.key < $1.key }.map {
                    "bundle(\($0.key.id)):\n\t\(String(decoding: $0.value, as: UTF8.self))\n"
                }.joined()
        }
    }
}

struct FetchWIT: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wit", abstract: "Fetches WIT-SVIDs with their private keys.",
        discussion: "A WIT-SVID is no bearer token: what receives it asks for a proof with its key.")

    @Option(name: .flag("spiffeID"), help: "Which identity, when the workload has several.")
    var spiffeID: String?
    @OptionGroup var workload: WorkloadOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let id = try spiffeID.map { try parseID($0, flag: "-spiffeID") }
        let (svids, bundles) = try await workload.withWorkloadAPI { client in
            for try await state in client.streamWITSVIDs(id: id) {
                for try await bundles in client.streamWITBundles() { return (state.svids, bundles.bundles) }
            }
            throw CommandFailure("the Workload API ended the stream without an answer")
        }
        format.write(
            json: [
                "svids": .array(
                    svids.map {
                        [
                            "spiffe_id": .string($0.id.string), "wit_svid": .string($0.token),
                            "wit_svid_key": .string($0.privateKey), "hint": .string($0.hint),
                        ]
                    }),
                "bundles": .object(
                    JSONObject(
                        bundles.sorted { $0.key < $1.key }.map {
                            ($0.key.id.string, .string(String(decoding: $0.value, as: UTF8.self)))
                        })),
            ]
        ) {
            svids.map { "token(\($0.id)):\n\t\($0.token)\nkey(\($0.id)):\n\t\($0.privateKey)\n" }.joined()
                + bundles.sorted { $0.key < $1.key }.map {
                    "bundle(\($0.key.id)):\n\t\(String(decoding: $0.value, as: UTF8.self))\n"
                }.joined()
        }
    }
}

struct ValidateJWT: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "jwt", abstract: "Validates a JWT-SVID.")

    @Option(name: .flag("audience"), help: "The audience that it has to be for.")
    var audience: String
    @Option(name: .flag("svid"), help: "The token (`-`: from standard input).")
    var svid: String
    @OptionGroup var workload: WorkloadOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let audience = audience
        let token =
            svid == "-"
            ? String(decoding: try LocalFile.read("-", limit: 64 << 10), as: UTF8.self).filter { !$0.isWhitespace }
            : svid
        let validation = try await workload.withWorkloadAPI { client in
            try await client.validateJWTSVID(token, audience: audience)
        }
        format.write(json: ["spiffe_id": .string(validation.id.string), "claims": .object(validation.claims)]) {
            "SVID is valid.\nSPIFFE ID : \(validation.id)\n"
                + "Claims    : \(String(decoding: validation.claims.serializedBytes, as: UTF8.self))"
        }
    }
}
