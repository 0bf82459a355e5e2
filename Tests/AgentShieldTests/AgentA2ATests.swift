import A2A
import A2ATransport
import AgentShield
import AgentShieldTesting
import AgentTasks
import Hummingbird
import SPIFFE
import Testing

@Suite(.serialized) struct AgentA2ATests {
    let clock = presentClock()
    let own: TestTrustDomain
    let callerAPI = FakeWorkloadAPI()
    let serverAPI = FakeWorkloadAPI()
    let caller: AgentIdentity
    let server: AgentIdentity

    init() throws {
        own = try TestTrustDomain("own.example", clock: clock)
        caller = try callerAPI.identity(clock: clock)
        server = try serverAPI.identity(clock: clock)
        callerAPI.push([try own.svid("/planner")], bundle: own.bundle)
        serverAPI.push([try own.svid("/weather")], bundle: own.bundle)
    }

    /// Says who called, and in whose task.
    private struct Handler: AgentHandler {
        func handle(_ turn: AgentTurn) async throws {
            try await turn.update(.working)
            try await turn.artifact(Artifact(artifactID: "caller", parts: [.text(turn.caller.name)]))
            try await turn.complete()
        }
    }

    @Sendable private func router() -> Router<BasicRequestContext> {
        let service = TaskService(
            handler: Handler(), store: InMemoryTaskStore(),
            settings: TaskServiceSettings(rules: CallRules(.anyIdentity)),
            now: { UnixTime(seconds: 1_700_000_000) }, report: { _ in })
        let card = PublishedCard(
            AgentCard(
                name: "weather", description: "Tells the weather.", version: "1", supportedInterfaces: [], skills: []))
        let responder = A2AHTTPResponder<BasicRequestContext>(
            service: service, card: { card }, settings: .init(path: "/a2a"),
            authenticate: { _, context in
                guard let caller = context.agentCaller else { return .anonymous }
                return A2ACaller(method: .mutualTLS, name: caller.id.string)
            })
        let router = Router()
        for method in [HTTPRequest.Method.get, .post, .delete] {
            router.on("**", method: method) { request, context in
                try await responder.respond(to: request, context: context)
            }
        }
        return router
    }

    private func running(_ body: @escaping @Sendable (String) async throws -> Void) async throws {
        try await callerAPI.serving([caller]) {
            try await serverAPI.serving([server]) {
                try await caller.waitUntilReady()
                try await server.waitUntilReady()
                try await withHummingbird(server, allow: .trustDomain(own.trustDomain), router) { url in
                    try await body(url)
                }
            }
        }
    }

    private func request(_ id: String) -> SendMessageRequest {
        SendMessageRequest(message: A2A.Message(messageID: id, role: .user, parts: [.text("hi")]))
    }

    @Test func `an agent sends another messages over mutual TLS, and is known by its SVID`() async throws {
        try await running { url in
            let http = AgentHTTPClient(identity: caller, allow: .ids([try own.id("/weather")]))
            let found = try await AgentCardResolver(transport: http).card(ofAgentAt: url)
            #expect(found.card.name == "weather")
            for binding in [AgentInterface.ProtocolBinding.jsonRPC, .httpJSON] {
                let interface = AgentInterface(url: url + "/a2a", protocolBinding: binding)
                let client = try A2AConnections(http: http).client(of: interface)
                guard case .task(let task) = try await client.sendMessage(request("m \(binding.rawValue)")) else {
                    Issue.record("no task")
                    return
                }
                #expect(task.status.state == .completed)
                #expect(task.artifacts.first?.parts == [.text("spiffe://own.example/planner")])
                #expect(try await client.getTask(.init(id: task.id)) == task)

                var events: [StreamEvent] = []
                for try await event in try await client.sendStreamingMessage(request("s \(binding.rawValue)")) {
                    events.append(event)
                }
                guard case .task? = events.first, case .status(let last)? = events.last else {
                    Issue.record("\(events)")
                    return
                }
                #expect(last.status.state == .completed)
                await #expect(throws: A2AClientError.refused(A2AError(.taskNotFound))) {
                    _ = try await client.subscribeToTask(.init(id: "of nobody"))
                }
            }
        }
    }

    @Test func `nothing is sent to a server that proves another identity, not even again`() async throws {
        try await running { url in
            let http = AgentHTTPClient(identity: caller, allow: .ids([try own.id("/someone-else")]))
            let interface = AgentInterface(url: url + "/a2a", protocolBinding: .jsonRPC)
            let client = try A2AConnections(http: http).client(of: interface)
            await #expect(throws: AgentShieldError.serverNotAllowed(try own.id("/weather"))) {
                _ = try await client.sendMessage(request("m"))
            }
        }
    }
}
