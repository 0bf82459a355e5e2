public import JOSE

/// A unit of work that an agent does for a client, `Task` in the protocol (A2A 1.0.1 §4.1.1).
public struct AgentTask: Sendable, Equatable, ProtoJSONMessage {
    /// Chosen by the agent; REQUIRED.
    public var id: String
    /// The conversation that it belongs to.
    public var contextID: String?
    /// Where it stands.
    public var status: TaskStatus
    /// What it has made.
    public var artifacts: [Artifact]
    /// The messages of both sides, oldest first.
    public var history: [Message]
    /// Further data, under names that are or start with the URI of an extension.
    public var metadata: JSONObject

    /// A task as it stands at some moment.
    public init(
        id: String, contextID: String? = nil, status: TaskStatus, artifacts: [Artifact] = [], history: [Message] = [],
        metadata: JSONObject = JSONObject()
    ) {
        self.id = id
        self.contextID = contextID
        self.status = status
        self.artifacts = artifacts
        self.history = history
        self.metadata = metadata
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        id = try fields.string("id")
        contextID = try fields.text("contextId")
        status = try fields.message("status") ?? TaskStatus(.unspecified)
        artifacts = try fields.messages("artifacts")
        history = try fields.messages("history")
        metadata = try fields.object("metadata")
    }

    package func write(to fields: inout FieldWriter) {
        fields.write("id", id)
        fields.writeIfPresent("contextId", contextID)
        fields.write("status", status)
        fields.writeUnlessEmpty("artifacts", artifacts)
        fields.writeUnlessEmpty("history", history)
        fields.writeUnlessEmpty("metadata", metadata)
    }
}

/// Where a task stands (A2A 1.0.1 §4.1.2).
public struct TaskStatus: Sendable, Equatable, ProtoJSONMessage {
    /// The state.
    public var state: TaskState
    /// What the agent has to say about it.
    public var message: Message?
    /// When it got there.
    public var timestamp: UnixTime?

    /// A status.
    public init(_ state: TaskState, message: Message? = nil, timestamp: UnixTime? = nil) {
        self.state = state
        self.message = message
        self.timestamp = timestamp
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        state = try fields.enumeration("state", TaskState.self) ?? .unspecified
        message = try fields.message("message")
        timestamp = try fields.timestamp("timestamp")
    }

    package func write(to fields: inout FieldWriter) {
        fields.write("state", state)
        fields.writeIfPresent("message", message)
        fields.writeIfPresent("timestamp", timestamp)
    }
}

/// The states of a task (A2A 1.0.1 §4.1.3).
public enum TaskState: Int32, ProtoEnumeration {
    /// Not said.
    case unspecified = 0
    /// Taken on.
    case submitted = 1
    /// Being worked on.
    case working = 2
    /// Ended well.
    case completed = 3
    /// Ended with an error.
    case failed = 4
    /// Ended since the client wanted it to.
    case canceled = 5
    /// Waits for another message of the client.
    case inputRequired = 6
    /// Not taken on.
    case rejected = 7
    /// Waits for an authorization.
    case authRequired = 8

    /// Whether nothing can change any more.
    public var isTerminal: Bool {
        switch self {
        case .completed, .failed, .canceled, .rejected: true
        case .unspecified, .submitted, .working, .inputRequired, .authRequired: false
        }
    }

    /// Whether the task waits for somebody: for input or for an authorization.
    public var isInterrupted: Bool { self == .inputRequired || self == .authRequired }

    package var protoName: String {
        switch self {
        case .unspecified: "TASK_STATE_UNSPECIFIED"
        case .submitted: "TASK_STATE_SUBMITTED"
        case .working: "TASK_STATE_WORKING"
        case .completed: "TASK_STATE_COMPLETED"
        case .failed: "TASK_STATE_FAILED"
        case .canceled: "TASK_STATE_CANCELED"
        case .inputRequired: "TASK_STATE_INPUT_REQUIRED"
        case .rejected: "TASK_STATE_REJECTED"
        case .authRequired: "TASK_STATE_AUTH_REQUIRED"
        }
    }
}
