package import A2A

/// Whose task it is, and which.
package struct TaskKey: Hashable, Sendable {
    package let scope: TaskScope
    package let id: String

    package init(scope: TaskScope, id: String) {
        self.scope = scope
        self.id = id
    }
}

/// What tasks and conversations are kept apart by: one caller at one tenant sees nothing of any other.
package struct TaskScope: Hashable, Sendable {
    /// ``A2ACaller/owner``.
    package let owner: String
    /// The routing word of the interface, empty without one.
    package let tenant: String

    package init(owner: String, tenant: String?) {
        self.owner = owner
        self.tenant = tenant ?? ""
    }
}

/// A message of a caller that has been taken on, for which a repetition gets the same answer.
package struct SentMessage: Sendable, Equatable {
    package let messageID: String
    /// SHA-256 of what was sent, by which another message under the same identifier is told apart.
    package let digest: [UInt8]
    /// What it led to.
    package let outcome: Outcome

    package enum Outcome: Sendable, Equatable {
        case task(String)
        case reply(Message)
    }

    package init(messageID: String, digest: [UInt8], outcome: Outcome) {
        self.messageID = messageID
        self.digest = digest
        self.outcome = outcome
    }
}

/// All that is stored at once about one task.
package struct TaskCommit: Sendable {
    package let key: TaskKey
    package let contextID: String
    /// Whether the task is not stored yet.
    package var isNew = false
    package var sent: [SentMessage] = []
    package var status: TaskStatus
    /// When the status changed last.
    package var changedAt: UnixTime
    package var metadata: JSONObject
    /// Messages that are new in the history.
    package var messages: [Message] = []
    package var artifacts: [ArtifactWrite] = []
    /// A configuration that came with the message.
    package var pushConfigs: [PushNotificationConfig] = []

    /// A change of an artifact.
    package enum ArtifactWrite: Sendable, Equatable {
        /// The artifact at this place of the task's list is this one.
        case put(place: Int, Artifact)
        /// The artifact at this place goes on with this chunk.
        case append(place: Int, Artifact)
    }

    package init(
        key: TaskKey, contextID: String, status: TaskStatus, changedAt: UnixTime, metadata: JSONObject = JSONObject()
    ) {
        self.key = key
        self.contextID = contextID
        self.status = status
        self.changedAt = changedAt
        self.metadata = metadata
    }
}

/// How much of a task to read.
package struct TaskView: Sendable, Equatable {
    /// The most messages of the history, the latest ones; `nil` for all.
    package var historyLength: Int?
    package var includesArtifacts: Bool

    package static let whole = TaskView(historyLength: nil, includesArtifacts: true)

    package init(historyLength: Int?, includesArtifacts: Bool) {
        self.historyLength = historyLength
        self.includesArtifacts = includesArtifacts
    }
}

/// Which tasks of a caller to list.
package struct TaskQuery: Sendable, Equatable {
    package var contextID: String?
    package var state: TaskState?
    /// Only tasks whose status is as new as this.
    package var changedSince: UnixTime?
    /// Only tasks that come after this one.
    package var after: Position?
    package var limit: Int
    package var view: TaskView

    /// Tasks are ordered by the time of their status, newest first, then by identifier.
    package struct Position: Sendable, Equatable {
        package let changedAt: UnixTime
        package let id: String

        package init(changedAt: UnixTime, id: String) {
            self.changedAt = changedAt
            self.id = id
        }
    }

    package init(
        contextID: String? = nil, state: TaskState? = nil, changedSince: UnixTime? = nil, after: Position? = nil,
        limit: Int, view: TaskView
    ) {
        self.contextID = contextID
        self.state = state
        self.changedSince = changedSince
        self.after = after
        self.limit = limit
        self.view = view
    }
}

/// A page of tasks.
package struct TaskPage: Sendable, Equatable {
    package let tasks: [AgentTask]
    /// Where the last one stands, if more follow.
    package let next: TaskQuery.Position?
    /// How many match altogether.
    package let total: Int

    package init(tasks: [AgentTask], next: TaskQuery.Position?, total: Int) {
        self.tasks = tasks
        self.next = next
        self.total = total
    }
}

/// Why a store did not do what it should; nothing of it has been done.
package struct TaskStoreError: Error, Sendable, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}

/// Keeps tasks. Each act is wholly done and lasts, or is not done at all; what is not of the scope is not there.
package protocol TaskStore: Sendable {
    func commit(_ commit: TaskCommit) async throws(TaskStoreError)
    /// Remembers an answer without a task.
    func remember(_ sent: SentMessage, contextID: String, scope: TaskScope, at now: UnixTime)
        async throws(TaskStoreError)
    func task(_ key: TaskKey, view: TaskView) async throws(TaskStoreError) -> AgentTask?
    func tasks(_ query: TaskQuery, scope: TaskScope) async throws(TaskStoreError) -> TaskPage
    func sent(_ messageID: String, scope: TaskScope) async throws(TaskStoreError) -> SentMessage?
    /// All tasks that neither ended nor wait for anybody.
    func unfinished() async throws(TaskStoreError) -> [(key: TaskKey, task: AgentTask)]
    func setPushConfig(_ config: PushNotificationConfig, of key: TaskKey) async throws(TaskStoreError)
    /// Configurations in the order of their identifiers.
    func pushConfigs(of key: TaskKey) async throws(TaskStoreError) -> [PushNotificationConfig]
    func deletePushConfig(_ id: String, of key: TaskKey) async throws(TaskStoreError)
    /// Forgets ended tasks whose status is older, and answers without a task; returns how many tasks went.
    func forget(before time: UnixTime) async throws(TaskStoreError) -> Int
}
