import A2A
import AgentShieldTesting
import AgentTasks
import JOSE
import SPIFFE
import Synchronization
import Testing

/// An agent whose handler is a closure, with its store in memory.
struct Agent {
    let service: TaskService
    let store: any TaskStore

    init(
        store: any TaskStore = InMemoryTaskStore(), rules: CallRules = CallRules(.anybody),
        push: (any PushNotifying)? = nil,
        change: (inout TaskServiceSettings) -> Void = { _ in },
        _ handle: @escaping @Sendable (AgentTurn) async throws -> Void
    ) {
        struct Handler: AgentHandler {
            let body: @Sendable (AgentTurn) async throws -> Void
            func handle(_ turn: AgentTurn) async throws { try await body(turn) }
        }
        var settings = TaskServiceSettings(rules: rules)
        settings.acknowledgementDelay = .milliseconds(5)
        change(&settings)
        let clock = Mutex<Int64>(1_700_000_000_000)
        self.store = store
        service = TaskService(
            handler: Handler(body: handle), store: store, settings: settings, push: push,
            now: {
                clock.withLock { time in
                    time += 1
                    return UnixTime(milliseconds: time)
                }
            }, report: { _ in })
    }

    static let alice = A2ACall(caller: A2ACaller(method: .mutualTLS, name: "spiffe://example.org/alice"))
    static let bob = A2ACall(caller: A2ACaller(method: .mutualTLS, name: "spiffe://example.org/bob"))

    static func request(
        _ text: String, id: String = "m-\(UInt64.random(in: 0 ... .max))", task: String? = nil, context: String? = nil,
        configuration: SendMessageRequest.Configuration = .init(), metadata: JSONObject = JSONObject()
    ) -> SendMessageRequest {
        SendMessageRequest(
            message: Message(messageID: id, contextID: context, taskID: task, role: .user, parts: [.text(text)]),
            configuration: configuration, metadata: metadata)
    }

    func send(_ request: SendMessageRequest, _ call: A2ACall = alice) async throws -> AgentTask {
        guard case .task(let task) = try await service.sendMessage(request, call) else {
            throw A2AError(.invalidAgentResponse)
        }
        return task
    }
}

/// Lets one side wait for the other.
final class Gate: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation
    init() { (stream, continuation) = AsyncStream.makeStream() }
    func open() { continuation.finish() }
    func wait() async { for await _ in stream {} }
}

@Suite struct TaskServiceTests {
    @Test func aTaskIsAnsweredWithItsEndItsArtifactsAndItsHistory() async throws {
        let agent = Agent { turn in
            try await turn.update(.working, "thinking", progress: TaskProgress(fraction: 0.5))
            try await turn.artifact(Artifact(artifactID: "a", parts: [.text("result")]))
            try await turn.complete("done")
        }
        let task = try await agent.send(Agent.request("go", context: "c-1"))
        #expect(task.status.state == .completed)
        #expect(task.status.message?.text == "done")
        #expect(task.contextID == "c-1")
        #expect(task.history.map(\.text) == ["go", "thinking"])
        #expect(task.history.allSatisfy { $0.taskID == task.id && $0.contextID == "c-1" })
        #expect(task.artifacts.map(\.artifactID) == ["a"])
        #expect(TaskProgress(metadata: task.metadata)?.fraction == 0.5)
        let read = try await agent.service.getTask(GetTaskRequest(id: task.id), Agent.alice)
        #expect(read == task)
        let short = try await agent.service.getTask(GetTaskRequest(id: task.id, historyLength: 1), Agent.alice)
        #expect(short.history.map(\.text) == ["thinking"])
    }

