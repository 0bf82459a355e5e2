import A2A
import JOSE
import SPIFFE
import Synchronization

/// A task that somebody works on, waits for or looks at.
///
/// What the handler says is applied at once, stored in batches, and shown to nobody before it is stored: an answer that a client
/// has seen is there after a crash too. Batches grow by themselves while the store is busy.
final class LiveTask: Sendable {
    let key: TaskKey
    let contextID: String
    private let settings: TaskLimits
    private let store: any TaskStore
    private let events: Events
    private let state: Mutex<State>

    /// What a task tells those around it. Called without its lock.
    struct Events: Sendable {
        let now: @Sendable () -> UnixTime
        /// Something has been stored.
        let onPublished: @Sendable (LiveTask, [PublishedEvent]) -> Void
        /// The task may not be needed any more.
        let onIdle: @Sendable (LiveTask) -> Void
        /// A handler threw what clients must not read.
        let onHandlerError: @Sendable (TaskKey, any Error) -> Void
        let onStoreError: @Sendable (TaskKey, TaskStoreError) -> Void
    }

    /// What a message led to, once it is stored.
    enum Outcome: Sendable {
        case task(AgentTask)
        case reply(Message)
    }

    /// A message that is to be handled, with what is stored of it.
    struct Opening: Sendable {
        let message: Message
        let digest: [UInt8]
        let pushConfig: PushNotificationConfig?
        /// The skill that is asked for, which the task keeps: later messages have to meet its rule too.
        let skill: String?
    }

    fileprivate enum Change {
        case created(AgentTask, Opening)
        case message(Opening, turn: Int)
        case turnBegan(Int)
        case status(TaskStatusUpdate, superseded: Message?)
        case artifact(TaskArtifactUpdate, place: Int, isNew: Bool)
        case reply(Message, Opening)
        case turnEnded(Int)
    }

    fileprivate struct Waiter {
        let turn: Int
        let returnsImmediately: Bool
        let continuation: CheckedContinuation<Result<Outcome, A2AError>, Never>
    }

    fileprivate struct Subscriber {
        /// Whoever reads holds it: a stream that nobody comes to read goes away with its answer.
        weak var stream: EventStream?
        /// Whether the stream ends once the task waits for input, as that of a message does.
        let endsWithTurn: Bool
        var hasTask: Bool
    }

    fileprivate struct State {
        /// As the handler has left it; nothing before there is a task.
        var task: AgentTask?
        /// As it is stored.
        var stored: AgentTask?
        var opening: Opening?
        var reply: Message?
        var storedReply: Message?
        var failure: A2AError?
        var changes: [Change] = []
        var size = 0
        var isPumping = false
        var turns: [@Sendable () async -> Void] = []
        var runner: Task<Void, Never>?
        var turnsTaken = 0
        var turnsStored = 0
        var turnsBegun = 0
        var turnsEnded = 0
        var waiters: [Int: Waiter] = [:]
        var subscribers: [ObjectIdentifier: Subscriber] = [:]
        var writers: [CheckedContinuation<Void, Never>] = []
        var nextWaiter = 0

        var hasEnded: Bool { reply != nil || task?.status.state.isTerminal == true }

        var isIdle: Bool {
            !isPumping && changes.isEmpty && turns.isEmpty && runner == nil && waiters.isEmpty && subscribers.isEmpty
        }
    }

    /// A task that is not there yet: it will be once the handler does more than reply.
    init(key: TaskKey, contextID: String, opening: Opening, settings: TaskLimits, store: any TaskStore, events: Events)
    {
        self.key = key
        self.contextID = contextID
        self.settings = settings
        self.store = store
        self.events = events
        state = Mutex(State(opening: opening))
    }

    /// A task that is stored.
    init(key: TaskKey, task: AgentTask, settings: TaskLimits, store: any TaskStore, events: Events) {
        self.key = key
        contextID = task.contextID ?? ""
        self.settings = settings
        self.store = store
        self.events = events
        state = Mutex(State(task: task, stored: task, size: task.approximateSize))
    }

    /// No task: a reply that is stored, for whoever sends its message again.
    init(
        key: TaskKey, contextID: String, reply: Message, settings: TaskLimits, store: any TaskStore, events: Events
    ) {
        self.key = key
        self.contextID = contextID
        self.settings = settings
        self.store = store
        self.events = events
        state = Mutex(State(reply: reply, storedReply: reply))
    }

    // What can be seen

    /// The task as it is stored; `nil` when it is not there (yet).
    var stored: AgentTask? { state.withLock { $0.stored } }

