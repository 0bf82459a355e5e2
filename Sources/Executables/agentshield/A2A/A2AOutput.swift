import A2A

extension TaskState {
    /// The state as people write it: `input-required`.
    var word: String {
        protoName.dropFirst("TASK_STATE_".count).lowercased().split(separator: "_").joined(separator: "-")
    }
}

extension Part {
    fileprivate var pretty: String {
        switch content {
        case .text(let text): text
        case .raw(let bytes): "\(bytes.count) bytes" + (mediaType.map { " of \($0)" } ?? "")
        case .url(let url): url
        case .data(let value): String(decoding: value.serializedBytes, as: UTF8.self)
        case nil: "a part of an unknown kind"
        }
    }
}

extension PrettyLines {
    fileprivate mutating func lines(_ label: String, _ parts: [Part]) {
        for part in parts { line(label, part.pretty) }
    }

    fileprivate mutating func lines(_ status: TaskStatus) {
        line("State", status.state.word)
        if let timestamp = status.timestamp { line("Since", timestamp) }
        if let message = status.message { lines("Status message", message.parts) }
    }

    fileprivate mutating func lines(_ artifact: Artifact) {
        line("Artifact", artifact.name.map { "\(artifact.artifactID) (\($0))" } ?? artifact.artifactID)
        lines("Content", artifact.parts)
    }
}

extension AgentTask {
    var pretty: String {
        var lines = PrettyLines()
        lines.line("Task ID", id)
        if let contextID { lines.line("Context ID", contextID) }
        lines.lines(status)
        for artifact in artifacts { lines.lines(artifact) }
        return lines.text
    }
}

extension Message {
    var pretty: String {
        var lines = PrettyLines()
        lines.line("Message ID", messageID)
        if let contextID { lines.line("Context ID", contextID) }
        lines.lines("Content", parts)
        return lines.text
    }
}

extension SendMessageResponse {
    var pretty: String {
        switch self {
        case .task(let task): task.pretty
        case .message(let message): message.pretty
        }
    }
}

extension StreamEvent {
    /// The event, and an empty line by which it is told from the next.
    var pretty: String {
        var lines = PrettyLines()
        switch self {
        case .task(let task): return task.pretty + "\n"
        case .message(let message): return message.pretty + "\n"
        case .status(let update): lines.lines(update.status)
        case .artifact(let update): lines.lines(update.artifact)
        }
        lines.blank()
        return lines.text
    }
}

extension ListTasksResponse {
    var pretty: String {
        let head = "Found \(totalSize) \(totalSize == 1 ? "task" : "tasks")\n"
        let next = nextPageToken.isEmpty ? "" : "\nNext page: -pageToken \(printable(nextPageToken))\n"
        return head + tasks.map { "\n" + $0.pretty }.joined() + next
    }
}
