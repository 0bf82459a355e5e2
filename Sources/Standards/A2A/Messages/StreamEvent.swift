public import JOSE

/// What streams and push notifications carry, `StreamResponse` in the protocol (A2A 1.0.1 §3.2.3).
public enum StreamEvent: Sendable, Equatable, ProtoJSONMessage {
    /// A task as a whole: always the first event of a stream about a task.
    case task(AgentTask)
    /// An answer without a task: the only event of its stream.
    case message(Message)
    /// A task has another status.
    case status(TaskStatusUpdate)
    /// A task has made something.
    case artifact(TaskArtifactUpdate)

    package init(reading fields: FieldReader) throws(FieldViolation) {
        if let task: AgentTask = try fields.message("task") {
            self = .task(task)
        } else if let message: Message = try fields.message("message") {
            self = .message(message)
        } else if let update: TaskStatusUpdate = try fields.message("statusUpdate") {
            self = .status(update)
        } else if let update: TaskArtifactUpdate = try fields.message("artifactUpdate") {
            self = .artifact(update)
        } else {
            throw fields.violation("payload", "must be one of task, message, statusUpdate and artifactUpdate")
        }
    }

    package func write(to fields: inout FieldWriter) {
        switch self {
        case .task(let task): fields.write("task", task)
        case .message(let message): fields.write("message", message)
        case .status(let update): fields.write("statusUpdate", update)
        case .artifact(let update): fields.write("artifactUpdate", update)
        }
    }
}

/// A task has another status (A2A 1.0.1 §4.2.1).
public struct TaskStatusUpdate: Sendable, Equatable, ProtoJSONMessage {
    /// The task.
    public var taskID: String
    /// Its conversation.
    public var contextID: String
    /// The new status.
    public var status: TaskStatus
    /// Further data, under names that are or start with the URI of an extension.
    public var metadata: JSONObject

    /// An update.
    public init(taskID: String, contextID: String, status: TaskStatus, metadata: JSONObject = JSONObject()) {
        self.taskID = taskID
        self.contextID = contextID
        self.status = status
        self.metadata = metadata
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        taskID = try fields.string("taskId")
        contextID = try fields.string("contextId")
        status = try fields.message("status") ?? TaskStatus(.unspecified)
        metadata = try fields.object("metadata")
    }

    package func write(to fields: inout FieldWriter) {
        fields.write("taskId", taskID)
        fields.write("contextId", contextID)
        fields.write("status", status)
        fields.writeUnlessEmpty("metadata", metadata)
    }
}

/// A task has made an artifact or a chunk of one (A2A 1.0.1 §4.2.2).
public struct TaskArtifactUpdate: Sendable, Equatable, ProtoJSONMessage {
    /// The task.
    public var taskID: String
    /// Its conversation.
    public var contextID: String
    /// The artifact, or the chunk.
    public var artifact: Artifact
    /// Whether the parts follow those of an earlier artifact with the same identifier.
    public var append: Bool
    /// Whether no chunk follows.
    public var lastChunk: Bool
    /// Further data, under names that are or start with the URI of an extension.
    public var metadata: JSONObject

    /// An update.
    public init(
        taskID: String, contextID: String, artifact: Artifact, append: Bool = false, lastChunk: Bool = false,
        metadata: JSONObject = JSONObject()
    ) {
        self.taskID = taskID
        self.contextID = contextID
        self.artifact = artifact
        self.append = append
        self.lastChunk = lastChunk
        self.metadata = metadata
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        taskID = try fields.string("taskId")
        contextID = try fields.string("contextId")
        artifact = try fields.message("artifact") ?? Artifact(artifactID: "", parts: [])
        append = try fields.bool("append")
        lastChunk = try fields.bool("lastChunk")
        metadata = try fields.object("metadata")
    }

    package func write(to fields: inout FieldWriter) {
        fields.write("taskId", taskID)
        fields.write("contextId", contextID)
        fields.write("artifact", artifact)
        fields.writeIfTrue("append", append)
        fields.writeIfTrue("lastChunk", lastChunk)
        fields.writeUnlessEmpty("metadata", metadata)
    }
}

/// What a message sent to an agent is answered with (A2A 1.0.1 §3.2.2): a task, or a message without one.
public enum SendMessageResponse: Sendable, Equatable, ProtoJSONMessage {
    /// The agent has made or continued a task.
    case task(AgentTask)
    /// The agent has answered at once.
    case message(Message)

    package init(reading fields: FieldReader) throws(FieldViolation) {
        if let task: AgentTask = try fields.message("task") {
            self = .task(task)
        } else if let message: Message = try fields.message("message") {
            self = .message(message)
        } else {
            throw fields.violation("payload", "must be task or message")
        }
    }

    package func write(to fields: inout FieldWriter) {
        switch self {
        case .task(let task): fields.write("task", task)
        case .message(let message): fields.write("message", message)
        }
    }
}