    var isIdle: Bool { state.withLock { $0.isIdle } }

    var hasFailed: Bool { state.withLock { $0.failure != nil } }

    /// The number of the newest turn, by which one waits for it.
    var newestTurn: Int { state.withLock { $0.turnsTaken } }

    // What handlers say

    func agentMessage(_ parts: [Part], metadata: JSONObject = JSONObject()) -> Message {
        Message(
            messageID: Identifier.fresh(), contextID: contextID, taskID: key.id, role: .agent, parts: parts,
            metadata: metadata)
    }

    /// Answers without a task, or ends the task with this message.
    func reply(_ message: Message) async throws(AgentTurnError) {
        try await apply { state throws(AgentTurnError) in
            guard !state.hasEnded else { throw .taskEnded }
            guard state.task == nil, let opening = state.opening else {
                try self.setStatus(.completed, message, nil, JSONObject(), &state)
                return
            }
            var message = message
            message.taskID = nil
            state.reply = message
            state.changes.append(.reply(message, opening))
        }
    }

    func update(
        _ new: TaskState, message: Message?, progress: TaskProgress?, metadata: JSONObject
    ) async throws(AgentTurnError) {
        try await apply { state throws(AgentTurnError) in
            guard !state.hasEnded else { throw .taskEnded }
            self.createIfNeeded(&state)
            try self.setStatus(new, message, progress, metadata, &state)
        }
    }

    func artifact(_ artifact: Artifact, append: Bool, lastChunk: Bool) async throws(AgentTurnError) {
        try await apply { state throws(AgentTurnError) in
            guard !state.hasEnded else { throw .taskEnded }
            self.createIfNeeded(&state)
            let place = state.task?.artifacts.firstIndex { $0.artifactID.hasSameBytes(as: artifact.artifactID) }
            if append, place == nil { throw .unknownArtifact(artifact.artifactID) }
            try self.grow(by: artifact.approximateSize, &state)
            let update = TaskArtifactUpdate(
                taskID: self.key.id, contextID: self.contextID, artifact: artifact, append: append,
                lastChunk: lastChunk)
            let count = state.task?.artifacts.count ?? 0
            state.task?.take(update, at: place)
            state.changes.append(.artifact(update, place: place ?? count, isNew: place == nil))
        }
    }

    private func setStatus(
        _ new: TaskState, _ message: Message?, _ progress: TaskProgress?, _ metadata: JSONObject, _ state: inout State
    ) throws(AgentTurnError) {
        var (message, metadata) = (message, metadata)
        do throws(AgentTurnError) {
            try grow(by: (message?.approximateSize ?? 0) + metadata.approximateSize, &state)
        } catch {
            // A task that has become too large must be able to end: without the words that do not fit.
            guard new.isTerminal else { throw error }
            (message, metadata) = (nil, JSONObject())
        }
        if let progress { metadata[TaskProgress.extensionURI] = progress.json }
        let update = TaskStatusUpdate(
            taskID: key.id, contextID: contextID,
            status: TaskStatus(new, message: message, timestamp: events.now()), metadata: metadata)
        let superseded = state.task?.take(update)
        state.changes.append(.status(update, superseded: superseded))
    }

    private func grow(by size: Int, _ state: inout State) throws(AgentTurnError) {
        guard state.size + size <= settings.maximumTaskSize else {
            throw .tooLarge(limit: settings.maximumTaskSize)
        }
        state.size += size
    }

    private func createIfNeeded(_ state: inout State) {
        guard state.task == nil, let opening = state.opening else { return }
        var message = opening.message
        message.contextID = contextID
        message.taskID = key.id
        let task = AgentTask(
            id: key.id, contextID: contextID, status: TaskStatus(.submitted, timestamp: events.now()),
            history: [message], metadata: opening.skill.map { SkillRequest.metadata(skill: $0) } ?? JSONObject())
        state.task = task
        state.size += message.approximateSize
        state.changes.append(
            .created(
                task,
                Opening(
                    message: message, digest: opening.digest, pushConfig: opening.pushConfig, skill: opening.skill)))
        state.changes.append(.turnBegan(1))
    }

    /// There is a task from now on, if the handler has not replied.
    func create() {
        let starts = state.withLock { state -> Bool in
            guard !state.hasEnded, state.failure == nil, state.task == nil else { return false }
            createIfNeeded(&state)
            return state.startsPumping()
        }
        if starts { pump() }
    }

