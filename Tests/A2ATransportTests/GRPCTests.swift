import A2A
import AgentShieldTesting
import AgentTasks
import FoundationEssentials
import GRPCCore
import JOSE
import PeerRPC
import Synchronization
import Testing

@testable import A2ATransport

@Suite struct GRPCTests {
    private struct Handler: AgentHandler {
        let body: @Sendable (AgentTurn) async throws -> Void
        func handle(_ turn: AgentTurn) async throws { try await body(turn) }
    }

    private static let card = AgentCard(
        name: "extended", description: "", version: "1", supportedInterfaces: [], skills: [])

    /// An agent's gRPC server on a socket of its own, and a client of it.
    private func withAgent(
        extensions: [String: Bool] = [:], asking: [String] = [],
        metadata: [(name: String, value: String)] = [("Authorization", "Bearer alice")],
        retries: A2ARetries = A2ARetries(attempts: 1),
        _ handle: @escaping @Sendable (AgentTurn) async throws -> Void,
        _ body: (A2AClient) async throws -> Void
    ) async throws {
        var settings = TaskServiceSettings(rules: CallRules(.anyIdentity))
        settings.extensions = extensions
        let service = TaskService(
            handler: Handler(body: handle), store: InMemoryTaskStore(), settings: settings,
            extendedCard: { _ in Self.card.jsonBytes }, now: { UnixTime(seconds: 1_700_000_000) }, report: { _ in })
        let folder = "/tmp/a2a-grpc-\(UInt32.random(in: .min ... .max))"
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let server = PeerServer.unixSocket(
            path: folder + "/agent.sock", access: .owner,
            services: [
                A2AGRPCService(service: service) { peer, metadata in
                    guard peer?.process != nil else { throw A2AError(.internalError) }
                    guard let word = metadata[stringValues: "authorization"].first(where: { _ in true }) else {
                        return .anonymous
                    }
                    return A2ACaller(method: .bearerToken, name: word)
                }
            ])
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            defer { server.beginGracefulShutdown() }
            try #require(await server.waitUntilListening())
            // A client connects as soon as it is made.
            let binding = GRPCBinding(
                .unixSocket(path: folder + "/agent.sock"), security: .plaintext,
                settings: BindingSettings(extensions: asking, maximumAnswerBytes: 1 << 20), metadata: { metadata })
            var clientSettings = A2AClient.Settings()
            clientSettings.retries = retries
            let client = A2AClient(
                interface: AgentInterface(url: "unix:", protocolBinding: .grpc, tenant: "ten"), binding: binding,
                settings: clientSettings, clock: RetryClock(sleep: { _ in }, chance: { 0 }))
            try await body(client)
        }
    }

    private func request(_ text: String, task: String? = nil) -> SendMessageRequest {
        SendMessageRequest(
            message: Message(
                messageID: "m-\(UInt64.random(in: .min ... .max))", taskID: task, role: .user, parts: [.text(text)]))
    }

    private func refusal(_ body: () async throws -> Void) async -> A2AError? {
        do {
            try await body()
            Issue.record("it was not refused")
        } catch A2AClientError.refused(let error) {
            return error
        } catch {
            Issue.record(error)
        }
        return nil
    }

    @Test func everyOperationReachesTheAgentAndComesBack() async throws {
        try await withAgent { turn in
            try await turn.artifact(Artifact(artifactID: "a", parts: [.data(["k": [1, nil]])]))
            if turn.message.text == "wait" {
                try await turn.requireInput("more?")
            } else {
                try await turn.complete("done")
            }
        } _: { client in
            guard case .task(let task) = try await client.sendMessage(request("go")) else {
                Issue.record("no task")
                return
            }
            #expect(task.status.state == .completed)
            #expect(task.artifacts.first?.parts == [.data(["k": [1, nil]])])
            #expect(try await client.getTask(.init(id: task.id)) == task)
            let page = try await client.listTasks(.init(pageSize: 10, includeArtifacts: true))
            #expect(page.tasks.map(\.id) == [task.id])
            #expect(try await client.getExtendedAgentCard() == Self.card)

            guard case .task(let waiting) = try await client.sendMessage(request("wait")) else {
                Issue.record("no task")
                return
            }
            #expect(waiting.status.state == .inputRequired)
            #expect(try await client.cancelTask(.init(id: waiting.id)).status.state == .canceled)
            #expect(
                await refusal { _ = try await client.cancelTask(.init(id: waiting.id)) }?.kind == .taskNotCancelable)
        }
    }

    @Test func aStreamBringsItsEventsInOrderAndASubscriptionTheRest() async throws {
        let (going, go) = AsyncStream.makeStream(of: Void.self)
        try await withAgent { turn in
            try await turn.update(.working)
            for await _ in going {}
            try await turn.chunk(Artifact(artifactID: "a", parts: [.text("1")]), append: false, lastChunk: false)
            try await turn.complete()
        } _: { client in
            let events = try await client.sendStreamingMessage(request("go"))
            var iterator = events.makeAsyncIterator()
            guard case .task(let task)? = try await iterator.next() else {
                Issue.record("no task")
                return
            }
            let subscription = try await client.subscribeToTask(.init(id: task.id))
            go.finish()
            var states: [TaskState] = []
            while let event = try await iterator.next() {
                if case .status(let update) = event { states.append(update.status.state) }
            }
            #expect(states.last == .completed)
            let rest = try await subscription.all()
            guard case .task? = rest.first, case .status(let last)? = rest.last else {
                Issue.record("\(rest)")
                return
            }
            #expect(last.status.state == .completed)
            let ended = await refusal { _ = try await client.subscribeToTask(.init(id: task.id)) }
            #expect(ended?.kind == .unsupportedOperation)
        }
    }

    @Test func refusalsAreKnownByTheirReasonsAndSayWhichFieldIsWrong() async throws {
        try await withAgent { _ in
        } _: { client in
            // One after another: what one call was refused with must not show in the next.
            for _ in 0..<3 {
                let missing = await refusal { _ = try await client.getTask(.init(id: "none")) }
                #expect(missing == A2AError(.taskNotFound))
                let empty = await refusal {
                    _ = try await client.sendMessage(.init(message: Message(messageID: "", role: .user, parts: [])))
                }
                #expect(empty?.kind == .invalidParams)
                #expect(empty?.violations.map(\.field) == ["message.messageId", "message.parts"])
            }
            let deep = (0..<40).reduce(JSONValue.null) { inner, _ in [inner] }
            let refused = await refusal {
                _ = try await client.sendMessage(
                    .init(message: Message(messageID: "m", role: .user, parts: [.data(deep)])))
            }
            #expect(refused?.violations.first?.field == "message.parts[0].data")
        }
    }

    @Test func callersAreToldApartAndNobodyLearnsOfTasksOfOthers() async throws {
        try await withAgent(metadata: []) { _ in
        } _: { client in
            #expect(await refusal { _ = try await client.getTask(.init(id: "t")) }?.kind == .unauthenticated)
            #expect(
                await refusal { _ = try await client.sendStreamingMessage(request("go")) }?.kind == .unauthenticated)
        }
    }

    @Test func requiredExtensionsHaveToBeDeclared() async throws {
        try await withAgent(extensions: ["https://e.example": true]) { _ in
        } _: { client in
            #expect(
                await refusal { _ = try await client.sendMessage(request("go")) }?.kind == .extensionSupportRequired)
        }
        try await withAgent(extensions: ["https://e.example": true], asking: ["https://e.example"]) { _ in
        } _: { client in
            _ = try await client.sendMessage(request("go"))
        }
    }

    @Test func aServerThatIsNotThereIsToldAsThat() async throws {
        let binding = GRPCBinding(
            .unixSocket(path: "/tmp/a2a-nobody-\(UInt32.random(in: .min ... .max))"), security: .plaintext,
            settings: BindingSettings(extensions: [], maximumAnswerBytes: 1 << 20))
        do {
            _ = try await binding.call(.getTask(.init(id: "t")), AgentTask.self)
            Issue.record("an answer came from nowhere")
        } catch A2AClientError.unreachable {}
    }
}
