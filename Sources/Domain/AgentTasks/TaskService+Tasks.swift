package import A2A
import JOSE
import SPIFFE

extension TaskService {
    package func getTask(_ request: GetTaskRequest, _ call: A2ACall) async throws(A2AError) -> AgentTask {
        try admit(.getTask, call)
        try Self.checkHistoryLength(request.historyLength)
        let key = TaskKey(scope: TaskScope(owner: call.caller.owner, tenant: request.tenant), id: request.id)
        if let task = state.withLock({ $0.live[key]?.live?.stored }) {
            return task.shown(historyLength: request.historyLength)
        }
        let view = TaskView(historyLength: request.historyLength.map(Int.init), includesArtifacts: true)
        guard Identifier.isAcceptable(request.id),
            let task = try await stored({ store throws(TaskStoreError) in try await store.task(key, view: view) })
        else { throw A2AError(.taskNotFound) }
        return task
    }

    package func taskID(
        ofMessage messageID: String, tenant: String?, _ call: A2ACall
    ) async throws(A2AError) -> String? {
        try admit(.getTask, call)
        guard Identifier.isAcceptable(messageID) else { return nil }
        let scope = TaskScope(owner: call.caller.owner, tenant: tenant)
        let sent = try await stored { store throws(TaskStoreError) in try await store.sent(messageID, scope: scope) }
        guard case .task(let id)? = sent?.outcome else { return nil }
        return id
    }

    package func listTasks(_ request: ListTasksRequest, _ call: A2ACall) async throws(A2AError) -> ListTasksResponse {
        try admit(.listTasks, call)
        try Self.checkHistoryLength(request.historyLength)
        let size = request.pageSize ?? 50
        guard (1...100).contains(size) else { throw .invalid(FieldViolation("pageSize", "must be 1 to 100")) }
        var query = TaskQuery(
            contextID: request.contextID, state: request.status, changedSince: request.statusTimestampAfter,
            limit: Int(size),
            view: TaskView(
                historyLength: request.historyLength.map(Int.init), includesArtifacts: request.includeArtifacts))
        if let token = request.pageToken {
            guard let position = TaskQuery.Position(token: token) else {
                throw .invalid(FieldViolation("pageToken", "is none that this agent has given"))
            }
            query.after = position
        }
        let scope = TaskScope(owner: call.caller.owner, tenant: request.tenant)
        let page = try await stored { [query] store throws(TaskStoreError) in try await store.tasks(query, scope: scope)
        }
        return ListTasksResponse(
            tasks: page.tasks, nextPageToken: page.next?.token ?? "", pageSize: size,
            totalSize: Int32(clamping: page.total))
    }

    package func cancelTask(_ request: CancelTaskRequest, _ call: A2ACall) async throws(A2AError) -> AgentTask {
        try admit(.cancelTask, call)
        let live = try await acquire(
            TaskKey(scope: TaskScope(owner: call.caller.owner, tenant: request.tenant), id: request.id))
        defer { release(live) }
        try live.cancel()
        switch try await live.outcome(of: .max, returnsImmediately: false) {
        case .task(let task): return task
        case .reply: throw A2AError(.taskNotCancelable)
        }
    }

    package func subscribeToTask(
        _ request: SubscribeToTaskRequest, _ call: A2ACall
    ) async throws(A2AError) -> EventStream {
        try admit(.subscribeToTask, call)
        guard settings.streams else { throw A2AError(.unsupportedOperation, "this agent does not stream") }
        let live = try await acquire(
            TaskKey(scope: TaskScope(owner: call.caller.owner, tenant: request.tenant), id: request.id))
        defer { release(live) }
        guard let task = live.stored else { throw A2AError(.taskNotFound) }
        guard !task.status.state.isTerminal else { throw A2AError(.unsupportedOperation, "the task has ended") }
        return try subscribe(to: live, endsWithTurn: false)
    }

    private static func checkHistoryLength(_ length: Int32?) throws(A2AError) {
        guard (length ?? 0) >= 0 else { throw .invalid(FieldViolation("historyLength", "must not be negative")) }
    }
}

extension AgentTask {
    /// The task with at most so many messages of its history, the latest ones.
    func shown(historyLength: Int32?) -> AgentTask {
        guard let historyLength, history.count > Int(historyLength) else { return self }
        var task = self
        task.history = Array(history.suffix(Int(historyLength)))
        return task
    }
}

extension TaskQuery.Position {
    /// What clients get as page token: it names a place and grants nothing.
    var token: String { Base64URL.encode("\(changedAt.milliseconds):\(id)".utf8) }

    init?(token: String) {
        guard token.utf8.count <= 1024, let bytes = try? Base64URL.decode(token),
            let text = String(validating: bytes, as: UTF8.self)
        else { return nil }
        let parts = text.split(separator: ":", maxSplits: 1)
        guard parts.count == 2, let milliseconds = Int64(parts[0]) else { return nil }
        self.init(changedAt: UnixTime(milliseconds: milliseconds), id: String(parts[1]))
    }
}