    private func apply(
        _ change: (inout sending State) throws(AgentTurnError) -> Void
    ) async throws(AgentTurnError) {
        let result = state.withLock { state -> Result<(starts: Bool, isFull: Bool), AgentTurnError> in
            guard state.failure == nil else { return .failure(.notStored) }
            do throws(AgentTurnError) {
                try change(&state)
            } catch {
                return .failure(error)
            }
            return .success((state.startsPumping(), state.changes.count >= settings.maximumUnstoredChanges))
        }
        let (starts, isFull) = try result.get()
        if starts { pump() }
        if isFull { await drained() }
    }

    /// Waits until the store has taken what waits.
    private func drained() async {
        await withCheckedContinuation { continuation in
            let isDrained = state.withLock { state in
                // What has been taken in the meantime is waited for by nobody: nothing would say that it is done.
                guard state.isPumping, state.changes.count >= settings.maximumUnstoredChanges else { return true }
                state.writers.append(continuation)
                return false
            }
            if isDrained { continuation.resume() }
        }
    }

    // Turns

    /// Has a message handled after those that came before; returns the number of the turn, or `nil` when the task has ended.
    func take(
        _ opening: Opening, isFirst: Bool, _ handle: @escaping @Sendable (AgentTask?) async throws -> Void
    ) throws(A2AError) -> Int {
        let result = state.withLock { state -> Result<(turn: Int, starts: Bool), A2AError> in
            if let failure = state.failure { return .failure(failure) }
            guard state.size + opening.message.approximateSize <= settings.maximumTaskSize else {
                return .failure(A2AError(.requestTooLarge, "the task has become too large"))
            }
            if !isFirst {
                guard !state.hasEnded else {
                    return .failure(A2AError(.unsupportedOperation, "the task has ended"))
                }
                guard state.turns.count < settings.maximumWaitingTurns else {
                    return .failure(A2AError(.resourceExhausted, "too many messages wait for this task"))
                }
                state.size += opening.message.approximateSize
                // What the agent asked stands before what the client answers, and who waits for this turn must not take the former
                // state for its outcome.
                if state.task?.status.state.isInterrupted == true {
                    try? setStatus(.working, nil, nil, JSONObject(), &state)
                }
                state.task?.history.append(opening.message)
                state.changes.append(.message(opening, turn: state.turnsTaken + 1))
            }
            state.turnsTaken += 1
            let turn = state.turnsTaken
            state.turns.append { await self.run(turn, isFirst: isFirst, handle) }
            if state.runner == nil { state.runner = Task { await self.runTurns() } }
            return .success((turn, state.startsPumping()))
        }
        let (turn, starts) = try result.get()
        if starts { pump() }
        return turn
    }

    private func runTurns() async {
        while true {
            let turn = state.withLock { state -> (@Sendable () async -> Void)? in
                guard !state.turns.isEmpty else {
                    state.runner = nil
                    return nil
                }
                return state.turns.removeFirst()
            }
            guard let turn else { break }
            await turn()
        }
        events.onIdle(self)
    }

    private func run(
        _ turn: Int, isFirst: Bool, _ handle: @Sendable (AgentTask?) async throws -> Void
    ) async {
        let (task, starts, isOver) = state.withLock { state -> (AgentTask?, Bool, Bool) in
            if !isFirst, !state.hasEnded, state.failure == nil {
                // An earlier turn may have asked for something while this message waited.
                if state.task?.status.state.isInterrupted == true {
                    try? setStatus(.working, nil, nil, JSONObject(), &state)
                }
                state.changes.append(.turnBegan(turn))
            }
            return (state.task, state.startsPumping(), state.hasEnded || state.failure != nil)
        }
        if starts { pump() }
        var failure: AgentFailure?
        if !isOver {
            do {
                try await handle(isFirst ? nil : task)
            } catch let error as AgentFailure {
                failure = error
            } catch {
                failure = AgentFailure("the agent failed")
                if !(error is AgentTurnError), !(error is CancellationError) { events.onHandlerError(key, error) }
            }
        }
        let pumps = state.withLock { state -> Bool in
            if !state.hasEnded, state.failure == nil {
                createIfNeeded(&state)
                if let failure {
                    try? setStatus(.failed, agentMessage([.text(failure.message)]), nil, JSONObject(), &state)
                } else if state.task?.status.state.isInterrupted != true {
                    try? setStatus(.completed, nil, nil, JSONObject(), &state)
                }
            }
            state.changes.append(.turnEnded(turn))
            return state.startsPumping()
        }
        if pumps { pump() }
    }

