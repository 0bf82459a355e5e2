package import A2A
import Crypto
import JOSE

extension TaskService {
    package func sendMessage(
        _ request: SendMessageRequest, _ call: A2ACall
    ) async throws(A2AError) -> SendMessageResponse {
        let send = try await begin(request, .sendMessage, call)
        defer { release(send.live) }
        let immediately = request.configuration.returnImmediately
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

    func subscribe(to live: LiveTask, endsWithTurn: Bool) throws(A2AError) -> EventStream {
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
