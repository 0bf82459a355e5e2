import A2A
import AgentTasks
import JOSE

/// Tasks for callers that know nothing of the protocol: `POST …/task` starts one, `GET …/status/{taskId}` tells of it.
///
/// It is another form of `SendMessage` with an immediate answer and of `GetTask`, decided by the same rules. The caller's `taskId` is
/// the identifier of the message, so a repetition leads to the same task; `sessionId` is the conversation, `action` the skill.
struct TaskFacade {
    enum Call: Equatable {
        case start
        case status(String)

        init?(method: String, path: some StringProtocol) {
            if path == "/task", method == "POST" {
                self = .start
            } else if path.hasPrefix("/status/"), method == "GET",
                let id = String(path.dropFirst("/status/".count)).removingPercentEncoding, !id.isEmpty
            {
                self = .status(id)
            } else {
                return nil
            }
        }
    }

    struct Started {
        let taskID: String
        let hasEnded: Bool
        let body: JSONObject
    }

    let service: any A2AServing
    let call: A2ACall

    func start(_ body: JSONObject) async throws(A2AError) -> Started {
        let request: SendMessageRequest
        do throws(FieldViolation) {
            request = try Self.request(body)
        } catch {
            throw .invalid(error)
        }
        let taskID = request.message.messageID
        switch try await service.sendMessage(request, call) {
        case .message(let message):
            let artifact = Artifact(artifactID: message.messageID, parts: message.parts)
            return Started(
                taskID: taskID, hasEnded: true,
                body: [
                    "taskId": .string(taskID), "status": "completed", "artifacts": .array([Self.json(artifact)]),
                ])
        case .task(let task):
            guard !task.status.state.isTerminal else {
                return Started(taskID: taskID, hasEnded: true, body: Self.view(task, as: taskID))
            }
            var answer: JSONObject = [
                "status": "accepted", "taskId": .string(taskID), "sessionId": .string(task.contextID ?? ""),
            ]
            if let end = TaskProgress(metadata: task.metadata)?.estimatedCompletion {
                answer["estimatedCompletionTime"] = .string(end.rfc3339)
            }
            return Started(taskID: taskID, hasEnded: false, body: answer)
        }
    }

    func status(_ id: String) async throws(A2AError) -> JSONObject {
        // The caller's name for the task, or the agent's own.
        let taskID = try await service.taskID(ofMessage: id, tenant: nil, call) ?? id
        return Self.view(try await service.getTask(GetTaskRequest(id: taskID, historyLength: 0), call), as: id)
    }

    private static func request(_ body: JSONObject) throws(FieldViolation) -> SendMessageRequest {
        let fields = FieldReader(body)
        guard let action = try fields.text("action") else { throw fields.violation("action", "is required") }
        guard let taskID = try fields.text("taskId") else { throw fields.violation("taskId", "is required") }
        var data: JSONObject = ["action": .string(action)]
        if let parameters = fields.value("parameters") { data["parameters"] = parameters }
        return SendMessageRequest(
            message: Message(
                messageID: taskID, contextID: try fields.text("sessionId"), role: .user, parts: [.data(.object(data))]),
            configuration: .init(historyLength: 0, returnImmediately: true),
            metadata: SkillRequest.metadata(skill: action))
    }

    private static func view(_ task: AgentTask, as id: String) -> JSONObject {
        let progress = TaskProgress(metadata: task.metadata)
        var view: JSONObject = [
            "taskId": .string(id), "sessionId": .string(task.contextID ?? ""),
            "status": .string(word(for: task.status.state)),
        ]
        let fraction = task.status.state == .completed ? 1 : progress?.fraction ?? 0
        view["progress"] = JSONNumber(fraction).map(JSONValue.number)
        if let message = task.status.message, !message.text.isEmpty { view["message"] = .string(message.text) }
        if let end = progress?.estimatedCompletion, !task.status.state.isTerminal {
            view["estimatedCompletionTime"] = .string(end.rfc3339)
        }
        view["artifacts"] = .array(task.artifacts.map(json))
        return view
    }

    private static func json(_ artifact: Artifact) -> JSONValue {
        // What we have written ourselves can be read.
        (try? JSONValue(parsing: artifact.jsonBytes, limits: JSONLimits(maximumBytes: .max, maximumDepth: 256))) ?? nil
    }

    private static func word(for state: TaskState) -> String {
        switch state {
        case .unspecified: "unknown"
        case .submitted: "accepted"
        case .working: "in_progress"
        case .completed: "completed"
        case .failed: "failed"
        case .canceled: "cancelled"
        case .inputRequired: "input_required"
        case .rejected: "rejected"
        case .authRequired: "auth_required"
        }
    }
}
