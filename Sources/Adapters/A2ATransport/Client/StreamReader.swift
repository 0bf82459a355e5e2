import A2A
import Synchronization

/// Reads one stream to its end over as many connections as it takes.
struct StreamReader: Sendable {
    let binding: any ClientBinding
    let request: OperationRequest
    let settings: A2AClient.Settings
    let clock: RetryClock
    let emit: @Sendable (StreamEvent) async throws -> Void

    /// Whether the stream goes on while a task waits for input: a subscription does, that of a message ends there.
    private var outlivesTurns: Bool { request.operation == .subscribeToTask }

    func run() async throws {
        let seen = Seen()
        var failures = 0
        var next = request
        while true {
            let newsBefore = seen.news
            do {
                try await read(next, seen)
                return
            } catch let error as A2AClientError {
                if seen.news > newsBefore { failures = 0 }
                guard let taskID = seen.taskID else {
                    // An answer has begun, if only by a message.
                    guard seen.news == 0 else { throw error }
                    // Nothing has come: the request may go again by the rules of every request.
                    guard failures + 1 < settings.retries.attempts, settings.retries.allows(next, after: error) else {
                        throw error
                    }
                    try await clock.pause(settings.retries, afterFailure: failures)
                    failures += 1
                    continue
                }
                if isOver(seen) { return }
                switch error {
                case .answerBroken, .noAnswer, .unreachable:
                    guard failures + 1 < settings.retries.attempts else { throw error }
                case .refused(let refusal) where seen.hasBroken:
                    if refusal.kind == .unsupportedOperation || refusal.kind == .methodNotFound {
                        return try await poll(taskID, seen)
                    }
                    guard refusal.kind == .unavailable, failures + 1 < settings.retries.attempts else { throw error }
                default: throw error
                }
                try await clock.pause(settings.retries, afterFailure: failures)
                failures += 1
                seen.hasBroken = true
                next = .subscribeToTask(SubscribeToTaskRequest(tenant: request.tenant, id: taskID))
            }
        }
    }

    private func read(_ request: OperationRequest, _ seen: Seen) async throws {
        try await binding.stream(request) { event in
            if seen.note(event) { try await emit(event) }
        }
    }

    /// Asks for the task until nothing further comes.
    private func poll(_ taskID: String, _ seen: Seen) async throws {
        var failures = 0
        while true {
            do {
                let get = OperationRequest.getTask(GetTaskRequest(tenant: request.tenant, id: taskID, historyLength: 0))
                let task = try await Deadline.run(settings.timeout) { try await binding.call(get, AgentTask.self) }
                failures = 0
                if seen.note(.task(task)) { try await emit(.task(task)) }
                if isOver(seen) { return }
                try await clock.sleep(settings.pollingPause)
            } catch let error as A2AClientError {
                failures += 1
                guard failures < settings.retries.attempts, error.mayHaveHadNoEffect else { throw error }
                try await clock.pause(settings.retries, afterFailure: failures - 1)
            }
        }
    }

    private func isOver(_ seen: Seen) -> Bool {
        guard let state = seen.state else { return false }
        return state.isTerminal || (state == .inputRequired && !outlivesTurns)
    }

    /// What has been handed out, of all connections together.
    private final class Seen: Sendable {
        private struct State {
            var progress = StreamProgress()
            var news = 0
            var hasBroken = false
        }

        // One reader at a time; the lock is for the compiler.
        private let held = Mutex(State())

        var taskID: String? { held.withLock { $0.progress.taskID } }
        var state: TaskState? { held.withLock { $0.progress.state } }
        /// How many events were news.
        var news: Int { held.withLock { $0.news } }

        /// Whether a connection broke off, so that events may come again.
        var hasBroken: Bool {
            get { held.withLock { $0.hasBroken } }
            set { held.withLock { $0.hasBroken = newValue } }
        }

        func note(_ event: StreamEvent) -> Bool {
            held.withLock { held in
                let isNews = held.progress.note(event, isRepeated: held.hasBroken)
                if isNews { held.news += 1 }
                return isNews
            }
        }
    }
}
