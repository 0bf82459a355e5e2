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
    private let outbox = PushOutbox()
    private let handler: any AgentHandler
    private let extendedCard: (@Sendable (A2ACaller) async throws -> [UInt8]?)?
    private let report: @Sendable (Report) -> Void
    let now: @Sendable () -> UnixTime
    private let state = Mutex(State())

    /// What an operator should know.
    package enum Report: Sendable {
        case handlerFailed(taskID: String, any Error)
        case notStored(taskID: String, TaskStoreError)
        case pushConfigsUnreadable(taskID: String, TaskStoreError)
        case notForgotten(TaskStoreError)
    }

    fileprivate struct State {
        var live: [TaskKey: Entry] = [:]
        /// Messages whose outcome may not be stored yet.
        var sends: [SendKey: Send] = [:]
        /// Messages that somebody looks up at the moment or is about to note, with those who wait for that.
        var looking: [SendKey: [CheckedContinuation<Void, Never>]] = [:]
    }

    /// A task in memory, for as long as it is busy or an operation holds it.
    fileprivate final class Entry {
        var users = 0
        let loading: Task<LiveTask?, any Error>
        var live: LiveTask?
        var sends: [SendKey] = []

        init(loading: Task<LiveTask?, any Error>, live: LiveTask? = nil) {
            self.loading = loading
            self.live = live
        }
    }

    fileprivate struct SendKey: Hashable {
        let scope: TaskScope
        let messageID: String
    }

    fileprivate struct Send {
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

    // Messages

    package func sendMessage(
        _ request: SendMessageRequest, _ call: A2ACall
    ) async throws(A2AError) -> SendMessageResponse {
        let send = try await begin(request, .sendMessage, call)
        defer { release(send.live) }
        let immediately = request.configuration.returnsImmediately
        if immediately { acknowledge(send.live) }
        switch try await send.live.outcome(of: send.turn, returnsImmediately: immediately) {
        case .reply(let message): return .message(message)
        case .task(let task): return .task(task.shown(historyLength: request.configuration.historyLength))
        }
    }

    package func sendStreamingMessage(
        _ request: SendMessageRequest, _ call: A2ACall
    ) async throws(A2AError) -> EventStream {
        guard settings.streams else { throw A2AError(.unsupportedOperation, "this agent does not stream") }
        let send = try await begin(request, .sendStreamingMessage, call, subscribes: true)
        defer { release(send.live) }
        acknowledge(send.live)
        guard let stream = send.stream else { throw A2AError(.internalError) }
        return stream
    }

    private struct Begun {
        let live: LiveTask
        let turn: Int
        let stream: EventStream?
    }

    private func begin(
        _ request: SendMessageRequest, _ operation: Operation, _ call: A2ACall, subscribes: Bool = false
    ) async throws(A2AError) -> Begun {
        let skill = try SkillRequest.skill(of: request)
        try admit(operation, call, skill: skill)
        try check(request)
        let scope = TaskScope(owner: call.caller.owner, tenant: request.tenant)
        var message = request.message
        let digest = Array(SHA256.hash(data: message.jsonBytes))
        let sendKey = SendKey(scope: scope, messageID: message.messageID)
        // Two of the same message at the same moment must not both find that it is new.
        await beginLooking(sendKey)
        defer { endLooking(sendKey) }
        if let begun = try await repeated(sendKey, digest, subscribes: subscribes) { return begun }
        var config = request.configuration.pushNotificationConfig
        if config != nil { config = try await checked(config, taskID: nil) }

        let isFirst = message.taskID == nil
        let live: LiveTask
        if let taskID = message.taskID {
            live = try await acquire(TaskKey(scope: scope, id: taskID))
            if let contextID = message.contextID, contextID != live.contextID {
                release(live)
                throw .invalid(FieldViolation("message.contextId", "is not that of the task"))
            }
            do throws(A2AError) {
                // Whoever goes on with a task has to be allowed what the task is about, whatever this message calls it.
                let asked = live.stored.flatMap { SkillRequest.skill(of: $0) }
                try settings.rules.check(operation, caller: call.caller, skill: asked)
            } catch {
                release(live)
                throw error
            }
            message.contextID = live.contextID
        } else {
            let key = TaskKey(scope: scope, id: Identifier.fresh())
            config?.taskID = key.id
            live = try adopt(
                LiveTask(
                    key: key, contextID: message.contextID ?? Identifier.fresh(),
                    opening: LiveTask.Opening(message: message, digest: digest, pushConfig: config, skill: skill),
                    settings: settings.limits, store: store, events: events))
        }
        config?.taskID = live.key.id
        let opening = LiveTask.Opening(message: message, digest: digest, pushConfig: config, skill: skill)
        do throws(A2AError) {
            // Whoever streams looks from before the handler begins, so that nothing is missed.
            let stream = subscribes ? try subscribe(to: live, endsWithTurn: true) : nil
            let turn: Int
            do throws(A2AError) {
                turn = try live.take(opening, isFirst: isFirst) { task in
                    try await self.handle(request, task, call, skill, live)
                }
            } catch {
                stream?.abandon()
                throw error
            }
            note(sendKey, Send(digest: digest, live: live, turn: turn))
            return Begun(live: live, turn: turn, stream: stream)
        } catch {
            release(live)
            throw error
        }
    }

    private func handle(
        _ request: SendMessageRequest, _ task: AgentTask?, _ call: A2ACall, _ skill: String?, _ live: LiveTask
    ) async throws {
        let scope = live.key.scope
        let turn = AgentTurn(
            request: request, task: task, caller: call.caller, contextID: live.contextID, skill: skill,
            extensions: activatedExtensions(call.parameters), live: live
        ) { limit in
            let query = TaskQuery(contextID: live.contextID, limit: min(max(limit, 1), 100), view: .whole)
            return try await self.store.tasks(query, scope: scope).tasks.filter { $0.id != live.key.id }
        }
        try await handler.handle(turn)
    }

    /// The same message again leads to the same task.
    private func repeated(
        _ key: SendKey, _ digest: [UInt8], subscribes: Bool
    ) async throws(A2AError) -> Begun? {
        let known = state.withLock { state -> Send? in
            guard let send = state.sends[key] else { return nil }
            state.live[send.live.key]?.users += 1
            return send
        }
        if let known {
            guard known.digest == digest else {
                release(known.live)
                throw Self.usedForAnother
            }
            return try joined(known.live, turn: known.turn, subscribes: subscribes)
        }
        guard
            let sent = try await stored({ store throws(TaskStoreError) in
                try await store.sent(key.messageID, scope: key.scope)
            })
        else { return nil }
        guard sent.digest == digest else { throw Self.usedForAnother }
        switch sent.outcome {
        case .task(let id):
            let live = try await acquire(TaskKey(scope: key.scope, id: id))
            return try joined(live, turn: live.newestTurn, subscribes: subscribes)
        case .reply(let message):
            let live = try adopt(
                LiveTask(
                    key: TaskKey(scope: key.scope, id: Identifier.fresh()), contextID: message.contextID ?? "",
                    reply: message, settings: settings.limits, store: store, events: events))
            return try joined(live, turn: 0, subscribes: subscribes)
        }
    }

    private func beginLooking(_ key: SendKey) async {
        var isMine = false
        while !isMine {
            await withCheckedContinuation { continuation in
                let isFree = state.withLock { state in
                    guard state.looking[key] == nil else {
                        state.looking[key]?.append(continuation)
                        return false
                    }
                    state.looking[key] = []
                    isMine = true
                    return true
                }
                if isFree { continuation.resume() }
            }
        }
    }

    private func endLooking(_ key: SendKey) {
        for waiting in state.withLock({ $0.looking.removeValue(forKey: key) }) ?? [] { waiting.resume() }
    }

    private static let usedForAnother = A2AError.invalid(
        FieldViolation("message.messageId", "has been used for another message"))

    private func joined(_ live: LiveTask, turn: Int, subscribes: Bool) throws(A2AError) -> Begun {
        do throws(A2AError) {
            let stream = subscribes ? try subscribe(to: live, endsWithTurn: true) : nil
            return Begun(live: live, turn: turn, stream: stream)
        } catch {
            release(live)
            throw error
        }
    }

    private func subscribe(to live: LiveTask, endsWithTurn: Bool) throws(A2AError) -> EventStream {
        try live.subscribe(endsWithTurn: endsWithTurn, limit: settings.limits.maximumWaitingEvents)
    }

    /// Makes a task of a message whose handler takes its time.
    private func acknowledge(_ live: LiveTask) {
        let delay = settings.acknowledgementDelay
        Task {
            try? await Task.sleep(for: delay)
            live.create()
        }
    }

    private func check(_ request: SendMessageRequest) throws(A2AError) {
        let violations = request.violations
        guard violations.isEmpty else { throw .invalid(violations) }
        let message = request.message
        for (field, text) in [
            ("message.messageId", message.messageID), ("message.contextId", message.contextID),
            ("message.taskId", message.taskID),
        ] where !(text.map(Identifier.isAcceptable) ?? true) {
            throw .invalid(FieldViolation(field, "is too long or has control characters"))
        }
        if !settings.outputModes.isEmpty, !request.configuration.acceptedOutputModes.isEmpty {
            let accepted = request.configuration.acceptedOutputModes
            guard settings.outputModes.contains(where: { mode in accepted.contains { MediaType.matches(mode, $0) } })
            else { throw A2AError(.contentTypeNotSupported, "this agent makes none of the accepted media types") }
        }
        guard !settings.inputModes.isEmpty else { return }
        for part in message.parts {
            guard let type = part.effectiveMediaType else { continue }
            guard settings.inputModes.contains(where: { MediaType.matches(type, $0) }) else {
                throw A2AError(.contentTypeNotSupported, "this agent does not read a media type of the message")
            }
        }
    }

    // Tasks

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

    // Push notifications

    package func createPushNotificationConfig(
        _ config: PushNotificationConfig, _ call: A2ACall
    ) async throws(A2AError) -> PushNotificationConfig {
        try admit(.createPushNotificationConfig, call)
        let key = try await existing(config.taskID, tenant: config.tenant, call)
        let checked = try await checked(config, taskID: key.id)
        guard let checked else { throw A2AError(.internalError) }
        let present = try await stored { store throws(TaskStoreError) in try await store.pushConfigs(of: key) }
        guard present.count < settings.limits.maximumPushConfigs || present.contains(where: { $0.id == checked.id })
        else { throw A2AError(.resourceExhausted, "the task has too many receivers of notifications") }
        try await stored { store throws(TaskStoreError) in try await store.setPushConfig(checked, of: key) }
        return checked.redacted
    }

    package func getPushNotificationConfig(
        _ request: PushNotificationConfigRequest, _ call: A2ACall
    ) async throws(A2AError) -> PushNotificationConfig {
        try admit(.getPushNotificationConfig, call)
        let key = try await existing(request.taskID, tenant: request.tenant, call)
        let configs = try await stored { store throws(TaskStoreError) in try await store.pushConfigs(of: key) }
        guard let config = configs.first(where: { $0.id == request.id }) else {
            throw A2AError(.taskNotFound, "there is no such configuration")
        }
        return config.redacted
    }

    package func listPushNotificationConfigs(
        _ request: ListPushNotificationConfigsRequest, _ call: A2ACall
    ) async throws(A2AError) -> ListPushNotificationConfigsResponse {
        try admit(.listPushNotificationConfigs, call)
        let key = try await existing(request.taskID, tenant: request.tenant, call)
        var configs = try await stored { store throws(TaskStoreError) in try await store.pushConfigs(of: key) }
        if let token = request.pageToken { configs.removeAll { ($0.id ?? "") <= token } }
        let size = Int(request.pageSize ?? 0)
        guard size >= 0 else { throw .invalid(FieldViolation("pageSize", "must not be negative")) }
        let page = size == 0 ? configs : Array(configs.prefix(size))
        return ListPushNotificationConfigsResponse(
            configs: page.map(\.redacted), nextPageToken: page.count < configs.count ? page.last?.id : nil)
    }

    package func deletePushNotificationConfig(
        _ request: PushNotificationConfigRequest, _ call: A2ACall
    ) async throws(A2AError) {
        try admit(.deletePushNotificationConfig, call)
        let key = try await existing(request.taskID, tenant: request.tenant, call)
        try await stored { store throws(TaskStoreError) in try await store.deletePushConfig(request.id, of: key) }
    }

    /// The configuration as it is stored, or a refusal.
    private func checked(
        _ config: PushNotificationConfig?, taskID: String?
    ) async throws(A2AError) -> PushNotificationConfig? {
        guard var config else { return nil }
        guard let push else { throw A2AError(.pushNotificationNotSupported) }
        if let id = config.id, !Identifier.isAcceptable(id) {
            throw .invalid(FieldViolation("id", "is too long or has control characters"))
        }
        do throws(A2AError) {
            try await push.check(config)
        } catch {
            // Inside of a message the configuration stands deeper.
            throw taskID == nil ? error.inside("configuration.taskPushNotificationConfig") : error
        }
        config.id = config.id ?? Identifier.fresh()
        config.taskID = taskID
        config.tenant = nil
        return config
    }

    private func existing(
        _ taskID: String?, tenant: String?, _ call: A2ACall
    ) async throws(A2AError) -> TaskKey {
        guard push != nil else { throw A2AError(.pushNotificationNotSupported) }
        let key = TaskKey(scope: TaskScope(owner: call.caller.owner, tenant: tenant), id: taskID ?? "")
        if state.withLock({ $0.live[key]?.live?.stored }) != nil { return key }
        let view = TaskView(historyLength: 0, includesArtifacts: false)
        guard Identifier.isAcceptable(key.id),
            try await stored({ store throws(TaskStoreError) in try await store.task(key, view: view) }) != nil
        else { throw A2AError(.taskNotFound) }
        return key
    }

    private func published(_ live: LiveTask, _ events: [PublishedEvent]) {
        guard let push else { return }
        let key = live.key
        guard outbox.add(events, of: key) else { return }
        Task {
            while let events = outbox.next(of: key) {
                do throws(TaskStoreError) {
                    for config in try await store.pushConfigs(of: key) {
                        push.notify(events, task: key, config: config)
                    }
                } catch {
                    report(.pushConfigsUnreadable(taskID: key.id, error))
                }
            }
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

    private func admit(_ operation: Operation, _ call: A2ACall, skill: String? = nil) throws(A2AError) {
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

    private var events: LiveTask.Events {
        LiveTask.Events(
            now: now,
            onPublished: { [weak self] live, events in self?.published(live, events) },
            onIdle: { [weak self] live in self?.discardIfIdle(live) },
            onHandlerError: { [report] key, error in report(.handlerFailed(taskID: key.id, error)) },
            onStoreError: { [report] key, error in report(.notStored(taskID: key.id, error)) })
    }

    /// The task in memory, for as long as it is not released.
    private func acquire(_ key: TaskKey) async throws(A2AError) -> LiveTask {
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

    private func adopt(_ live: LiveTask) throws(A2AError) -> LiveTask {
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

    private func note(_ key: SendKey, _ send: Send) {
        state.withLock { state in
            guard let entry = state.live[send.live.key] else { return }
            entry.sends.append(key)
            state.sends[key] = send
        }
    }

    private func release(_ live: LiveTask) { leave(live.key) }

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
    private func stored<Value: Sendable>(
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

extension AgentTask {
    /// The task with at most so many messages of its history, the latest ones.
    func shown(historyLength: Int32?) -> AgentTask {
        guard let historyLength, history.count > Int(historyLength) else { return self }
        var task = self
        task.history = Array(history.suffix(Int(historyLength)))
        return task
    }
}

extension SendMessageRequest.Configuration {
    var returnsImmediately: Bool { returnImmediately }
}

extension Part {
    /// The media type that the part has or, by its kind, means.
    var effectiveMediaType: String? {
        if let mediaType { return mediaType }
        switch content {
        case .text: return "text/plain"
        case .data: return "application/json"
        case .raw, .url, nil: return nil
        }
    }
}

extension MediaType {
    /// Whether a media type falls under a range such as `text/*` (RFC 9110 §12.5.1); parameters do not count.
    static func matches(_ type: String, _ range: String) -> Bool {
        let type = essence(type)
        let range = essence(range)
        if range == "*/*" || range == "*" || range == type { return true }
        return range.hasSuffix("/*") && type.hasPrefix(range.dropLast())
    }

    private static func essence(_ type: String) -> String {
        String(type.prefix { $0 != ";" }.filter { $0 != " " }).lowercased()
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

extension A2AError {
    /// The refusal of a request in which the one that was judged stands at a path.
    fileprivate func inside(_ path: String) -> A2AError {
        guard !violations.isEmpty else { return self }
        return .invalid(violations.map { FieldViolation("\(path).\($0.field)", $0.problem) })
    }
}
