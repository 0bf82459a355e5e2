package import A2A
import SwiftProtobuf

extension AgentTask: WireMessage {
    package init(_ wire: Lf_A2a_V1_Task) throws(FieldViolation) {
        self.init(
            id: wire.id, contextID: wire.contextID.unlessEmpty,
            status: try FieldViolation.at("status") { () throws(FieldViolation) in try TaskStatus(wire.status) },
            artifacts: try FieldViolation.each("artifacts", wire.artifacts, Artifact.init),
            history: try FieldViolation.each("history", wire.history, Message.init),
            metadata: try FieldViolation.at("metadata", wire.metadata.json))
    }

    package func wire() throws(FieldViolation) -> Lf_A2a_V1_Task {
        var wire = Lf_A2a_V1_Task()
        wire.id = id
        wire.contextID = contextID ?? ""
        wire.status = try FieldViolation.at("status", status.wire)
        wire.artifacts = try FieldViolation.each("artifacts", artifacts) { artifact throws(FieldViolation) in
            try artifact.wire()
        }
        wire.history = try FieldViolation.each("history", history) { message throws(FieldViolation) in
            try message.wire()
        }
        if let metadata = try Google_Protobuf_Struct.metadata(metadata) { wire.metadata = metadata }
        return wire
    }
}

extension TaskStatus: WireMessage {
    package init(_ wire: Lf_A2a_V1_TaskStatus) throws(FieldViolation) {
        self.init(try FieldViolation.at("state") { () throws(FieldViolation) in try TaskState(wire.state) })
        if wire.hasMessage {
            message = try FieldViolation.at("message") { () throws(FieldViolation) in try Message(wire.message) }
        }
        if wire.hasTimestamp { timestamp = try FieldViolation.at("timestamp", wire.timestamp.time) }
    }

    package func wire() throws(FieldViolation) -> Lf_A2a_V1_TaskStatus {
        var wire = Lf_A2a_V1_TaskStatus()
        wire.state = state.wire
        if let message { wire.message = try FieldViolation.at("message", message.wire) }
        if let timestamp { wire.timestamp = Google_Protobuf_Timestamp(timestamp) }
        return wire
    }
}

extension TaskStatusUpdate: WireMessage {
    package init(_ wire: Lf_A2a_V1_TaskStatusUpdateEvent) throws(FieldViolation) {
        self.init(
            taskID: wire.taskID, contextID: wire.contextID,
            status: try FieldViolation.at("status") { () throws(FieldViolation) in try TaskStatus(wire.status) },
            metadata: try FieldViolation.at("metadata", wire.metadata.json))
    }

    package func wire() throws(FieldViolation) -> Lf_A2a_V1_TaskStatusUpdateEvent {
        var wire = Lf_A2a_V1_TaskStatusUpdateEvent()
        wire.taskID = taskID
        wire.contextID = contextID
        wire.status = try FieldViolation.at("status", status.wire)
        if let metadata = try Google_Protobuf_Struct.metadata(metadata) { wire.metadata = metadata }
        return wire
    }
}

extension TaskArtifactUpdate: WireMessage {
    package init(_ wire: Lf_A2a_V1_TaskArtifactUpdateEvent) throws(FieldViolation) {
        self.init(
            taskID: wire.taskID, contextID: wire.contextID,
            artifact: try FieldViolation.at("artifact") { () throws(FieldViolation) in try Artifact(wire.artifact) },
            append: wire.append, lastChunk: wire.lastChunk,
            metadata: try FieldViolation.at("metadata", wire.metadata.json))
    }

    package func wire() throws(FieldViolation) -> Lf_A2a_V1_TaskArtifactUpdateEvent {
        var wire = Lf_A2a_V1_TaskArtifactUpdateEvent()
        wire.taskID = taskID
        wire.contextID = contextID
        wire.artifact = try FieldViolation.at("artifact", artifact.wire)
        wire.append = append
        wire.lastChunk = lastChunk
        if let metadata = try Google_Protobuf_Struct.metadata(metadata) { wire.metadata = metadata }
        return wire
    }
}

extension StreamEvent: WireMessage {
    package init(_ wire: Lf_A2a_V1_StreamResponse) throws(FieldViolation) {
        switch wire.payload {
        case .task(let task):
            self = .task(try FieldViolation.at("task") { () throws(FieldViolation) in try AgentTask(task) })
        case .message(let message):
            self = .message(try FieldViolation.at("message") { () throws(FieldViolation) in try Message(message) })
        case .statusUpdate(let update):
            self = .status(
                try FieldViolation.at("statusUpdate") { () throws(FieldViolation) in try TaskStatusUpdate(update) })
        case .artifactUpdate(let update):
            self = .artifact(
                try FieldViolation.at("artifactUpdate") { () throws(FieldViolation) in try TaskArtifactUpdate(update) })
        case nil:
            throw FieldViolation("payload", "must be one of task, message, statusUpdate and artifactUpdate")
        }
    }

    package func wire() throws(FieldViolation) -> Lf_A2a_V1_StreamResponse {
        var wire = Lf_A2a_V1_StreamResponse()
        switch self {
        case .task(let task): wire.payload = .task(try FieldViolation.at("task", task.wire))
        case .message(let message): wire.payload = .message(try FieldViolation.at("message", message.wire))
        case .status(let update): wire.payload = .statusUpdate(try FieldViolation.at("statusUpdate", update.wire))
        case .artifact(let update):
            wire.payload = .artifactUpdate(try FieldViolation.at("artifactUpdate", update.wire))
        }
        return wire
    }
}

extension SendMessageResponse: WireMessage {
    package init(_ wire: Lf_A2a_V1_SendMessageResponse) throws(FieldViolation) {
        switch wire.payload {
        case .task(let task):
            self = .task(try FieldViolation.at("task") { () throws(FieldViolation) in try AgentTask(task) })
        case .message(let message):
            self = .message(try FieldViolation.at("message") { () throws(FieldViolation) in try Message(message) })
        case nil:
            throw FieldViolation("payload", "must be task or message")
        }
    }

    package func wire() throws(FieldViolation) -> Lf_A2a_V1_SendMessageResponse {
        var wire = Lf_A2a_V1_SendMessageResponse()
        switch self {
        case .task(let task): wire.payload = .task(try FieldViolation.at("task", task.wire))
        case .message(let message): wire.payload = .message(try FieldViolation.at("message", message.wire))
        }
        return wire
    }
}
