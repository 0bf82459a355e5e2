import A2A
import AgentShield
import AgentTasks
import ArgumentParser
import NIOCore
import ServiceLifecycle
import UnixSignals

/// The weather agent once more, as an A2A agent: registers its card, takes tasks with access tokens.
struct ServeTasks: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serve the weather as an A2A agent, and put it on the registry.")

    @Option(help: "Port to listen on.") var port: Int
    @Option(help: "The registry, https://HOST:PORT, which is the control plane.") var registry: String
    @Option(help: "The name to register under.") var name = "weather"
    @Option(help: "What the agent is called in access tokens.") var audience = "api://weather"
    @Option(help: "The scope that a task needs.") var scope = "Forecast.Read"
    @Option(help: "A SPIFFE ID that needs no token; repeat it for more.", transform: parseID) var allow: [SPIFFEID] = []
    @Option(help: "A name of the agent in proofs of requests, which it takes then.") var proofAudience: [String] = []
    @Flag(help: "Do not register the card.") var unlisted = false
    @Option(help: "Seconds to wait for an identity.") var wait = 30

    func run() async throws {
        try await withIdentity(seconds: wait) { identity, own in
            let issuer = "\(registry)/oauth2"
            let card = try card(own.id, issuer)
            var settings = A2AServer.Settings(rules: CallRules(.init(scopes: [scope], identities: Set(allow))))
            settings.port = port
            settings.tokens = try AgentTokenVerifier(
                identity: identity, AgentTokenVerifier.Settings(issuer: issuer, audiences: [audience]))
            if !proofAudience.isEmpty {
                settings.proofs = try AgentProofVerifier(
                    identity: identity, AgentProofVerifier.Settings(audiences: proofAudience))
            }
            let server = try A2AServer(
                card: card, handler: Forecasts(),
                security: .mutualTLS(identity, allow: .trustDomains([own.id.trustDomain])), settings: settings,
                logger: AgentIdentity.silentLogger
            ) { port in
                guard !unlisted else { return Output.line("serving tasks at https://127.0.0.1:\(port)") }
                do {
                    try await register(card, identity, own.id)
                    Output.line("serving tasks at https://127.0.0.1:\(port), registered as \(name)")
                } catch {
                    Output.error("not registered: \(error)")
                }
            }
            try await ServiceGroup(
                services: [server], gracefulShutdownSignals: [.sigterm, .sigint], logger: AgentIdentity.silentLogger
            ).run()
        }
    }

    /// What the agent shows of itself. The extension binds the card to the identity that answers.
    private func card(_ id: SPIFFEID, _ issuer: String) throws -> AgentCard {
        // A scope that names its resource: whoever reads the card can ask for a token with nothing else at hand.
        let needed = "\(audience)/\(scope)"
        return AgentCard(
            name: "Weather agent", description: "Forecasts the weather", version: "1.0.0",
            supportedInterfaces: [
                AgentInterface(url: "https://127.0.0.1:\(port)", protocolBinding: .httpJSON),
                AgentInterface(url: "https://127.0.0.1:\(port)", protocolBinding: .jsonRPC),
            ],
            capabilities: AgentCapabilities(
                streaming: true,
                extensions: [
                    try CardIdentity(spiffeID: id, credentials: [.x509SVID, .accessToken]).agentExtension
                ]),
            securitySchemes: [
                "tokens": .oauth2(
                    .init(
                        flows: .clientCredentials(
                            .init(tokenURL: "\(issuer)/token", scopes: [needed: "Ask for a forecast"]))))
            ],
            securityRequirements: [SecurityRequirement(["tokens": [needed]])],
            defaultInputModes: ["application/json", "text/plain"], defaultOutputModes: ["application/json"],
            skills: [
                AgentSkill(id: "forecast", name: "Forecast", description: "The weather of a place", tags: ["weather"])
            ])
    }

    private func register(_ card: AgentCard, _ identity: AgentIdentity, _ own: SPIFFEID) async throws {
        let controlPlane = try SPIFFEID("spiffe://\(own.trustDomain)/spire/server")
        let client = AgentHTTPClient(identity: identity, allow: .ids([controlPlane]))
        var request = AgentHTTPRequest(url: "\(registry)/agents/\(name)?visibility=public")
        request.method = .PUT
        request.headers.add(name: "Content-Type", value: "application/json")
        request.body = .bytes(ByteBuffer(bytes: try CardDocument(card).jsonBytes))
        let response = try await client.execute(request)
        guard (200..<300).contains(response.status.code) else {
            let body = String(buffer: try await response.body.collect(upTo: 4096))
            throw Failure("the registry answered \(response.status.code): \(body)")
        }
    }
}

/// Takes its time, and says how far it is.
private struct Forecasts: AgentHandler {
    func handle(_ turn: AgentTurn) async throws {
        for step in 1...3 {
            try await turn.update(.working, progress: TaskProgress(fraction: Double(step) / 4))
            try await Task.sleep(for: .milliseconds(300))
        }
        try await turn.artifact(
            Artifact(artifactID: "forecast", name: "Forecast", parts: [.data(["weather": "sunny", "degrees": 21])]))
        try await turn.complete()
    }
}
