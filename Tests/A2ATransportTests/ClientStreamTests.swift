import A2A
import JOSE
import Synchronization
import Testing

@testable import A2ATransport

@Suite struct ClientStreamTests {
    private let send = SendMessageRequest(message: Message(messageID: "m", role: .user, parts: [.text("hi")]))

    private func task(_ state: TaskState, parts: String = "") -> String {
        let artifacts = parts.isEmpty ? "" : #","artifacts":[{"artifactId":"a","parts":[\#(parts)]}]"#
        return #"{"task":{"id":"t","contextId":"c","status":{"state":"\#(state.protoName)"}\#(artifacts)}}"#
    }

    private func status(_ state: TaskState) -> String {
        #"{"statusUpdate":{"taskId":"t","contextId":"c","status":{"state":"\#(state.protoName)"}}}"#
    }

    private func chunk(_ text: String, append: Bool = true) -> String {
        """
        {"artifactUpdate":{"taskId":"t","contextId":"c","append":\(append),
        "artifact":{"artifactId":"a","parts":[{"text":"\(text)"}]}}}
        """.split(separator: "\n").joined()
    }

    private func text(_ event: StreamEvent) -> String {
        switch event {
        case .task(let task): "task \(task.status.state) \(task.artifacts.flatMap(\.parts).count)"
        case .message(let message): "message \(message.messageID)"
        case .status(let update): "\(update.status.state)"
        case .artifact(let update): "artifact \(update.append)"
        }
    }

    private func read(_ turns: [ScriptedAgent.Turn]) async throws -> (events: [String], requests: [String]) {
        let agent = ScriptedAgent(turns)
        let events = try await agent.client().sendStreamingMessage(send).all()
        return (events.map(text), agent.requests.map(\.line))
    }