    @Test func aReplyMakesNoTaskAndIsRepeatedForTheSameMessage() async throws {
        let count = Mutex(0)
        let agent = Agent { turn in
            count.withLock { $0 += 1 }
            try await turn.reply("hello")
        }
        let request = Agent.request("hi", id: "m-1")
        for _ in 0..<2 {
            guard case .message(let message) = try await agent.service.sendMessage(request, Agent.alice) else {
                Issue.record("no message")
                return
            }
            #expect(message.text == "hello")
            #expect(message.taskID == nil)
        }
        #expect(count.withLock { $0 } == 1)
        #expect(try await agent.service.listTasks(ListTasksRequest(), Agent.alice).tasks.isEmpty)
    }

    @Test func theSameMessageLeadsToTheSameTaskAndAnotherUnderItsNameIsRefused() async throws {
        let count = Mutex(0)
        let agent = Agent { turn in
            count.withLock { $0 += 1 }
            try await turn.complete("done")
        }
        let request = Agent.request("go", id: "m-1")
        let first = try await agent.send(request)
        #expect(try await agent.send(request).id == first.id)
        #expect(count.withLock { $0 } == 1)
        await #expect(throws: A2AError.self) { try await agent.send(Agent.request("other", id: "m-1")) }
        // Another caller's messages have names of their own.
        #expect(try await agent.send(request, Agent.bob).id != first.id)
    }

