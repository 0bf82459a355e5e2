public import A2A

/// Calls one agent by the Agent2Agent protocol 1.0, over the interface of its card that was chosen.
///
/// Every operation throws ``A2AClientError``, or what its transport says about identities and tokens. Requests are sent again
/// only when that cannot do harm (``A2ARetries``), and never once an answer has begun.
public final class A2AClient: Sendable {
    /// Limits, and what to ask for.
    public struct Settings: Sendable {
        /// When requests are sent again.
        public var retries = A2ARetries()
        /// How long an operation may take, each attempt by itself; streams are not bounded.
        public var timeout: Duration = .seconds(30)
        /// How long a message may take that waits for the end of its task.
        public var sendTimeout: Duration = .seconds(600)
        /// The most bytes of one answer, and of one event of a stream.
        public var maximumAnswerBytes = 16 << 20
        /// URIs of the extensions to use.
        public var extensions: [String] = []
        /// The pause between two questions about a task whose agent offers no streams any more.
        public var pollingPause: Duration = .seconds(2)

        /// The usual ones.
        public init() {}
    }

    /// The interface that is called.
    public let interface: AgentInterface
    private let binding: any ClientBinding
    private let settings: Settings
    private let clock: RetryClock

    init(interface: AgentInterface, binding: any ClientBinding, settings: Settings, clock: RetryClock = .system) {
        self.interface = interface
        self.binding = binding
        self.settings = settings
        self.clock = clock
    }

    /// Sends a message; by default the answer comes when the task has ended or waits for somebody.
    public func sendMessage(_ request: SendMessageRequest) async throws -> SendMessageResponse {
        try await call(
            .sendMessage(request),
            timeout: request.configuration.returnImmediately ? settings.timeout : settings.sendTimeout)
    }

    /// Sends a message and gives the events that follow: those of its task, or one message.
    public func sendStreamingMessage(_ request: SendMessageRequest) async throws -> A2AEvents {
        try await stream(.sendStreamingMessage(request))
    }

    /// Reads a task.
    public func getTask(_ request: GetTaskRequest) async throws -> AgentTask { try await call(.getTask(request)) }

    /// Lists tasks, page by page.
    public func listTasks(_ request: ListTasksRequest) async throws -> ListTasksResponse {
        try await call(.listTasks(request))
    }

    /// Gives a task up.
    public func cancelTask(_ request: CancelTaskRequest) async throws -> AgentTask {
        try await call(.cancelTask(request))
    }

    /// Gives what further happens to a task, beginning with how it stands.
    public func subscribeToTask(_ request: SubscribeToTaskRequest) async throws -> A2AEvents {
        try await stream(.subscribeToTask(request))
    }

    /// Has the agent tell a receiver of a task's updates.
    public func createPushNotificationConfig(
        _ config: PushNotificationConfig
    ) async throws -> PushNotificationConfig {
        try await call(.createPushNotificationConfig(config))
    }

    /// Reads such a configuration.
    public func getPushNotificationConfig(
        _ request: PushNotificationConfigRequest
    ) async throws -> PushNotificationConfig {
        try await call(.getPushNotificationConfig(request))
    }

    /// Lists such configurations.
    public func listPushNotificationConfigs(
        _ request: ListPushNotificationConfigsRequest
    ) async throws -> ListPushNotificationConfigsResponse {
        try await call(.listPushNotificationConfigs(request))
    }

    /// Deletes such a configuration.
    public func deletePushNotificationConfig(_ request: PushNotificationConfigRequest) async throws {
        let _: EmptyAnswer = try await call(.deletePushNotificationConfig(request))
    }

    /// Reads the card that the agent shows to this caller; a claim, as every card.
    public func getExtendedAgentCard() async throws -> AgentCard {
        try await call(.getExtendedAgentCard(GetExtendedAgentCardRequest()))
    }

    /// The interface's own tenant goes with every request, and no other.
    private func addressed(_ request: OperationRequest) -> OperationRequest { request.with(tenant: interface.tenant) }

    private func call<Answer: AnyBindingMessage>(
        _ request: OperationRequest, timeout: Duration? = nil
    ) async throws -> Answer {
        let request = addressed(request)
        let timeout = timeout ?? settings.timeout
        return try await retrying(request) { [binding] in
            try await Deadline.run(timeout) { try await binding.call(request, Answer.self) }
        }
    }

    private func retrying<Answer>(
        _ request: OperationRequest, _ attempt: () async throws -> Answer
    ) async throws -> Answer {
        var failures = 0
        while true {
            do {
                return try await attempt()
            } catch let error as A2AClientError {
                guard failures + 1 < settings.retries.attempts, settings.retries.allows(request, after: error) else {
                    throw error
                }
                try await clock.pause(settings.retries, afterFailure: failures)
                failures += 1
            }
        }
    }

    private func stream(_ request: OperationRequest) async throws -> A2AEvents {
        let request = addressed(request)
        let events = A2AEvents { [binding, settings, clock] emit in
            let reader = StreamReader(binding: binding, request: request, settings: settings, clock: clock, emit: emit)
            try await reader.run()
        }
        // A refusal is told here and not by the first event.
        try await events.begin()
        return events
    }
}
