import JOSE

// Version 0.3 of the protocol in its JSON form (A2A 0.3.0 §6): the same messages with discriminators and other names. Each type here
// wraps the one of version 1.0 that it stands for.

/// `TextPart`, `FilePart` or `DataPart` (§6.5).
struct LegacyPart: ProtoJSONMessage {
    var part: Part

    /// Data of 0.3 is always an object. The mark by which Python's a2a-sdk says that it has wrapped another value.
    private static let wrappingMark = "data_part_compat"

    init(_ part: Part) {
        self.part = part
    }

    init(reading fields: FieldReader) throws(FieldViolation) {
        var metadata = try fields.object("metadata")
        switch try fields.text("kind") {
        case "text":
            guard fields.value("text") != nil else { throw fields.violation("text", "is required") }
            part = Part(.text(try fields.string("text")), metadata: metadata)
        case "file":
            let file = FieldReader(try fields.object("file"), at: fields.path(of: "file"))
            let bytes = try file.bytes("bytes")
            let uri = try file.optionalString("uri")
            let content: Part.Content
            switch (bytes, uri) {
            case (let bytes?, nil): content = .raw(bytes)
            case (nil, let uri?): content = .url(uri)
            default: throw FieldViolation(file.path, "must have one of bytes and uri")
            }
            part = Part(
                content, filename: try file.text("name"), mediaType: try file.text("mimeType"), metadata: metadata)
        case "data":
            guard case .object(let object)? = fields.value("data") else {
                throw fields.violation("data", "must be an object")
            }
            if metadata[Self.wrappingMark] == true, let value = object["value"] {
                metadata[Self.wrappingMark] = nil
                part = Part(.data(value), metadata: metadata)
            } else {
                part = Part(.data(.object(object)), metadata: metadata)
            }
        default: throw fields.violation("kind", "must be one of text, file and data")
        }
    }

    func write(to fields: inout FieldWriter) {
        var metadata = part.metadata
        switch part.content {
        case .text, nil:
            fields.write("kind", "text")
            if case .text(let text)? = part.content { fields.write("text", text) } else { fields.write("text", "") }
        case .raw(let bytes):
            fields.write("kind", "file")
            fields.writeObject("file") { file in
                file.write("bytes", base64: bytes)
                writeFile(&file)
            }
        case .url(let url):
            fields.write("kind", "file")
            fields.writeObject("file") { file in
                file.write("uri", url)
                writeFile(&file)
            }
        case .data(let value):
            fields.write("kind", "data")
            if case .object(let object) = value {
                fields.write("data", object)
            } else {
                fields.write("data", JSONObject([("value", value)]))
                metadata[Self.wrappingMark] = true
            }
        }
        fields.writeUnlessEmpty("metadata", metadata)
    }

    private func writeFile(_ file: inout FieldWriter) {
        file.writeIfPresent("mimeType", part.mediaType)
        file.writeIfPresent("name", part.filename)
    }
}

/// `Message` (§6.4).
struct LegacyMessage: ProtoJSONMessage {
    var message: Message

    init(_ message: Message) {
        self.message = message
    }

    init(reading fields: FieldReader) throws(FieldViolation) {
        try fields.requireKind("message")
        let role: Message.Role =
            switch try fields.string("role") {
            case "user": .user
            case "agent": .agent
            default: throw fields.violation("role", "must be user or agent")
            }
        message = Message(
            messageID: try fields.string("messageId"), contextID: try fields.text("contextId"),
            taskID: try fields.text("taskId"), role: role,
            parts: try fields.messages("parts", LegacyPart.self).map(\.part), metadata: try fields.object("metadata"),
            extensions: try fields.strings("extensions"), referenceTaskIDs: try fields.strings("referenceTaskIds"))
    }

    func write(to fields: inout FieldWriter) {
        fields.write("kind", "message")
        fields.write("messageId", message.messageID)
        fields.writeIfPresent("contextId", message.contextID)
        fields.writeIfPresent("taskId", message.taskID)
        fields.write("role", message.role == .user ? "user" : "agent")
        fields.write("parts", message.parts.map(LegacyPart.init))
        fields.writeUnlessEmpty("metadata", message.metadata)
        fields.writeUnlessEmpty("extensions", message.extensions)
        fields.writeUnlessEmpty("referenceTaskIds", message.referenceTaskIDs)
    }
}

/// `Artifact` (§6.7).
struct LegacyArtifact: ProtoJSONMessage {
    var artifact: Artifact

    init(_ artifact: Artifact) {
        self.artifact = artifact
    }

    init(reading fields: FieldReader) throws(FieldViolation) {
        artifact = Artifact(
            artifactID: try fields.string("artifactId"), name: try fields.text("name"),
            description: try fields.text("description"),
            parts: try fields.messages("parts", LegacyPart.self).map(\.part), metadata: try fields.object("metadata"),
            extensions: try fields.strings("extensions"))
    }

    func write(to fields: inout FieldWriter) {
        fields.write("artifactId", artifact.artifactID)
        fields.writeIfPresent("name", artifact.name)
        fields.writeIfPresent("description", artifact.description)
        fields.write("parts", artifact.parts.map(LegacyPart.init))
        fields.writeUnlessEmpty("metadata", artifact.metadata)
        fields.writeUnlessEmpty("extensions", artifact.extensions)
    }
}

/// `TaskStatus` (§6.2).
struct LegacyStatus: ProtoJSONMessage {
    var status: TaskStatus