    @Test func manyAtOnceUnderOneNameAreHandledOnce() async throws {
        let count = Mutex(0)
        let gate = Gate()
        let agent = Agent { turn in
            count.withLock { $0 += 1 }
            await gate.wait()
            try await turn.complete()
        }
        let request = Agent.request("go", id: "m-1")
        let first = try await agent.send(
            Agent.request("go", id: "m-1", configuration: .init(returnImmediately: true)))
        #expect(!first.status.state.isTerminal)
        let ids = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<20 { group.addTask { try await agent.send(request).id } }
            gate.open()
            var ids: Set<String> = []
            for try await id in group { ids.insert(id) }
            return ids
        }
        #expect(ids == [first.id])
        #expect(count.withLock { $0 } == 1)
    }

    @Test func twoOfTheSameMessageAtTheSameMomentAreOne() async throws {
        let count = Mutex(0)
        let agent = Agent(store: SlowTaskStore(InMemoryTaskStore())) { turn in
            count.withLock { $0 += 1 }
            try await turn.complete()
        }
        let request = Agent.request("go", id: "m-1")
        let ids = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<10 { group.addTask { try await agent.send(request).id } }
            var ids: Set<String> = []
            for try await id in group { ids.insert(id) }
            return ids
        }
        #expect(ids.count == 1)
        #expect(count.withLock { $0 } == 1)
    }

    @Test func aHandlerThatSaysMoreThanTheStoreTakesIsHeldBackAndGoesOn() async throws {
        let agent = Agent(store: SlowTaskStore(InMemoryTaskStore())) { turn in
            for number in 0..<2000 {
                try await turn.chunk(
                    Artifact(artifactID: "a", parts: [.text("\(number)")]), append: number > 0, lastChunk: false)
            }
        }
        #expect(try await agent.send(Agent.request("go")).artifacts.first?.parts.count == 2000)
    }

    @Test func aStreamThatNobodyComesToReadGoesAway() async throws {
        let agent = Agent { turn in try await turn.requireAuthorization("?") }
        let task = try await agent.send(Agent.request("go"))
        weak var stream: EventStream?
        do {
            let made = try await agent.service.subscribeToTask(SubscribeToTaskRequest(id: task.id), Agent.alice)
            stream = made
        }
        #expect(stream == nil)
        while agent.service.tasksInMemory > 0 { await Task.yield() }
    }

    @Test func aTaskThatCouldNotBeStoredIsReadAnew() async throws {
        let plan = FaultPlan()
        let agent = Agent(store: FaultyTaskStore(InMemoryTaskStore(), plan: plan)) { turn in
            if turn.task == nil { try await turn.requireInput("?") } else { try await turn.complete() }
        }
        let task = try await agent.send(Agent.request("go"))
        plan.arm(.before)
        let more = Agent.request("more", task: task.id)
        #expect(await refusal { _ = try await agent.service.sendMessage(more, Agent.alice) }?.kind == .unavailable)
        while agent.service.tasksInMemory > 0 { await Task.yield() }
        #expect(try await agent.send(more).status.state == .completed)
    }

    @Test func anImmediateAnswerComesWhileTheHandlerWorks() async throws {
        let gate = Gate()
        let agent = Agent { turn in
            await gate.wait()
            try await turn.complete()
        }
        let task = try await agent.send(Agent.request("go", configuration: .init(returnImmediately: true)))
        #expect(task.status.state == .submitted)
        #expect(task.history.map(\.text) == ["go"])
        gate.open()
        let stream = try? await agent.service.subscribeToTask(SubscribeToTaskRequest(id: task.id), Agent.alice)
        if let events = stream?.makeAsyncIterator() { while try await events.next() != nil {} }
        #expect(
            try await agent.service.getTask(GetTaskRequest(id: task.id), Agent.alice).status.state == .completed)
    }

    @Test func everySubscriberSeesTheSameEventsInTheSameOrder() async throws {
        let gate = Gate()
        let agent = Agent { turn in
            try await turn.update(.working, "begun")
            await gate.wait()
            for number in 0..<50 {
                try await turn.chunk(
                    Artifact(artifactID: "a", parts: [.text("\(number)")]), append: number > 0, lastChunk: number == 49)
            }
            try await turn.complete("done")
        }
        let sent = try await agent.service.sendStreamingMessage(Agent.request("go"), Agent.alice).makeAsyncIterator()
        guard case .task(let task)? = try await sent.next()?.event else {
            Issue.record("the first event is no task")
            return
        }
        let others = try await (0..<5).asyncMap { _ in
            try await agent.service.subscribeToTask(SubscribeToTaskRequest(id: task.id), Agent.alice)
                .makeAsyncIterator()
        }
        gate.open()
        var texts: [String] = []
        while let event = try await sent.next()?.event { texts += event.texts }
        #expect(texts == ["begun"] + (0..<50).map(String.init) + ["done"])
        for other in others {
            var seen: [String] = []
            guard case .task(let snapshot)? = try await other.next()?.event else {
                Issue.record("the first event is no task")
                return
            }
            while let event = try await other.next()?.event { seen += event.texts }
            // Whoever came after the first status has it in the snapshot.
            #expect((snapshot.status.message.map { [$0.text] } ?? []) + seen == texts)
        }
        let read = try await agent.service.getTask(GetTaskRequest(id: task.id), Agent.alice)
        #expect(read.artifacts.first?.parts.count == 50)
    }

    @Test func aStreamEndsWhenInputIsRequiredAndASubscriptionGoesOn() async throws {
        let agent = Agent { turn in
            if turn.task == nil { try await turn.requireInput("which one?") } else { try await turn.complete("thanks") }
        }
        let sent = try await agent.service.sendStreamingMessage(Agent.request("go"), Agent.alice).makeAsyncIterator()
        var states: [TaskState] = []
        var id = ""
        while let event = try await sent.next()?.event {
            if case .task(let task) = event { id = task.id }
            states += event.states
        }
        #expect(states.last == .inputRequired)
        let subscription = try await agent.service.subscribeToTask(SubscribeToTaskRequest(id: id), Agent.alice)
            .makeAsyncIterator()
        let task = try await agent.send(Agent.request("that one", task: id))
        #expect(task.status.state == .completed)
        #expect(task.history.map(\.text) == ["go", "which one?", "that one"])
        var seen: [TaskState] = []
        while let event = try await subscription.next()?.event { seen += event.states }
        #expect(seen.first == .inputRequired)
        #expect(seen.last == .completed)
    }

    @Test func aTaskOfAnotherCallerIsExactlyLikeAMissingOne() async throws {
        let agent = Agent { turn in try await turn.requireInput("?") }
        let task = try await agent.send(Agent.request("go"))
        let missing = "00000000-0000-4000-8000-000000000000"
        func errors(_ id: String, _ call: A2ACall) async -> [A2AError?] {
            let service = agent.service
            return [
                await refusal { _ = try await service.getTask(GetTaskRequest(id: id), call) },
                await refusal { _ = try await service.cancelTask(CancelTaskRequest(id: id), call) },
                await refusal { _ = try await service.subscribeToTask(SubscribeToTaskRequest(id: id), call) },
                await refusal { _ = try await service.sendMessage(Agent.request("go on", task: id), call) },
                await refusal {
                    _ = try await service.getTask(GetTaskRequest(tenant: "other", id: id), Agent.alice)
                },
            ]
        }
        let ofOther = await errors(task.id, Agent.bob)
        #expect(ofOther == Array(repeating: A2AError(.taskNotFound), count: 5))
        #expect(await errors(missing, Agent.bob) == ofOther)
        #expect(try await agent.service.listTasks(ListTasksRequest(), Agent.bob).totalSize == 0)
        // On somebody's behalf an agent is another caller.
        let forUser = A2ACall(
            caller: A2ACaller(method: .boundToken, name: "spiffe://example.org/alice", subject: "user-1", scopes: []))
        #expect(
            await refusal { _ = try await agent.service.getTask(GetTaskRequest(id: task.id), forUser) }?.kind
                == .taskNotFound)
    }

    @Test func anEndedTaskTakesNothingMore() async throws {
        let agent = Agent { turn in
            try await turn.complete()
            await #expect(throws: AgentTurnError.taskEnded) { try await turn.update(.working) }
        }
        let task = try await agent.send(Agent.request("go"))
        let service = agent.service
        #expect(
            await refusal { _ = try await service.cancelTask(CancelTaskRequest(id: task.id), Agent.alice) }?.kind
                == .taskNotCancelable)
        #expect(
            await refusal { _ = try await service.sendMessage(Agent.request("more", task: task.id), Agent.alice) }?.kind
                == .unsupportedOperation)
        #expect(
            await refusal { _ = try await service.subscribeToTask(SubscribeToTaskRequest(id: task.id), Agent.alice) }?
                .kind == .unsupportedOperation)
    }

    @Test func cancelingEndsTheTaskAndItsHandler() async throws {
        let wasCancelled = Gate()
        let agent = Agent { turn in
            try await turn.update(.working)
            try? await Task.sleep(for: .seconds(60))
            if Task.isCancelled { wasCancelled.open() }
            try await turn.complete()
        }
        let task = try await agent.send(Agent.request("go", configuration: .init(returnImmediately: true)))
        let canceled = try await agent.service.cancelTask(CancelTaskRequest(id: task.id), Agent.alice)
        #expect(canceled.status.state == .canceled)
        await wasCancelled.wait()
        #expect(try await agent.service.getTask(GetTaskRequest(id: task.id), Agent.alice).status.state == .canceled)
    }

    @Test func aHandlerThatFailsTellsOnlyWhatItWantsToTell() async throws {
        struct Inner: Error { let secret = "db password" }
        let agent = Agent { turn in
            if turn.message.text == "public" { throw AgentFailure("the disk is full") }
            throw Inner()
        }
        let first = try await agent.send(Agent.request("public"))
        #expect(first.status.state == .failed)
        #expect(first.status.message?.text == "the disk is full")
        #expect(try await agent.send(Agent.request("other")).status.message?.text == "the agent failed")
    }

    @Test func whatCannotBeStoredIsNotAnswered() async throws {
        let plan = FaultPlan.failing(.before)
        let agent = Agent(store: FaultyTaskStore(InMemoryTaskStore(), plan: plan)) { turn in try await turn.complete() }
        let request = Agent.request("go")
        #expect(await refusal { _ = try await agent.service.sendMessage(request, Agent.alice) }?.kind == .unavailable)
        #expect(try await agent.service.listTasks(ListTasksRequest(), Agent.alice).totalSize == 0)
        #expect(try await agent.send(request).status.state == .completed)
    }

    @Test func tasksOfAnEndedProcessHaveFailed() async throws {
        let store = InMemoryTaskStore()
        let gate = Gate()
        let first = Agent(store: store) { _ in await gate.wait() }
        let task = try await first.send(Agent.request("go", configuration: .init(returnImmediately: true)))
        let second = Agent(store: store) { turn in try await turn.complete() }
        try await second.service.recover()
        let read = try await second.service.getTask(GetTaskRequest(id: task.id), Agent.alice)
        #expect(read.status.state == .failed)
        gate.open()
    }

    @Test func aListGoesPageByPageNewestFirst() async throws {
        let agent = Agent { turn in try await turn.complete() }
        var ids: [String] = []
        for number in 0..<7 {
            ids.append(try await agent.send(Agent.request("\(number)", context: "c-\(number % 2)")).id)
        }
        var seen: [String] = []
        var token: String?
        repeat {
            let page = try await agent.service.listTasks(
                ListTasksRequest(pageSize: 3, pageToken: token, historyLength: 0), Agent.alice)
            #expect(page.totalSize == 7)
            #expect(page.pageSize == 3)
            #expect(page.tasks.allSatisfy { $0.history.isEmpty && $0.artifacts.isEmpty })
            seen += page.tasks.map(\.id)
            token = page.nextPageToken.isEmpty ? nil : page.nextPageToken
        } while token != nil
        #expect(seen == ids.reversed())
        let some = try await agent.service.listTasks(
            ListTasksRequest(contextID: "c-1", status: .completed), Agent.alice)
        #expect(some.totalSize == 3)
        for (request, field) in [
            (ListTasksRequest(pageSize: 0), "pageSize"), (ListTasksRequest(pageSize: 101), "pageSize"),
            (ListTasksRequest(pageToken: "nonsense"), "pageToken"),
            (ListTasksRequest(historyLength: -1), "historyLength"),
        ] {
            let error = await refusal { _ = try await agent.service.listTasks(request, Agent.alice) }
            #expect(error?.violations.first?.field == field)
        }
    }

    @Test func rulesAreCheckedBeforeAnythingIsLookedUp() async throws {
        let rules = CallRules(
            .init(scopes: ["Task.Run"], identities: [try SPIFFEID("spiffe://example.org/alice")]),
            skills: ["pay": .init(scopes: ["Pay"]), "search": .anyIdentity])
        let agent = Agent(rules: rules) { turn in try await turn.reply(turn.skill ?? "none") }
        func token(_ scopes: String...) -> A2ACall {
            A2ACall(caller: A2ACaller(method: .boundToken, name: "spiffe://example.org/carol", scopes: Set(scopes)))
        }
        let service = agent.service
        let cases: [(A2ACall, String?, A2AError.Kind?)] = [
            (A2ACall(caller: .anonymous), "search", .unauthenticated),
            (Agent.alice, "search", nil),
            (Agent.alice, "pay", .permissionDenied),
            // Whoever names no skill has to meet the strictest rule.
            (Agent.alice, nil, .permissionDenied),
            (Agent.bob, "search", .permissionDenied),
            // A name that the agent does not know is as good as none.
            (Agent.alice, "other", .permissionDenied),
            (token("Task.Run", "Pay"), "other", nil),
            (token("Task.Run"), "search", nil),
            (token("Task.Run"), "pay", .permissionDenied),
            (token("Task.Run", "Pay"), "pay", nil),
            (token("Task.Run", "Pay"), nil, nil),
            (token("Pay"), "pay", .permissionDenied),
        ]
        for (call, skill, kind) in cases {
            let request = Agent.request("go", metadata: skill.map { SkillRequest.metadata(skill: $0) } ?? JSONObject())
            let error = await refusal { _ = try await service.sendMessage(request, call) }
            #expect(error?.kind == kind, "\(call.caller) \(skill ?? "-")")
        }
        #expect(
            await refusal { _ = try await service.getTask(GetTaskRequest(id: "x"), Agent.bob) }?.kind
                == .permissionDenied)
    }

    @Test func whoeverGoesOnWithATaskHasToBeAllowedItsSkill() async throws {
        let rules = CallRules(.anyIdentity, skills: ["pay": .init(scopes: ["Pay"]), "search": .anyIdentity])
        let agent = Agent(rules: rules) { turn in
            if turn.task == nil { try await turn.requireInput("sure?") } else { try await turn.complete() }
        }
        func caller(_ scopes: Set<String>?) -> A2ACall {
            A2ACall(caller: A2ACaller(method: .boundToken, name: "spiffe://example.org/carol", scopes: scopes))
        }
        func message(_ skill: String, task: String? = nil) -> SendMessageRequest {
            Agent.request("go", task: task, metadata: SkillRequest.metadata(skill: skill))
        }
        let asked = try await agent.send(message("pay"), caller(["Pay"]))
        for call in [caller(nil), caller([])] {
            let more = message("search", task: asked.id)
            #expect(await refusal { _ = try await agent.service.sendMessage(more, call) }?.kind == .permissionDenied)
        }
        #expect(try await agent.send(message("search", task: asked.id), caller(["Pay"])).status.state == .completed)
    }

    @Test func aTaskThatHasBecomeTooLargeCanStillEnd() async throws {
        let agent = Agent(change: { $0.limits.maximumTaskSize = 4000 }) { turn in
            var number = 0
            while true {
                try await turn.chunk(
                    Artifact(artifactID: "a", parts: [.text("x")]), append: number > 0, lastChunk: false)
                number += 1
            }
        }
        #expect(try await agent.send(Agent.request("go")).status.state == .failed)
        let long = Agent.request(String(repeating: "x", count: 5000))
        #expect(await refusal { _ = try await agent.service.sendMessage(long, Agent.alice) }?.kind == .requestTooLarge)
    }

    @Test func anImmediateAnswerToATaskThatWaitsHasTheMessageInIt() async throws {
        let gate = Gate()
        let agent = Agent(store: SlowTaskStore(InMemoryTaskStore())) { turn in
            guard turn.task != nil else { return try await turn.requireInput("?") }
            await gate.wait()
            try await turn.complete()
        }
        let asked = try await agent.send(Agent.request("go"))
        let task = try await agent.send(
            Agent.request("this", task: asked.id, configuration: .init(returnImmediately: true)))
        #expect(task.status.state == .working)
        #expect(task.history.map(\.text) == ["go", "?", "this"])
        gate.open()
    }

    @Test func requiredExtensionsAndMediaTypesAreNegotiated() async throws {
        let agent = Agent(change: {
            $0.extensions = ["https://a.example/1": true, "https://b.example/1": false]
            $0.inputModes = ["text/*"]
            $0.outputModes = ["application/json"]
        }) { turn in try await turn.reply(turn.extensions.joined(separator: " ")) }
        let service = agent.service
        let missing = await refusal { _ = try await service.sendMessage(Agent.request("go"), Agent.alice) }
        #expect(missing?.kind == .extensionSupportRequired)
        #expect(missing?.metadata == ["extensions": "https://a.example/1"])
        let call = A2ACall(
            caller: Agent.alice.caller,
            parameters: ServiceParameters(extensions: ["https://c.example/1", "https://a.example/1"]))
        guard case .message(let reply) = try await service.sendMessage(Agent.request("go"), call) else { return }
        #expect(reply.text == "https://a.example/1")
        var picture = Agent.request("go")
        picture.message.parts = [Part(.url("https://x.example/a.png"), mediaType: "image/png")]
        #expect(await refusal { _ = try await service.sendMessage(picture, call) }?.kind == .contentTypeNotSupported)
        let other = Agent.request("go", configuration: .init(acceptedOutputModes: ["text/plain"]))
        #expect(await refusal { _ = try await service.sendMessage(other, call) }?.kind == .contentTypeNotSupported)
    }

    @Test func whoeverDoesNotReadIsDroppedAndTheTaskGoesOn() async throws {
        let gate = Gate()
        let agent = Agent(change: { $0.limits.maximumWaitingEvents = 10 }) { turn in
            await gate.wait()
            for number in 0..<500 {
                try await turn.chunk(
                    Artifact(artifactID: "a", parts: [.text("\(number)")]), append: number > 0, lastChunk: false)
            }
            try await turn.complete()
        }
        let stream = try await agent.service.sendStreamingMessage(Agent.request("go"), Agent.alice)
        let slow = stream.makeAsyncIterator()
        guard case .task(let task)? = try await slow.next()?.event else { return }
        gate.open()
        var state = TaskState.working
        while !state.isTerminal {
            state = try await agent.service.getTask(GetTaskRequest(id: task.id), Agent.alice).status.state
            await Task.yield()
        }
        #expect(state == .completed)
        let error = await refusal { while try await slow.next() != nil {} }
        #expect(error?.kind == .resourceExhausted)
    }
}

