package import A2A
package import AgentTasks
import SPIFFE
import Synchronization

/// The store of tasks in plain memory: the reference that other stores are compared with.
package final class InMemoryTaskStore: TaskStore {
    private struct Stored {
        var task: AgentTask
        var changedAt: UnixTime
        var pushConfigs: [String: PushNotificationConfig] = [:]
    }

    private struct State {
        var tasks: [TaskKey: Stored] = [:]
        var sent: [TaskScope: [String: (message: SentMessage, at: UnixTime)]] = [:]
    }

    private let state = Mutex(State())

    package init() {}

    package func commit(_ commit: TaskCommit) async throws(TaskStoreError) {
        let problem = state.withLock { state -> TaskStoreError? in
            var stored: Stored
            if commit.isNew {
                guard state.tasks[commit.key] == nil else { return TaskStoreError("the task is there already") }
                stored = Stored(
                    task: AgentTask(id: commit.key.id, contextID: commit.contextID, status: commit.status),
                    changedAt: commit.changedAt)
            } else {
                guard let known = state.tasks[commit.key] else { return TaskStoreError("no such task") }
                stored = known
            }
            for sent in commit.sent where state.sent[commit.key.scope]?[sent.messageID] != nil {
                return TaskStoreError("the message is there already")
            }
            stored.task.status = commit.status
            stored.task.metadata = commit.metadata
            stored.task.history += commit.messages
            stored.changedAt = commit.changedAt
            for write in commit.artifacts {
                switch write {
                case .put(let place, let artifact):
                    guard place <= stored.task.artifacts.count else { return TaskStoreError("no such place") }
                    if place == stored.task.artifacts.count {
                        stored.task.artifacts.append(artifact)
                    } else {
                        stored.task.artifacts[place] = artifact
                    }
                case .append(let place, let chunk):
                    guard place < stored.task.artifacts.count else { return TaskStoreError("no such place") }
                    stored.task.artifacts[place].extend(by: chunk)
                }
            }
            for config in commit.pushConfigs { stored.pushConfigs[config.id ?? ""] = config }
            for sent in commit.sent {
                state.sent[commit.key.scope, default: [:]][sent.messageID] = (sent, commit.changedAt)
            }
            state.tasks[commit.key] = stored
            return nil
        }
        if let problem { throw problem }
    }

    package func remember(
        _ sent: SentMessage, contextID: String, scope: TaskScope, at now: UnixTime
    ) async throws(TaskStoreError) {
        let isThere = state.withLock { state in
            guard state.sent[scope]?[sent.messageID] == nil else { return true }
            state.sent[scope, default: [:]][sent.messageID] = (sent, now)
            return false
        }
        if isThere { throw TaskStoreError("the message is there already") }
    }

    package func task(_ key: TaskKey, view: TaskView) async throws(TaskStoreError) -> AgentTask? {
        state.withLock { $0.tasks[key].map { view.shown($0.task) } }
    }

    package func tasks(_ query: TaskQuery, scope: TaskScope) async throws(TaskStoreError) -> TaskPage {
        state.withLock { state in
            let matching = state.tasks.filter { key, stored in
                key.scope == scope && (query.contextID == nil || stored.task.contextID == query.contextID)
                    && (query.state == nil || stored.task.status.state == query.state)
                    && query.changedSince.map { stored.changedAt >= $0 } ?? true
            }
            .values.sorted { ($0.changedAt, $0.task.id) > ($1.changedAt, $1.task.id) }
            let rest = matching.filter { stored in
                query.after.map { (stored.changedAt, stored.task.id) < ($0.changedAt, $0.id) } ?? true
            }
            let page = rest.prefix(query.limit)
            let last = page.last.map { TaskQuery.Position(changedAt: $0.changedAt, id: $0.task.id) }
            return TaskPage(
                tasks: page.map { query.view.shown($0.task) }, next: rest.count > page.count ? last : nil,
                total: matching.count)
        }
    }

    package func sent(_ messageID: String, scope: TaskScope) async throws(TaskStoreError) -> SentMessage? {
        state.withLock { $0.sent[scope]?[messageID]?.message }
    }

    package func unfinished() async throws(TaskStoreError) -> [(key: TaskKey, task: AgentTask)] {
        state.withLock { state in
            state.tasks.filter { !$0.value.task.status.state.isTerminal && !$0.value.task.status.state.isInterrupted }
                .map { ($0.key, $0.value.task) }
        }
    }

    package func setPushConfig(_ config: PushNotificationConfig, of key: TaskKey) async throws(TaskStoreError) {
        state.withLock { $0.tasks[key]?.pushConfigs[config.id ?? ""] = config }
    }

    package func pushConfigs(of key: TaskKey) async throws(TaskStoreError) -> [PushNotificationConfig] {
        state.withLock { ($0.tasks[key]?.pushConfigs ?? [:]).sorted { $0.key < $1.key }.map(\.value) }
    }

    package func deletePushConfig(_ id: String, of key: TaskKey) async throws(TaskStoreError) {
        state.withLock { $0.tasks[key]?.pushConfigs[id] = nil }
    }

    package func forget(before time: UnixTime) async throws(TaskStoreError) -> Int {
        state.withLock { state in
            let old = state.tasks.filter { $0.value.task.status.state.isTerminal && $0.value.changedAt < time }.keys
            for key in old { state.tasks[key] = nil }
            let gone = Set(old.map { TaskStoreEntry(scope: $0.scope, id: $0.id) })
            for scope in state.sent.keys {
                state.sent[scope] = state.sent[scope]?.filter { _, sent in
                    switch sent.message.outcome {
                    case .task(let id): !gone.contains(TaskStoreEntry(scope: scope, id: id))
                    case .reply: sent.at >= time
                    }
                }
            }
            return old.count
        }
    }

    private struct TaskStoreEntry: Hashable {
        let scope: TaskScope
        let id: String
    }
}