    @Test func eventsComeInOrderAndTheStreamEndsWithTheAgents() async throws {
        let (events, requests) = try await read([
            .events([task(.submitted), status(.working), chunk("1", append: false), chunk("2"), status(.completed)])
        ])
        #expect(events == ["task submitted 0", "working", "artifact false", "artifact true", "completed"])
        #expect(requests.count == 1)
        #expect(
            try await read([.events([#"{"message":{"messageId":"r"}}"#])]).events == ["message r"])
        #expect(try await read([.events([])]).events == [])
    }

    @Test func aStreamThatBreaksIsTakenUpAgainAndNothingComesTwice() async throws {
        let (events, requests) = try await read([
            .events([task(.submitted), status(.working), chunk("1", append: false)], breaks: true),
            // The same state: nothing was missed.
            .events([task(.working, parts: #"{"text":"1"}"#), chunk("2")], breaks: true),
            .failure(.unreachable("refused")),
            // Something was missed.
            .events([
                task(.working, parts: #"{"text":"1"},{"text":"2"},{"text":"3"}"#), status(.working), status(.failed),
            ]),
        ])
        #expect(
            events == ["task submitted 0", "working", "artifact false", "artifact true", "task working 3", "failed"])
        #expect(requests.count == 4)
        #expect(requests.dropFirst().allSatisfy { $0 == "GET https://agent.example/a2a/tasks/t:subscribe" })
    }

    @Test func aTaskWhoseAgentOffersNoSubscriptionIsAskedFor() async throws {
        let unsupported = String(decoding: A2AError(.unsupportedOperation).httpBody, as: UTF8.self)
        func asked(_ task: String) -> ScriptedAgent.Turn { .answer(200, String(task.dropFirst(8).dropLast())) }
        let (events, requests) = try await read([
            .events([task(.working)], breaks: true),
            .answer(400, unsupported),
            asked(task(.working)), .answer(503, ""), asked(task(.working, parts: #"{"text":"1"}"#)),
            asked(task(.completed, parts: #"{"text":"1"}"#)),
        ])
        #expect(events == ["task working 0", "task working 1", "task completed 1"])
        #expect(requests.count == 6)
        #expect(requests.last == "GET https://agent.example/a2a/tasks/t?historyLength=0")
    }

    @Test func aStreamThatBreaksAfterItsLastEventHasEnded() async throws {
        for state in [TaskState.completed, .canceled, .failed, .rejected, .inputRequired] {
            let (events, requests) = try await read([.events([task(.working), status(state)], breaks: true)])
            #expect(events == ["task working 0", "\(state)"])
            #expect(requests.count == 1)
        }
        // Waiting for an authorization ends nothing, and a subscription outlives a turn.
        let agent = ScriptedAgent([
            .events([task(.working), status(.inputRequired)], breaks: true), .events([task(.completed)]),
        ])
        let events = try await agent.client().subscribeToTask(.init(id: "t")).all()
        #expect(events.map(text) == ["task working 0", "inputRequired", "task completed 0"])
    }

    @Test func attemptsAreCountedAnewAfterNews() async throws {
        let broken: [ScriptedAgent.Turn] = [TaskState.working, .authRequired, .submitted, .working, .authRequired].map {
            .events([task($0)], breaks: true)
        }
        #expect(try await read(broken + [.events([task(.completed)])]).events.count == 6)
        // Without news they run out.
        let agent = ScriptedAgent(Array(repeating: .events([task(.working)], breaks: true), count: 9))
        let events = try await agent.client().sendStreamingMessage(send)
        await #expect(throws: A2AClientError.self) { _ = try await events.all() }
        #expect(agent.requests.count == 3)
    }

    @Test func aRefusalInPlaceOfAStreamIsTheCallsOwn() async throws {
        let body = String(decoding: A2AError(.unsupportedOperation).httpBody, as: UTF8.self)
        await #expect(throws: A2AClientError.refused(A2AError(.unsupportedOperation))) {
            _ = try await ScriptedAgent([.answer(400, body)]).client().sendStreamingMessage(send)
        }
        let rpc = String(decoding: JSONRPCResponse.failure(.number(1), A2AError(.taskNotFound)), as: UTF8.self)
        for turn in [ScriptedAgent.Turn.answer(200, rpc), .events([rpc])] {
            await #expect(throws: A2AClientError.refused(A2AError(.taskNotFound))) {
                _ = try await ScriptedAgent([turn]).client(.jsonRPC).subscribeToTask(.init(id: "t"))
            }
        }
        for turn in [ScriptedAgent.Turn.answer(200, "{}"), .events(["{}"]), .events(["[]"]), .events(["{"])] {
            do {
                _ = try await ScriptedAgent([turn]).client().sendStreamingMessage(send)
                Issue.record("taken for a stream")
            } catch A2AClientError.invalidAnswer {}
        }
    }

    @Test func anErrorInTheMiddleOfAStreamEndsIt() async throws {
        let error = String(decoding: A2AError(.internalError).httpBody, as: UTF8.self)
        let agent = ScriptedAgent([.events([task(.working), error])])
        let events = try await agent.client().sendStreamingMessage(send)
        var iterator = events.makeAsyncIterator()
        #expect(try await iterator.next().map(text) == "task working 0")
        await #expect(throws: A2AClientError.self) { _ = try await iterator.next() }
        #expect(agent.requests.count == 1)
    }

    @Test func anEventThatIsTooLargeEndsTheStream() async throws {
        let agent = ScriptedAgent([.events([chunk(String(repeating: "x", count: 1000))])])
        let client = agent.client { $0.maximumAnswerBytes = 500 }
        await #expect(throws: A2AClientError.answerTooLarge(limit: 500)) {
            _ = try await client.sendStreamingMessage(send)
        }
    }

    @Test func aSenderIsNoMoreThanOneEventAheadOfItsReader() async throws {
        let sent = Mutex(0)
        let event = try StreamEvent(json: JSONValue(parsing: status(.working)))
        let events = A2AEvents { emit in
            for _ in 0..<100 {
                try await emit(event)
                sent.withLock { $0 += 1 }
            }
        }
        var read = 0
        for try await _ in events {
            read += 1
            for _ in 0..<10 { await Task.yield() }
            #expect(sent.withLock { $0 } <= read + 1)
        }
        #expect(read == 100)
    }

    @Test func whoeverStopsReadingEndsTheExchange() async throws {
        let event = try StreamEvent(json: JSONValue(parsing: status(.working)))
        let (ended, end) = AsyncStream.makeStream(of: Void.self)
        do {
            let events = A2AEvents { emit in
                defer { end.finish() }
                while true { try await emit(event) }
            }
            var iterator = events.makeAsyncIterator()
            #expect(try await iterator.next() == event)
        }
        for await _ in ended {}
    }

    @Test func aReaderThatIsCancelledReadsNoMore() async throws {
        let events = A2AEvents { _ in try await Task.sleep(for: .seconds(3600)) }
        let reader = Task { try await events.all().count }
        reader.cancel()
        #expect(try await reader.value == 0)
    }
}
