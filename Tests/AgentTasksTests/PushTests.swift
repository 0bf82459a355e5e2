import A2A
import AgentShieldTesting
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

/// A store whose first look-up of receivers takes until it is let go.
private final class HeldLookUpStore: TaskStore {
    private let base: any TaskStore
    private let held: Gate
    private let isFirst = Mutex(true)

    init(base: any TaskStore, held: Gate) {
        self.base = base
        self.held = held
    }

    func pushConfigs(of key: TaskKey) async throws(TaskStoreError) -> [PushNotificationConfig] {
        let isFirst = isFirst.withLock { isFirst in
            defer { isFirst = false }
            return isFirst
        }
        if isFirst { await held.wait() }
        return try await base.pushConfigs(of: key)
    }

    func commit(_ commit: TaskCommit) async throws(TaskStoreError) { try await base.commit(commit) }

    func remember(
        _ sent: SentMessage, contextID: String, scope: TaskScope, at now: UnixTime
    ) async throws(TaskStoreError) { try await base.remember(sent, contextID: contextID, scope: scope, at: now) }

    func task(_ key: TaskKey, view: TaskView) async throws(TaskStoreError) -> AgentTask? {
        try await base.task(key, view: view)
    }

    func tasks(_ query: TaskQuery, scope: TaskScope) async throws(TaskStoreError) -> TaskPage {
        try await base.tasks(query, scope: scope)
    }

    func sent(_ messageID: String, scope: TaskScope) async throws(TaskStoreError) -> SentMessage? {
        try await base.sent(messageID, scope: scope)
    }

    func unfinished() async throws(TaskStoreError) -> [(key: TaskKey, task: AgentTask)] {
        try await base.unfinished()
    }

    func setPushConfig(_ config: PushNotificationConfig, of key: TaskKey) async throws(TaskStoreError) {
        try await base.setPushConfig(config, of: key)
    }

    func deletePushConfig(_ id: String, of key: TaskKey) async throws(TaskStoreError) {
        try await base.deletePushConfig(id, of: key)
    }

    func forget(before time: UnixTime) async throws(TaskStoreError) -> Int { try await base.forget(before: time) }
}

@Suite(.timeLimit(.minutes(1))) struct PushTests {
    private func agent(
        _ push: RecordingNotifier, chunks: Int, store: any TaskStore = InMemoryTaskStore()
    ) -> Agent {
        Agent(store: store, push: push) { turn in
            for number in 0..<chunks {
                try await turn.artifact(Artifact(artifactID: String(number), parts: [.text("x")]))
                // Lets each be stored by itself.
                try await Task.sleep(for: .milliseconds(5))
            }
        }
    }

    @Test func receiversGetATasksEventsInTheOrderOfTheTask() async throws {
        let push = RecordingNotifier()
        var configuration = SendMessageRequest.Configuration()
        configuration.pushNotificationConfig = PushNotificationConfig(url: "https://receiver.example/")
        let held = Gate()
        let agent = agent(push, chunks: 3, store: HeldLookUpStore(base: InMemoryTaskStore(), held: held))
        // The receivers of the first event are found only when the task has long ended.
        _ = try await agent.send(Agent.request("go", configuration: configuration))
        held.open()
        let expected = ["task", "0", "1", "2", "TASK_STATE_COMPLETED"]
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
