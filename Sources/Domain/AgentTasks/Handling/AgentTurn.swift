public import A2A
public import JOSE

/// One message of a client, and the handler's way to answer it.
public final class AgentTurn: Sendable {
    /// The message.
    public let message: Message
    /// The task as it stood when the message came; `nil` when the message is the first.
    public let task: AgentTask?
    /// Who sent it.
    public let caller: A2ACaller
    /// The conversation.
    public let contextID: String
    /// The skill that the client asks for, if it names one.
    public let skill: String?
    /// Media types that the client can read; empty for all.
    public let acceptedOutputModes: [String]
    /// Further data of the request.
    public let metadata: JSONObject
    /// URIs of the extensions that are in use.
    public let extensions: [String]

    private let live: LiveTask
    private let previous: @Sendable (Int) async throws -> [AgentTask]

    init(
        request: SendMessageRequest, task: AgentTask?, caller: A2ACaller, contextID: String, skill: String?,
        extensions: [String], live: LiveTask, previous: @escaping @Sendable (Int) async throws -> [AgentTask]
    ) {
        message = request.message
        self.task = task
        self.caller = caller
        self.contextID = contextID
        self.skill = skill
        acceptedOutputModes = request.configuration.acceptedOutputModes
        metadata = request.metadata
        self.extensions = extensions
        self.live = live
        self.previous = previous
    }

    /// The identifier of the task that this turn is part of, or will be once there is one.
    public var taskID: String { live.key.id }

    /// The latest tasks of the same conversation, newest first, with their artifacts and messages.
    public func previousTasks(limit: Int = 10) async throws -> [AgentTask] { try await previous(limit) }

    /// Answers with a message and no task. Once there is a task, the message completes it.
    public func reply(_ parts: [Part], metadata: JSONObject = JSONObject()) async throws(AgentTurnError) {
        try await live.reply(live.agentMessage(parts, metadata: metadata))
    }

    /// Answers with text and no task.
    public func reply(_ text: String) async throws(AgentTurnError) { try await reply([.text(text)]) }

    /// Says where the task stands.
    ///
    /// - Parameter progress: the part that is done, 0 to 1, under ``TaskProgress/extensionURI``.
    public func update(
        _ state: TaskState = .working, _ text: String? = nil, parts: [Part] = [], progress: TaskProgress? = nil,
        metadata: JSONObject = JSONObject()
    ) async throws(AgentTurnError) {
        let parts = (text.map { [Part.text($0)] } ?? []) + parts
        try await live.update(
            state, message: parts.isEmpty ? nil : live.agentMessage(parts), progress: progress, metadata: metadata)
    }

    /// Hands out an artifact, or replaces the one with the same identifier.
    public func artifact(_ artifact: Artifact) async throws(AgentTurnError) {
        try await live.artifact(artifact, append: false, lastChunk: true)
    }

    /// Hands out a chunk of an artifact: the first with `append` false, the others with true.
    public func chunk(_ artifact: Artifact, append: Bool, lastChunk: Bool) async throws(AgentTurnError) {
        try await live.artifact(artifact, append: append, lastChunk: lastChunk)
    }

    /// Ends the task well.
    public func complete(_ text: String? = nil) async throws(AgentTurnError) { try await update(.completed, text) }

    /// Ends the task with an error.
    public func fail(_ text: String? = nil) async throws(AgentTurnError) { try await update(.failed, text) }

    /// Does not take the task on.
    public func reject(_ text: String? = nil) async throws(AgentTurnError) { try await update(.rejected, text) }

    /// Lets the task wait for another message of the client.
    public func requireInput(_ text: String? = nil) async throws(AgentTurnError) {
        try await update(.inputRequired, text)
    }

    /// Lets the task wait for an authorization. The client gets it elsewhere, such as from the token service with the
    /// challenge in `parts`, and sends another message.
    public func requireAuthorization(_ text: String? = nil, parts: [Part] = []) async throws(AgentTurnError) {
        try await update(.authRequired, text, parts: parts)
    }
}

/// How far a task is: metadata of tasks and of their updates under our extension.
public struct TaskProgress: Sendable, Equatable {
    /// The extension.
    public static let extensionURI = "https://agentshield.dev/a2a/progress/v1"

    /// The part that is done, 0 to 1.
    public var fraction: Double?
    /// When the task may be done.
    public var estimatedCompletion: UnixTime?

    /// A progress; a fraction outside of 0 to 1 is brought to the nearer end.
    public init(fraction: Double? = nil, estimatedCompletion: UnixTime? = nil) {
        self.fraction = fraction.map { $0.isFinite ? min(max($0, 0), 1) : 0 }
        self.estimatedCompletion = estimatedCompletion
    }

    /// Reads it from metadata; `nil` where there is none.
    public init?(metadata: JSONObject) {
        guard let object = metadata[Self.extensionURI]?.objectValue else { return nil }
        self.init(
            fraction: object["progress"]?.numberValue?.double,
            estimatedCompletion: object["estimatedCompletionTime"]?.stringValue.flatMap { UnixTime(rfc3339: $0) })
    }

    var json: JSONValue {
        var object = JSONObject()
        if let fraction, let number = JSONNumber(fraction) { object["progress"] = .number(number) }
        if let estimatedCompletion { object["estimatedCompletionTime"] = .string(estimatedCompletion.rfc3339) }
        return .object(object)
    }
}
