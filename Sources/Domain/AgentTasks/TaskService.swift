package import A2A
import Crypto
import JOSE
import SPIFFE
import Synchronization

/// An agent's tasks: what its handler does, seen by clients through the operations of the protocol.
///
/// Every operation goes the same way: the caller may do it, or is refused before anything is looked up; what is not of the caller
/// is not there; then the task itself, of which one ``LiveTask`` at most is in memory.
package final class TaskService: A2AServing {
    package let settings: TaskServiceSettings
    let store: any TaskStore
    let push: (any PushNotifying)?
    let outbox = PushOutbox()
    let handler: any AgentHandler
    let extendedCard: (@Sendable (A2ACaller) async throws -> [UInt8]?)?
    let report: @Sendable (Report) -> Void
    let now: @Sendable () -> UnixTime
    let state = Mutex(State())

    /// What an operator should know.
    package enum Report: Sendable {
        case handlerFailed(taskID: String, any Error)
        case notStored(taskID: String, TaskStoreError)
        case pushConfigsUnreadable(taskID: String, TaskStoreError)
        case notForgotten(TaskStoreError)
    }

    struct State {
        var live: [TaskKey: Entry] = [:]
        /// Messages whose outcome may not be stored yet.
        var sends: [SendKey: Send] = [:]
        /// Messages that somebody looks up at the moment or is about to note, with those who wait for that.
        var looking: [SendKey: [CheckedContinuation<Void, Never>]] = [:]
    }

    /// A task in memory, for as long as it is busy or an operation holds it.
    final class Entry {
        var users = 0
        let loading: Task<LiveTask?, any Error>
        var live: LiveTask?
        var sends: [SendKey] = []

        init(loading: Task<LiveTask?, any Error>, live: LiveTask? = nil) {
            self.loading = loading
            self.live = live
        }
    }

    struct SendKey: Hashable {
        let scope: TaskScope
        let messageID: String
    }

    struct Send {
        let digest: [UInt8]
        let live: LiveTask
        let turn: Int
    }

    /// - Parameter extendedCard: the card for a caller as JSON text; `nil` where the agent has none.
    package init(
        handler: any AgentHandler, store: any TaskStore, settings: TaskServiceSettings,
        push: (any PushNotifying)? = nil,
        extendedCard: (@Sendable (A2ACaller) async throws -> [UInt8]?)? = nil,
        now: @escaping @Sendable () -> UnixTime, report: @escaping @Sendable (Report) -> Void
    ) {
        self.handler = handler
        self.store = store
        self.settings = settings
        self.push = push
        self.extendedCard = extendedCard
        self.now = now
        self.report = report
    }

    /// Ends the tasks that a former process left unfinished: their handlers are gone.
    package func recover() async throws(TaskStoreError) {
        for (key, task) in try await store.unfinished() {
            try await fail(task, key, "the agent was restarted before the task ended")
        }
    }

    /// Ends a task that nobody works on any more.
    private func fail(_ task: AgentTask, _ key: TaskKey, _ reason: String) async throws(TaskStoreError) {
        var commit = TaskCommit(
            key: key, contextID: task.contextID ?? "",
            status: TaskStatus(
                .failed,
                message: Message(
                    messageID: Identifier.fresh(), contextID: task.contextID, taskID: task.id, role: .agent,
                    parts: [.text(reason)]), timestamp: now()),
            changedAt: now(), metadata: task.metadata)
        if let superseded = task.status.message { commit.messages = [superseded] }
        try await store.commit(commit)
    }

    /// Forgets what is older than the retention, until the surrounding task is cancelled.
    package func forgetOldTasks(every interval: Duration = .seconds(600)) async {
        while !Task.isCancelled {
            do throws(TaskStoreError) {
                _ = try await store.forget(before: now() - settings.retention.components.seconds)
            } catch {
                report(.notForgotten(error))
            }
            try? await Task.sleep(for: interval)
        }
    }

    // The agent itself

    package func getExtendedAgentCard(
        _ request: GetExtendedAgentCardRequest, _ call: A2ACall
    ) async throws(A2AError) -> [UInt8] {
        // The standard requires authentication for it, whatever else is open to everybody.
        guard call.caller.method != .none else { throw A2AError(.unauthenticated) }
        try admit(.getExtendedAgentCard, call)
        guard let extendedCard else { throw A2AError(.extendedAgentCardNotConfigured) }
        do {
            if let card = try await extendedCard(call.caller) { return card }
        } catch {
            throw A2AError(.internalError)
        }
        throw A2AError(.extendedAgentCardNotConfigured)
    }

    package func activatedExtensions(_ parameters: ServiceParameters) -> [String] {
        parameters.extensions.filter { settings.extensions[$0] != nil }
    }

    func admit(_ operation: Operation, _ call: A2ACall, skill: String? = nil) throws(A2AError) {
        try settings.rules.check(operation, caller: call.caller, skill: skill)
        let missing = settings.extensions.filter { $0.value && !call.parameters.extensions.contains($0.key) }
        guard missing.isEmpty else {
            throw A2AError(
                .extensionSupportRequired,
                metadata: ["extensions": missing.keys.sorted().joined(separator: ",")])
        }
    }

    // What is in memory

    /// How many tasks are worked on, waited for or looked at.
    package var tasksInMemory: Int { state.withLock { $0.live.count } }

    var events: LiveTask.Events {
        LiveTask.Events(
            now: now,
            onPublished: { [weak self] live, events in self?.published(live, events) },
            onIdle: { [weak self] live in self?.discardIfIdle(live) },
            onHandlerError: { [report] key, error in report(.handlerFailed(taskID: key.id, error)) },
            onStoreError: { [report] key, error in report(.notStored(taskID: key.id, error)) })
    }

    /// The task in memory, for as long as it is not released.
    func acquire(_ key: TaskKey) async throws(A2AError) -> LiveTask {
        guard Identifier.isAcceptable(key.id) else { throw A2AError(.taskNotFound) }
        let entry = state.withLock { state in
            if let entry = state.live[key] {
                entry.users += 1
                return UncheckedEntry(entry)
            }
            let (store, limits, events) = (self.store, settings.limits, self.events)
            let entry = Entry(
                loading: Task {
                    if let task = try await store.task(key, view: .whole), !task.status.state.isTerminal,
                        !task.status.state.isInterrupted
                    {
                        // It is worked on only by what is in memory, and it was not: a write has failed.
                        try await self.fail(task, key, "the task could not be stored")
                    }
                    return try await store.task(key, view: .whole).map {
                        LiveTask(key: key, task: $0, settings: limits, store: store, events: events)
                    }
                })
            entry.users = 1
            state.live[key] = entry
            return UncheckedEntry(entry)
        }
        let live: LiveTask?
        do {
            live = try await entry.loading.value
        } catch {
            leave(key)
            throw A2AError(.unavailable)
        }
        guard let live else {
            leave(key)
            throw A2AError(.taskNotFound)
        }
        state.withLock { $0.live[key]?.live = live }
        // A task whose reply is all there is, or that is not stored yet, is not there for others.
        return live
    }

    /// The part of an entry that does not change.
    private struct UncheckedEntry: Sendable {
        let loading: Task<LiveTask?, any Error>

        init(_ entry: Entry) {
            loading = entry.loading
        }
    }

    func adopt(_ live: LiveTask) throws(A2AError) -> LiveTask {
        let isFull = state.withLock { state in
            guard state.live.count < settings.limits.maximumRunningTasks else { return true }
            let entry = Entry(loading: Task { live }, live: live)
            entry.users = 1
            state.live[live.key] = entry
            return false
        }
        guard !isFull else { throw A2AError(.resourceExhausted, "the agent works on too many tasks") }
        return live
    }

    func note(_ key: SendKey, _ send: Send) {
        state.withLock { state in
            guard let entry = state.live[send.live.key] else { return }
            entry.sends.append(key)
            state.sends[key] = send
        }
    }

    func release(_ live: LiveTask) { leave(live.key) }

    private func leave(_ key: TaskKey) {
        state.withLock { state in
            state.live[key]?.users -= 1
            state.discardIfIdle(key)
        }
    }

    private func discardIfIdle(_ live: LiveTask) {
        state.withLock { $0.discardIfIdle(live.key) }
    }

    /// Asks the store, without telling clients what is wrong with it.
    func stored<Value: Sendable>(
        _ body: (any TaskStore) async throws(TaskStoreError) -> Value
    ) async throws(A2AError) -> Value {
        do throws(TaskStoreError) {
            return try await body(store)
        } catch {
            report(.notStored(taskID: "", error))
            throw A2AError(.unavailable)
        }
    }
}

extension TaskService.State {
    fileprivate mutating func discardIfIdle(_ key: TaskKey) {
        guard let entry = live[key], entry.users <= 0, entry.live?.isIdle ?? true else { return }
        for send in entry.sends { sends[send] = nil }
        live[key] = nil
    }
}