extension TaskView {
    /// As much of a task as the view shows.
    fileprivate func shown(_ task: AgentTask) -> AgentTask {
        var task = task
        if let historyLength { task.history = Array(task.history.suffix(historyLength)) }
        if !includesArtifacts { task.artifacts = [] }
        return task
    }
}

/// A store of tasks that goes wrong by plan.
package struct FaultyTaskStore: TaskStore {
    private let base: any TaskStore
    private let plan: FaultPlan
    private let injected = TaskStoreError("injected")

    package init(_ base: any TaskStore, plan: FaultPlan) {
        self.base = base
        self.plan = plan
    }

    package func commit(_ commit: TaskCommit) async throws(TaskStoreError) {
        try await plan.write(failingWith: injected) { () async throws(TaskStoreError) in try await base.commit(commit) }
    }

    package func remember(
        _ sent: SentMessage, contextID: String, scope: TaskScope, at now: UnixTime
    ) async throws(TaskStoreError) {
        try await plan.write(failingWith: injected) { () async throws(TaskStoreError) in
            try await base.remember(sent, contextID: contextID, scope: scope, at: now)
        }
    }

    package func task(_ key: TaskKey, view: TaskView) async throws(TaskStoreError) -> AgentTask? {
        try await plan.read(failingWith: injected) { () async throws(TaskStoreError) in
            try await base.task(key, view: view)
        }
    }

    package func tasks(_ query: TaskQuery, scope: TaskScope) async throws(TaskStoreError) -> TaskPage {
        try await plan.read(failingWith: injected) { () async throws(TaskStoreError) in
            try await base.tasks(query, scope: scope)
        }
    }

    package func sent(_ messageID: String, scope: TaskScope) async throws(TaskStoreError) -> SentMessage? {
        try await plan.read(failingWith: injected) { () async throws(TaskStoreError) in
            try await base.sent(messageID, scope: scope)
        }
    }

    package func unfinished() async throws(TaskStoreError) -> [(key: TaskKey, task: AgentTask)] {
        try await base.unfinished()
    }

    package func setPushConfig(_ config: PushNotificationConfig, of key: TaskKey) async throws(TaskStoreError) {
        try await plan.write(failingWith: injected) { () async throws(TaskStoreError) in
            try await base.setPushConfig(config, of: key)
        }
    }

    package func pushConfigs(of key: TaskKey) async throws(TaskStoreError) -> [PushNotificationConfig] {
        try await plan.read(failingWith: injected) { () async throws(TaskStoreError) in
            try await base.pushConfigs(of: key)
        }
    }

    package func deletePushConfig(_ id: String, of key: TaskKey) async throws(TaskStoreError) {
        try await plan.write(failingWith: injected) { () async throws(TaskStoreError) in
            try await base.deletePushConfig(id, of: key)
        }
    }

    package func forget(before time: UnixTime) async throws(TaskStoreError) -> Int {
        try await base.forget(before: time)
    }
}
