import A2A
import A2ATransport
import ArgumentParser
import AsyncHTTPClient

/// The agent that is called, and how.
struct A2AAgentOptions: ParsableArguments {
    @Argument(help: "The agent's address, below which its card is; with -registry its name there.")
    var agent: String
    @Option(name: .flag("registry"), help: "The address of the registry that has the agent's card.")
    var registry: String?
    @Flag(name: .flag("direct"), help: "The address is that of the card itself.")
    var isDirect = false
    @Option(
        name: .flag("binding"),
        help: "JSONRPC, HTTP+JSON or GRPC; several in the order in which they are wanted (default: the agent's own).")
    var bindings: [String] = []
    @Option(name: .flag("tokenFile"), help: "A file with the access token to show; it is not shown for the card.")
    var tokenFile: String?
    @Option(
        name: .flag("extension"), help: "The URI of an extension of the protocol to use; several times for several.")
    var extensions: [String] = []
    @Option(name: .flag("timeout"), help: "How long an answer may take, such as 30s.")
    var timeout = "10m"

    /// Runs `body` with the agent's card.
    func withCard<Result>(_ body: (UnverifiedAgentCard) async throws -> Result) async throws -> Result {
        try await withClient { http in
            try await body(try await card(A2AWebTransport(client: http)))
        }
    }

    /// Runs `body` with a client of the agent.
    func withAgent<Result>(_ body: (A2AClient) async throws -> Result) async throws -> Result {
        let preference = try bindings.isEmpty ? nil : bindings.map(Self.binding)
        let token = try tokenFile.map(Self.token)
        var settings = A2AClient.Settings()
        settings.extensions = extensions
        settings.timeout = .seconds(try DurationText.seconds(timeout, flag: "-timeout"))
        settings.sendTimeout = settings.timeout
        return try await withClient { http in
            let card = try await card(A2AWebTransport(client: http)).card
            let headers: [(name: String, value: String)] = token.map { [("authorization", "Bearer \($0)")] } ?? []
            let connections = A2AConnections(
                http: A2AWebTransport(client: http, headers: { headers }), grpc: Self.grpcSecurity,
                metadata: { headers })
            return try await body(try connections.client(of: card, preferring: preference, settings: settings))
        }
    }

    private func card(_ transport: A2AWebTransport) async throws -> UnverifiedAgentCard {
        let resolver = AgentCardResolver(transport: transport)
        if let registry { return try await resolver.card(of: agent, inRegistryAt: registry) }
        return isDirect ? try await resolver.card(at: agent) : try await resolver.card(ofAgentAt: agent)
    }

    private func withClient<Result>(_ body: (HTTPClient) async throws -> Result) async throws -> Result {
        let client = HTTPClient(configuration: A2AWebTransport.configuration)
        do {
            let result = try await body(client)
            try? await client.shutdown()
            return result
        } catch {
            try? await client.shutdown()
            throw (error as? A2AClientError).map { CommandFailure($0.description) } ?? error
        }
    }

    private static func binding(_ word: String) throws -> AgentInterface.ProtocolBinding {
        for binding in [AgentInterface.ProtocolBinding.jsonRPC, .httpJSON, .grpc]
        where binding.rawValue.lowercased() == word.lowercased() {
            return binding
        }
        throw CommandFailure("-binding: `\(word)` is none of JSONRPC, HTTP+JSON and GRPC")
    }

    private static func token(_ path: String) throws -> String {
        let text = String(decoding: try LocalFile.read(path, limit: 64 << 10), as: UTF8.self)
        let token = text.prefix { !$0.isNewline }
        guard !token.isEmpty, token.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw CommandFailure("-tokenFile: `\(path)` holds no token")
        }
        return String(token)
    }

    /// The web's authorities vouch for servers elsewhere; this machine is spoken with as its card says.
    private static let grpcSecurity: A2AConnections.GRPCSecurity = { target in
        guard target.isTLS != true, target.isLoopback else {
            throw CommandFailure("over gRPC only agents on this machine can be called without an identity")
        }
        return .plaintext
    }
}

/// `-output pretty|json`, and for streams one line of JSON for each event.
extension OutputOptions {
    func write(_ event: StreamEvent) {
        switch output {
        case .json: Terminal.print(String(decoding: event.jsonBytes, as: UTF8.self))
        case .pretty: Terminal.print(event.pretty)
        }
    }

    func write(_ message: some ProtoJSONMessage, pretty: String) {
        switch output {
        case .json: Terminal.print(String(decoding: message.jsonBytes, as: UTF8.self))
        case .pretty: Terminal.print(pretty)
        }
    }
}