/// A store that takes its time.
struct SlowTaskStore: TaskStore {
    let base: any TaskStore

    init(_ base: any TaskStore) { self.base = base }

    private func pause() async { try? await Task.sleep(for: .milliseconds(2)) }

    func commit(_ commit: TaskCommit) async throws(TaskStoreError) {
        await pause()
        try await base.commit(commit)
    }

    func remember(
        _ sent: SentMessage, contextID: String, scope: TaskScope, at now: UnixTime
    ) async throws(TaskStoreError) {
        await pause()
        try await base.remember(sent, contextID: contextID, scope: scope, at: now)
    }

    func task(_ key: TaskKey, view: TaskView) async throws(TaskStoreError) -> AgentTask? {
        await pause()
        return try await base.task(key, view: view)
    }

    func tasks(_ query: TaskQuery, scope: TaskScope) async throws(TaskStoreError) -> TaskPage {
        try await base.tasks(query, scope: scope)
    }

    func sent(_ messageID: String, scope: TaskScope) async throws(TaskStoreError) -> SentMessage? {
        await pause()
        return try await base.sent(messageID, scope: scope)
    }

    func unfinished() async throws(TaskStoreError) -> [(key: TaskKey, task: AgentTask)] {
        try await base.unfinished()
    }

    func setPushConfig(_ config: PushNotificationConfig, of key: TaskKey) async throws(TaskStoreError) {
        try await base.setPushConfig(config, of: key)
    }