    /// Gives the task up, for its client.
    func cancel() throws(A2AError) {
        let result = state.withLock { state -> Result<(Task<Void, Never>?, Bool), A2AError> in
            if let failure = state.failure { return .failure(failure) }
            guard state.task != nil, !state.hasEnded else { return .failure(A2AError(.taskNotCancelable)) }
            try? setStatus(.canceled, nil, nil, JSONObject(), &state)
            state.turns = []
            return .success((state.runner, state.startsPumping()))
        }
        let (runner, starts) = try result.get()
        runner?.cancel()
        if starts { pump() }
    }

    // Those who wait and look

    /// Waits until what a turn leads to is stored: its end, or that it waits for somebody; with `returnsImmediately` until there
    /// is a task.
    func outcome(of turn: Int, returnsImmediately: Bool) async throws(A2AError) -> Outcome {
        let number = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let waiter = Waiter(turn: turn, returnsImmediately: returnsImmediately, continuation: continuation)
                let outcome = state.withLock { state -> Result<Outcome, A2AError>? in
                    if let outcome = state.outcome(for: waiter) { return outcome }
                    if Task.isCancelled { return .failure(A2AError(.unavailable)) }
                    state.waiters[number] = waiter
                    return nil
                }
                if let outcome { continuation.resume(returning: outcome) }
            }
        } onCancel: {
            let waiter = state.withLock { $0.waiters.removeValue(forKey: number) }
            waiter?.continuation.resume(returning: .failure(A2AError(.unavailable)))
            events.onIdle(self)
        }
        return try result.get()
    }

    /// The events from now on; the first is the task as it is stored, as soon as it is.
    func subscribe(endsWithTurn: Bool, limit: Int) throws(A2AError) -> EventStream {
        let stream = EventStream(limit: limit)
        let identifier = ObjectIdentifier(stream)
        stream.onEnd { [weak self] in
            guard let self else { return }
            state.withLock { _ = $0.subscribers.removeValue(forKey: identifier) }
            events.onIdle(self)
        }
        let result = state.withLock { state -> Result<Void, A2AError> in
            if let failure = state.failure { return .failure(failure) }
            if let reply = state.storedReply {
                stream.send([PublishedEvent(.message(reply))])
                stream.finish()
                return .success(())
            }
            guard state.subscribers.count < settings.maximumSubscribers else {
                return .failure(A2AError(.resourceExhausted, "too many streams of this task"))
            }
            var subscriber = Subscriber(stream: stream, endsWithTurn: endsWithTurn, hasTask: false)
            if let task = state.stored {
                stream.send([PublishedEvent(.task(task))])
                subscriber.hasTask = true
                if task.status.state.isTerminal {
                    stream.finish()
                    return .success(())
                }
            }
            state.subscribers[identifier] = subscriber
            return .success(())
        }
        try result.get()
        return stream
    }

    // Storing and publishing

    private func pump() {
        Task {
            while let batch = state.withLock({ $0.takeChanges() }) {
                do throws(TaskStoreError) {
                    try await self.store(batch)
                } catch {
                    fail(error)
                    break
                }
                publish(batch)
            }
            events.onIdle(self)
        }
    }

    fileprivate struct Batch {
        let changes: [Change]
        let task: AgentTask?
        let wasStored: Bool
    }

    private func store(_ batch: Batch) async throws(TaskStoreError) {
        guard let task = batch.task else {
            for case .reply(let message, let opening) in batch.changes {
                let sent = SentMessage(
                    messageID: opening.message.messageID, digest: opening.digest, outcome: .reply(message))
                try await store.remember(sent, contextID: contextID, scope: key.scope, at: events.now())
            }
            return
        }
        var commit = TaskCommit(
            key: key, contextID: contextID, status: task.status, changedAt: task.status.timestamp ?? events.now(),
            metadata: task.metadata)
        commit.isNew = !batch.wasStored
        var hasChanged = false
        for change in batch.changes {
            switch change {
            case .created(_, let opening), .message(let opening, _):
                commit.messages.append(opening.message)
                commit.sent.append(
                    SentMessage(
                        messageID: opening.message.messageID, digest: opening.digest, outcome: .task(key.id)))
                if let config = opening.pushConfig { commit.pushConfigs.append(config) }
            case .status(_, let superseded):
                if let superseded { commit.messages.append(superseded) }
            case .artifact(let update, let place, _):
                commit.artifacts.append(
                    update.append ? .append(place: place, update.artifact) : .put(place: place, update.artifact))
            case .turnBegan, .turnEnded, .reply: continue
            }
            hasChanged = true
        }
        if hasChanged { try await store.commit(commit) }
    }

    private func publish(_ batch: Batch) {
        var published: [PublishedEvent] = []
        // A stream that ends here tells this task so, which takes the lock: the last reference must not go inside of it.
        var held: [EventStream] = []
        let (resumed, writers) = state.withLock {
            state -> ([(Waiter, Result<Outcome, A2AError>)], [CheckedContinuation<Void, Never>]) in
            state.stored = batch.task
            var created: AgentTask?
            for change in batch.changes {
                switch change {
                case .created(let task, _):
                    created = task
                    published.append(PublishedEvent(.task(task)))
                case .status(let update, _): published.append(PublishedEvent(.status(update)))
                case .artifact(let update, _, _): published.append(PublishedEvent(.artifact(update)))
                case .reply(let message, _):
                    state.storedReply = message
                    published.append(PublishedEvent(.message(message)))
                case .message(_, let turn): state.turnsStored = turn
                case .turnBegan(let turn):
                    state.turnsBegun = turn
                    state.turnsStored = max(state.turnsStored, turn)
                case .turnEnded(let turn): state.turnsEnded = turn
                }
            }
            held = state.subscribers.values.compactMap(\.stream)
            state.deliver(published, created: created != nil)
            var resumed: [(Waiter, Result<Outcome, A2AError>)] = []
            for (number, waiter) in state.waiters {
                guard let outcome = state.outcome(for: waiter) else { continue }
                state.waiters[number] = nil
                resumed.append((waiter, outcome))
            }
            defer { state.writers = [] }
            return (resumed, state.writers)
        }
        for (waiter, outcome) in resumed { waiter.continuation.resume(returning: outcome) }
        for writer in writers { writer.resume() }
        withExtendedLifetime(held) {}
        if !published.isEmpty { events.onPublished(self, published) }
    }

    private func fail(_ error: TaskStoreError) {
        events.onStoreError(key, error)
        let failure = A2AError(.unavailable, "the task could not be stored")
        let (streams, waiters, writers, runner) = state.withLock { state in
            state.failure = failure
            state.changes = []
            state.turns = []
            state.isPumping = false
            defer {
                state.subscribers = [:]
                state.waiters = [:]
                state.writers = []
            }
            return (
                state.subscribers.values.compactMap(\.stream), Array(state.waiters.values), state.writers, state.runner
            )
        }
        runner?.cancel()
        for stream in streams { stream.finish(failure) }
        for waiter in waiters { waiter.continuation.resume(returning: .failure(failure)) }
        for writer in writers { writer.resume() }
    }
}

