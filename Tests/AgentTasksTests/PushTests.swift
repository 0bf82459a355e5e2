import A2A
import AgentTasks
import JOSE
import Synchronization
import Testing

/// Remembers what it was told to send.
private final class RecordingNotifier: PushNotifying {
    private let events = Mutex<[(url: String, text: String)]>([])
    private let refused: FieldViolation?

    init(refused: FieldViolation? = nil) { self.refused = refused }

    func check(_ config: PushNotificationConfig) async throws(A2AError) {
        if let refused { throw .invalid(refused) }
    }

    func notify(_ events: [PublishedEvent], task: TaskKey, config: PushNotificationConfig) {
        self.events.withLock { all in
            for event in events {
                switch event.event {
                case .artifact(let update): all.append((config.url, update.artifact.artifactID))
                case .status(let update): all.append((config.url, update.status.state.protoName))
                case .task: all.append((config.url, "task"))
                case .message: all.append((config.url, "message"))
                }
            }
        }
    }

    func texts(of url: String) -> [String] { events.withLock { $0.filter { $0.url == url }.map(\.text) } }
}

@Suite(.timeLimit(.minutes(1))) struct PushTests {
    private func agent(_ push: RecordingNotifier, chunks: Int) -> Agent {
        Agent(push: push) { turn in
            for number in 0..<chunks {
                try await turn.artifact(Artifact(artifactID: String(number), parts: [.text("x")]))
                // Lets each be stored by itself.
                await Task.yield()
            }
        }
    }

    @Test func receiversGetATasksEventsInTheOrderOfTheTask() async throws {
        let push = RecordingNotifier()
        var configuration = SendMessageRequest.Configuration()
        configuration.pushNotificationConfig = PushNotificationConfig(url: "https://receiver.example/")
        let agent = agent(push, chunks: 300)
        _ = try await agent.send(Agent.request("go", configuration: configuration))
        let expected = ["task"] + (0..<300).map(String.init) + ["TASK_STATE_COMPLETED"]
        while push.texts(of: "https://receiver.example/").count < expected.count {
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(push.texts(of: "https://receiver.example/") == expected)
    }

    @Test func aRefusedReceiverIsNamedWhereItStandsInTheRequest() async throws {
        let push = RecordingNotifier(refused: FieldViolation("url", "is bad"))
        var configuration = SendMessageRequest.Configuration()
        configuration.pushNotificationConfig = PushNotificationConfig(url: "https://receiver.example/")
        let agent = agent(push, chunks: 0)
        let error = await #expect(throws: A2AError.self) {
            try await agent.send(Agent.request("go", configuration: configuration))
        }
        #expect(error?.kind == .invalidParams)
        #expect(error?.violations.map(\.field) == ["configuration.taskPushNotificationConfig.url"])
        let task = try await agent.send(Agent.request("go"))
        let second = await #expect(throws: A2AError.self) {
            try await agent.service.createPushNotificationConfig(
                PushNotificationConfig(taskID: task.id, url: "https://receiver.example/"), Agent.alice)
        }
        #expect(second?.violations.map(\.field) == ["url"])
    }
}