    init(_ status: TaskStatus) {
        self.status = status
    }

    init(reading fields: FieldReader) throws(FieldViolation) {
        guard let state = TaskState(legacyName: try fields.string("state")) else {
            throw fields.violation("state", "is no state that version 0.3 of the protocol knows")
        }
        status = TaskStatus(
            state, message: try fields.message("message", LegacyMessage.self)?.message,
            timestamp: try fields.timestamp("timestamp"))
    }

    func write(to fields: inout FieldWriter) {
        fields.write("state", status.state.legacyName)
        fields.writeIfPresent("message", status.message.map(LegacyMessage.init))
        fields.writeIfPresent("timestamp", status.timestamp)
    }
}

/// `Task` (§6.1).
struct LegacyTask: ProtoJSONMessage {
    var task: AgentTask

    init(_ task: AgentTask) {
        self.task = task
    }

    init(reading fields: FieldReader) throws(FieldViolation) {
        try fields.requireKind("task")
        guard let status = try fields.message("status", LegacyStatus.self) else {
            throw fields.violation("status", "is required")
        }
        task = AgentTask(
            id: try fields.string("id"), contextID: try fields.text("contextId"), status: status.status,
            artifacts: try fields.messages("artifacts", LegacyArtifact.self).map(\.artifact),
            history: try fields.messages("history", LegacyMessage.self).map(\.message),
            metadata: try fields.object("metadata"))
    }

    func write(to fields: inout FieldWriter) {
        fields.write("kind", "task")
        fields.write("id", task.id)
        // REQUIRED in 0.3.
        fields.write("contextId", task.contextID ?? "")
        fields.write("status", LegacyStatus(task.status))
        fields.writeUnlessEmpty("artifacts", task.artifacts.map(LegacyArtifact.init))
        fields.writeUnlessEmpty("history", task.history.map(LegacyMessage.init))
        fields.writeUnlessEmpty("metadata", task.metadata)
    }
}

/// What streams carry (§7.2): a task, a message, `TaskStatusUpdateEvent` or `TaskArtifactUpdateEvent`.
package struct LegacyStreamEvent: ProtoJSONMessage {
    package var event: StreamEvent
    /// Whether the stream is one of `message/stream`, which ends where the agent waits for input.
    private var endsWithTurn: Bool

    package init(_ event: StreamEvent, endsWithTurn: Bool) {
        self.event = event
        self.endsWithTurn = endsWithTurn
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        switch try fields.string("kind") {
        case "task": self.init(.task(try LegacyTask(reading: fields).task), endsWithTurn: true)
        case "message": self.init(.message(try LegacyMessage(reading: fields).message), endsWithTurn: true)
        case "status-update":
            guard let status = try fields.message("status", LegacyStatus.self) else {
                throw fields.violation("status", "is required")
            }
            let isFinal = try fields.bool("final")
            let update = TaskStatusUpdate(
                taskID: try fields.string("taskId"), contextID: try fields.string("contextId"), status: status.status,
                metadata: try fields.object("metadata"))
            self.init(.status(update), endsWithTurn: isFinal || update.status.state != .inputRequired)
        case "artifact-update":
            guard let artifact = try fields.message("artifact", LegacyArtifact.self) else {
                throw fields.violation("artifact", "is required")
            }
            let update = TaskArtifactUpdate(
                taskID: try fields.string("taskId"), contextID: try fields.string("contextId"),
                artifact: artifact.artifact, append: try fields.bool("append"),
                lastChunk: try fields.bool("lastChunk"), metadata: try fields.object("metadata"))
            self.init(.artifact(update), endsWithTurn: true)
        default: throw fields.violation("kind", "must be one of task, message, status-update and artifact-update")
        }
    }

    package func write(to fields: inout FieldWriter) {
        switch event {
        case .task(let task): LegacyTask(task).write(to: &fields)
        case .message(let message): LegacyMessage(message).write(to: &fields)
        case .status(let update):
            let state = update.status.state
            fields.write("kind", "status-update")
            fields.write("taskId", update.taskID)
            fields.write("contextId", update.contextID)
            fields.write("status", LegacyStatus(update.status))
            fields.write("final", state.isTerminal || (endsWithTurn && state == .inputRequired))
            fields.writeUnlessEmpty("metadata", update.metadata)
        case .artifact(let update):
            fields.write("kind", "artifact-update")
            fields.write("taskId", update.taskID)
            fields.write("contextId", update.contextID)
            fields.write("artifact", LegacyArtifact(update.artifact))
            fields.writeIfTrue("append", update.append)
            fields.writeIfTrue("lastChunk", update.lastChunk)
            fields.writeUnlessEmpty("metadata", update.metadata)
        }
    }
}

extension TaskState {
    /// The name in version 0.3 (§6.3).
    package var legacyName: String {
        switch self {
        case .unspecified: "unknown"
        case .submitted: "submitted"
        case .working: "working"
        case .completed: "completed"
        case .failed: "failed"
        case .canceled: "canceled"
        case .inputRequired: "input-required"
        case .rejected: "rejected"
        case .authRequired: "auth-required"
        }
    }

    init?(legacyName: String) {
        guard let state = Self.allCases.first(where: { $0.legacyName == legacyName }) else { return nil }
        self = state
    }
}

extension FieldReader {
    /// Refuses an object that says to be of another kind.
    fileprivate func requireKind(_ kind: String) throws(FieldViolation) {
        if let found = try text("kind"), found != kind { throw violation("kind", "must be \(kind)") }
    }
}