extension LiveTask.State {
    /// Whether somebody has to begin to store what has changed.
    fileprivate mutating func startsPumping() -> Bool {
        guard !isPumping, !changes.isEmpty else { return false }
        isPumping = true
        return true
    }

    fileprivate mutating func takeChanges() -> LiveTask.Batch? {
        if failure != nil { changes = [] }
        guard !changes.isEmpty else {
            isPumping = false
            return nil
        }
        defer { changes = [] }
        return LiveTask.Batch(changes: changes, task: task, wasStored: stored != nil)
    }

    fileprivate func outcome(for waiter: LiveTask.Waiter) -> Result<LiveTask.Outcome, A2AError>? {
        if let failure { return .failure(failure) }
        if let storedReply { return .success(.reply(storedReply)) }
        guard let stored else { return nil }
        let isMet =
            (waiter.returnsImmediately && turnsStored >= waiter.turn) || stored.status.state.isTerminal
            || turnsEnded >= waiter.turn
            || (stored.status.state.isInterrupted && turnsBegun >= waiter.turn)
        return isMet ? .success(.task(stored)) : nil
    }

    /// Sends what has been stored to everybody who looks, in one order.
    fileprivate mutating func deliver(_ events: [PublishedEvent], created: Bool) {
        guard !events.isEmpty, let last = events.last else { return }
        var ends = false
        var endsTurn = false
        switch last.event {
        case .message: ends = true
        case .status(let update):
            ends = update.status.state.isTerminal
            endsTurn = update.status.state == .inputRequired
        case .task, .artifact: break
        }
        for (identifier, subscriber) in subscribers {
            // A subscriber from before the task was there gets it as its first event; every other one has it.
            let sent = subscriber.hasTask || created || ends ? events : []
            let isAlive = subscriber.stream?.send(sent) ?? false
            subscribers[identifier]?.hasTask = true
            if ends || (endsTurn && subscriber.endsWithTurn) { subscriber.stream?.finish() }
            if !isAlive || ends || (endsTurn && subscriber.endsWithTurn) { subscribers[identifier] = nil }
        }
    }
}
