import ArgumentParser
import ControlPlaneAPI
import GRPCCore
import JOSE

struct FederatedCredentialCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "federated-credential",
        abstract: "Tokens of other issuers that count as an agent's own credential.",
        subcommands: [Create.self, List.self, Delete.self, Test.self])
}

extension FederatedCredentialCommand {
    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Adds a federated credential to an agent.",
            discussion: """
                -parameters takes what `az ad app federated-credential create --parameters` takes, as JSON or as @FILE. \
                Issuer, subject and audience are compared exactly: `federated-credential test` says whether a token of \
                yours would match.
                """)

        @OptionGroup var reference: IdentityReferenceOptions
        @Option(name: .flag("parameters"), help: "The credential as JSON, or @FILE; instead of the flags below.")
        var parameters: String?
        @Option(name: .flag("name"), help: "Its name, unique within the agent.")
        var name: String?
        @Option(name: .flag("issuer"), help: "The `iss` of the tokens: an https URL.")
        var issuer: String?
        @Option(name: .flag("subject"), help: "The `sub` of the tokens.")
        var subject: String?
        @Option(
            name: .flag("claimsExpression"),
            help:
                "Instead of -subject, for tokens of GitHub, GitLab and Terraform Cloud: claims['sub'] matches 'PATTERN'."
        )
        var expression: String?
        @Option(
            name: .flag("audience"),
            help: "The `aud` of the tokens: one of these (repeatable; default api://AzureADTokenExchange).")
        var audiences: [String] = []
        @Option(name: .flag("description"), help: "What it is for.")
        var description: String?
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let credential = try credential()
            let identity = try await admin.withControlPlane { client in
                try await client.directory.createFederatedCredential(
                    .with {
                        $0.identity = reference.id
                        $0.credential = credential
                    }, options: .failingFast)
            }
            let made = identity.federatedCredentials.last { $0.name == credential.name } ?? credential
            format.write(json: made.json) { made.pretty }
        }

        private func credential() throws -> Agentshield_Admin_V1_FederatedCredential {
            if let parameters {
                guard name == nil, issuer == nil, subject == nil, expression == nil, audiences.isEmpty,
                    description == nil
                else { throw CommandFailure("-parameters goes with no other flag of the credential") }
                return try FederatedCredentialParameters.read(parameters)
            }
            guard let name, let issuer else { throw CommandFailure("-parameters, or -name and -issuer, are needed") }
            var credential = Agentshield_Admin_V1_FederatedCredential()
            credential.name = name
            credential.issuer = issuer
            switch (subject, expression) {
            case (let text?, nil): credential.subject = text
            case (nil, let text?): credential.claimsExpression = text
            default: throw CommandFailure("exactly one of -subject and -claimsExpression is needed")
            }
            credential.audiences = audiences
            credential.description_p = description ?? ""
            return credential
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists an agent's federated credentials.")

        @OptionGroup var reference: IdentityReferenceOptions
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            let identity = try await admin.withControlPlane { client in
                try await client.directory.getIdentity(.with { $0.identity = reference.id }, options: .failingFast)
            }
            let all = identity.federatedCredentials
            format.write(json: ["federated_credentials": .array(all.map(\.json))]) {
                "Found \(counted(all.count, "federated credential", "federated credentials"))\n"
                    + all.map { "\n" + $0.pretty }.joined()
            }
        }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Takes a federated credential from an agent.")

        @OptionGroup var reference: IdentityReferenceOptions
        @Option(name: .flag("name"), help: "Name of the credential.")
        var name: String
        @OptionGroup var admin: AdminOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            _ = try await admin.withControlPlane { client in
                try await client.directory.deleteFederatedCredential(
                    .with {
                        $0.identity = reference.id
                        $0.name = name
                    }, options: .failingFast)
            }
            format.write(json: ["deleted": .string(name)]) { "Federated credential deleted." }
        }
    }
}

/// `-parameters`: the JSON of `az ad app federated-credential create --parameters`.
enum FederatedCredentialParameters {
    /// Larger texts are refused.
    private static let maximumBytes = 64 << 10

    private static let known = ["name", "issuer", "subject", "audiences", "description", "claimsMatchingExpression"]

    static func read(_ parameters: String) throws -> Agentshield_Admin_V1_FederatedCredential {
        let isFile = parameters.hasPrefix("@")
        let bytes =
            try isFile
            ? LocalFile.read(String(parameters.dropFirst()), limit: maximumBytes) : Array(parameters.utf8)
        let value: JSONValue
        do throws(JSONParseError) {
            value = try JSONValue(parsing: bytes, limits: JSONLimits(maximumBytes: maximumBytes, maximumDepth: 8))
        } catch {
            throw CommandFailure("-parameters is not JSON: \(error)")
        }
        guard let json = value.objectValue else { throw CommandFailure("-parameters is not a JSON object") }
        if let unknown = json.members.first(where: { !known.contains($0.name) }) {
            throw CommandFailure("-parameters: unknown member `\(unknown.name.truncatedForMessage)`")
        }
        var credential = Agentshield_Admin_V1_FederatedCredential()
        credential.name = try text("name", of: json)
        credential.issuer = try text("issuer", of: json)
        switch (present("subject", in: json), present("claimsMatchingExpression", in: json)) {
        case (_?, nil): credential.subject = try text("subject", of: json)
        case (nil, let value?): credential.claimsExpression = try Self.expression(value)
        default:
            throw CommandFailure("-parameters has exactly one of `subject` and `claimsMatchingExpression`")
        }
        if let audiences = present("audiences", in: json) {
            guard let texts = audiences.stringArrayValue else {
                throw CommandFailure("-parameters: `audiences` is not an array of texts")
            }
            credential.audiences = texts
        }
        if present("description", in: json) != nil {
            credential.description_p = try text("description", of: json)
        }
        return credential
    }

    /// A member that says something: `az` writes null for what is not there.
    private static func present(_ name: String, in json: JSONObject) -> JSONValue? {
        guard let value = json[name], !value.isNull else { return .none }
        return value
    }

    private static func expression(_ value: JSONValue) throws -> String {
        guard let json = value.objectValue,
            !json.members.contains(where: { !["value", "languageVersion"].contains($0.name) }),
            let text = json["value"]?.stringValue
        else {
            throw CommandFailure(
                "-parameters: `claimsMatchingExpression` is {\"value\": \"…\", \"languageVersion\": 1}")
        }
        guard json["languageVersion"]?.int64Value ?? 1 == 1,
            json["languageVersion"]?.numberValue != nil || json.count == 1
        else { throw CommandFailure("-parameters: the only `languageVersion` is 1") }
        return text
    }

    private static func text(_ name: String, of json: JSONObject) throws -> String {
        guard let value = json[name] else { throw CommandFailure("-parameters: `\(name)` is missing") }
        guard let text = value.stringValue else { throw CommandFailure("-parameters: `\(name)` is not a text") }
        return text
    }
}