    func pushConfigs(of key: TaskKey) async throws(TaskStoreError) -> [PushNotificationConfig] {
        try await base.pushConfigs(of: key)
    }

    func deletePushConfig(_ id: String, of key: TaskKey) async throws(TaskStoreError) {
        try await base.deletePushConfig(id, of: key)
    }

    func forget(before time: UnixTime) async throws(TaskStoreError) -> Int { try await base.forget(before: time) }
}

/// What an operation is refused with, if it is.
func refusal(_ body: () async throws -> Void) async -> A2AError? {
    do {
        try await body()
        return nil
    } catch {
        return error as? A2AError ?? A2AError(.internalError, "\(error)")
    }
}

extension StreamEvent {
    var texts: [String] {
        switch self {
        case .task, .message: []
        case .status(let update): update.status.message.map { [$0.text] } ?? []
        case .artifact(let update):
            update.artifact.parts.compactMap { if case .text(let text)? = $0.content { text } else { nil } }
        }
    }

    var states: [TaskState] {
        switch self {
        case .task(let task): [task.status.state]
        case .status(let update): [update.status.state]
        case .message, .artifact: []
        }
    }
}

extension Sequence {
    fileprivate func asyncMap<Value>(_ body: (Element) async throws -> Value) async throws -> [Value] {
        var values: [Value] = []
        for element in self { values.append(try await body(element)) }
        return values
    }
}
