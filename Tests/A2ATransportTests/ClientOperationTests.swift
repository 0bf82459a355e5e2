import A2A
import JOSE
import Testing

@testable import A2ATransport

@Suite struct ClientOperationTests {
    private static let task = #"{"id":"t","status":{"state":"TASK_STATE_COMPLETED"}}"#
    private let send = SendMessageRequest(
        tenant: "not this one", message: Message(messageID: "m", role: .user, parts: [.text("hi")]))

    /// Every operation, with what it is in HTTP+JSON and what the agent answers.
    private static let operations: [(Operation, String, String)] = [
        (.sendMessage, "POST /message:send", #"{"task":\#(task)}"#),
        (.getTask, "GET /tasks/t%2F1?historyLength=2", task),
        (
            .listTasks,
            "GET /tasks?contextId=c%20d&status=TASK_STATE_WORKING&pageSize=3&pageToken=p%3D&historyLength=0"
                + "&statusTimestampAfter=2026-01-01T00%3A00%3A00.000Z&includeArtifacts=true",
            #"{"tasks":[\#(task)],"nextPageToken":"","pageSize":3,"totalSize":1}"#
        ),
        (.cancelTask, "POST /tasks/t%2F1:cancel", task),
        (.createPushNotificationConfig, "POST /tasks/t/pushNotificationConfigs", #"{"url":"https://h.example"}"#),
        (.getPushNotificationConfig, "GET /tasks/t/pushNotificationConfigs/%2E%2E", #"{"url":"https://h.example"}"#),
        (.listPushNotificationConfigs, "GET /tasks/t/pushNotificationConfigs?pageSize=4", "{}"),
        (.deletePushNotificationConfig, "DELETE /tasks/t/pushNotificationConfigs/1", ""),
        (.getExtendedAgentCard, "GET /extendedAgentCard", #"{"name":"A"}"#),
        (.sendStreamingMessage, "POST /message:stream", #"{"task":\#(task)}"#),
        (.subscribeToTask, "GET /tasks/t%2F1:subscribe", #"{"task":\#(task)}"#),
    ]

    private func run(_ operation: Operation, by client: A2AClient) async throws {
        switch operation {
        case .sendMessage:
            #expect(try await client.sendMessage(send) == .task(.init(id: "t", status: .init(.completed))))
        case .sendStreamingMessage: #expect(try await client.sendStreamingMessage(send).all().count == 1)
        case .getTask: #expect(try await client.getTask(.init(id: "t/1", historyLength: 2)).id == "t")
        case .listTasks:
            let list = ListTasksRequest(
                contextID: "c d", status: .working, pageSize: 3, pageToken: "p=", historyLength: 0,
                statusTimestampAfter: UnixTime(seconds: 1_767_225_600), includeArtifacts: true)
            #expect(try await client.listTasks(list).totalSize == 1)
        case .cancelTask: #expect(try await client.cancelTask(.init(id: "t/1")).status.state == .completed)
        case .subscribeToTask: #expect(try await client.subscribeToTask(.init(id: "t/1")).all().count == 1)
        case .createPushNotificationConfig:
            let config = PushNotificationConfig(taskID: "t", url: "https://h.example")
            #expect(try await client.createPushNotificationConfig(config).url == "https://h.example")
        case .getPushNotificationConfig:
            #expect(try await client.getPushNotificationConfig(.init(taskID: "t", id: "..")).url == "https://h.example")
        case .listPushNotificationConfigs:
            #expect(try await client.listPushNotificationConfigs(.init(taskID: "t", pageSize: 4)).configs == [])
        case .deletePushNotificationConfig:
            try await client.deletePushNotificationConfig(.init(taskID: "t", id: "1"))
        case .getExtendedAgentCard: #expect(try await client.getExtendedAgentCard().name == "A")
        }
    }

    @Test func everyOperationHasItsMethodAndPathUnderTheTenantOfTheInterface() async throws {
        #expect(Set(Self.operations.map(\.0)) == Set(Operation.allCases))
        for (operation, line, answer) in Self.operations {
            let agent = ScriptedAgent([operation.isStreaming ? .events([answer]) : .answer(200, answer)])
            try await run(
                operation, by: agent.client(tenant: "ten ant") { $0.extensions = ["https://e.example", "u"] })
            let request = try #require(agent.requests.first)
            let (method, path) = (line.prefix { $0 != " " }, line.drop { $0 != " " }.dropFirst())
            #expect(request.line == "\(method) https://agent.example/a2a/ten%20ant\(path)")
            #expect(request.header("a2a-version") == "1.0")
            #expect(request.header("a2a-extensions") == "https://e.example,u")
            // The path says it.
            #expect(request.json?.objectValue?["tenant"] == nil)
            #expect(request.header("content-type") == (method == "POST" ? "application/a2a+json" : nil))
        }
    }

    @Test func everyOperationIsAMethodOfJSONRPC() async throws {
        for (operation, _, answer) in Self.operations {
            let result = #"{"jsonrpc":"2.0","id":1,"result":\#(answer.isEmpty ? "null" : answer)}"#
            let agent = ScriptedAgent([operation.isStreaming ? .events([result]) : .answer(200, result)])
            try await run(operation, by: agent.client(.jsonRPC, tenant: "ten"))
            let request = try #require(agent.requests.first)
            #expect(request.line == "POST https://agent.example/a2a/")
            let body = try #require(request.json?.objectValue)
            #expect(body["method"]?.stringValue == operation.rawValue)
            #expect(body["params"]?.objectValue?["tenant"] == "ten")
            #expect(request.header("a2a-version") == "1.0")
        }
    }

    @Test func aTenantIsLeftOutWhereTheInterfaceHasNone() async throws {
        let agent = ScriptedAgent([.answer(200, #"{"task":\#(Self.task)}"#)])
        _ = try await agent.client().sendMessage(send)
        #expect(agent.requests.first?.line == "POST https://agent.example/a2a/message:send")
        #expect(agent.requests.first?.json?.objectValue?["tenant"] == nil)
    }

    private func refusal(_ binding: AgentInterface.ProtocolBinding, _ turn: ScriptedAgent.Turn) async -> A2AError? {
        let client = ScriptedAgent([turn]).client(binding) { $0.retries.attempts = 1 }
        do {
            _ = try await client.getTask(.init(id: "t"))
        } catch A2AClientError.refused(let error) {
            return error
        } catch {
            Issue.record(error)
        }
        return nil
    }

    @Test func refusalsOfEitherBindingAreKnownByTheirReason() async {
        for kind in A2AError.Kind.allCases where kind.isOfProtocol {
            let error = A2AError(kind, "no", metadata: ["a": "b"])
            let rest = await refusal(
                .httpJSON, .answer(kind.httpStatus, String(decoding: error.httpBody, as: UTF8.self)))
            #expect(rest == error)
            let rpc = JSONRPCResponse.failure(.number(1), error)
            #expect(await refusal(.jsonRPC, .answer(200, String(decoding: rpc, as: UTF8.self))) == error)
        }
        let violation = A2AError.invalid(FieldViolation("id", "is required"))
        let rest = await refusal(.httpJSON, .answer(400, String(decoding: violation.httpBody, as: UTF8.self)))
        #expect(rest?.violations == violation.violations)
        let rpc = JSONRPCResponse.failure(.number(1), violation)
        #expect(await refusal(.jsonRPC, .answer(200, String(decoding: rpc, as: UTF8.self))) == violation)
    }

    @Test func refusalsWithoutAReasonAreKnownByCodeOrStatus() async {
        for (code, kind) in [
            (-32001, A2AError.Kind.taskNotFound), (-32009, .versionNotSupported), (-32602, .invalidParams),
            (-32000, .internalError), (7, .internalError),
        ] {
            let body = #"{"jsonrpc":"2.0","id":null,"error":{"code":\#(code),"message":"no"}}"#
            #expect(await refusal(.jsonRPC, .answer(200, body))?.kind == kind)
        }
        for (status, kind) in [
            (400, A2AError.Kind.invalidRequest), (401, .unauthenticated), (403, .permissionDenied),
            (404, .methodNotFound),
            (429, .resourceExhausted), (500, .internalError), (502, .internalError), (503, .unavailable),
        ] {
            for binding in [AgentInterface.ProtocolBinding.jsonRPC, .httpJSON] {
                #expect(await refusal(binding, .answer(status, "<html>", contentType: "text/html"))?.kind == kind)
            }
        }
        let foreign = """
            {"error":{"code":404,"status":"NOT_FOUND","message":"no","details":[{"@type":
             "type.googleapis.com/google.rpc.ErrorInfo","reason":"TASK_NOT_FOUND","domain":"elsewhere.example"}]}}
            """
        #expect(await refusal(.httpJSON, .answer(404, foreign))?.kind == .methodNotFound)
        let challenge = await refusal(.httpJSON, .answer(401, "", headers: ["WWW-Authenticate": "Bearer a\u{1B}b"]))
        #expect(challenge?.metadata["www-authenticate"] == "Bearer a\u{FFFD}b")
    }

    @Test func whatIsNoAnswerIsToldAsThat() async {
        func failure(_ binding: AgentInterface.ProtocolBinding, _ turn: ScriptedAgent.Turn) async -> A2AClientError? {
            let client = ScriptedAgent([turn]).client(binding) { $0.maximumAnswerBytes = 100 }
            do {
                _ = try await client.getTask(.init(id: "t"))
                return nil
            } catch {
                return error as? A2AClientError
            }
        }
        for body in ["", "nothing", "[]", #"{"id":1}"#, #"{"status":{"state":"TASK_STATE_LATER"}}"#] {
            guard case .invalidAnswer = await failure(.httpJSON, .answer(200, body)) else {
                Issue.record("`\(body)` is taken for a task")
                continue
            }
        }
        for body in ["", "[]", "{}", #"{"id":2,"result":{}}"#, #"{"id":1,"result":[]}"#, #"{"id":1,"result":null}"#] {
            guard case .invalidAnswer = await failure(.jsonRPC, .answer(200, body)) else {
                Issue.record("`\(body)` is taken for an answer")
                continue
            }
        }
        guard case .invalidAnswer = await failure(.httpJSON, .answer(302, "{}")) else {
            Issue.record("a redirection is taken for an answer")
            return
        }
        let long = #"{"id":"\#(String(repeating: "t", count: 100))"}"#
        #expect(await failure(.httpJSON, .answer(200, long)) == .answerTooLarge(limit: 100))
        #expect(await failure(.jsonRPC, .answer(200, long)) == .answerTooLarge(limit: 100))
    }

    private func attempts(
        _ operation: Operation, _ turn: ScriptedAgent.Turn, _ change: (inout A2AClient.Settings) -> Void = { _ in }
    ) async throws -> Int {
        let answer = try #require(Self.operations.first { $0.0 == operation }).2
        let good: ScriptedAgent.Turn = operation.isStreaming ? .events([answer]) : .answer(200, answer)
        let agent = ScriptedAgent([turn, turn, good])
        do {
            try await run(operation, by: agent.client(.httpJSON, change))
        } catch is A2AClientError {}
        #expect(Set(agent.requests.map(\.body)).count == 1)
        return agent.requests.count
    }

    @Test func requestsGoAgainOnlyWhenThatDoesNoHarm() async throws {
        let unsafe: Set<Operation> = [.sendMessage, .sendStreamingMessage, .createPushNotificationConfig]
        for operation in Operation.allCases {
            #expect(try await attempts(operation, .failure(.unreachable("refused"))) == 3)
            #expect(try await attempts(operation, .answer(503, "")) == 3)
            let again = unsafe.contains(operation) ? 1 : 3
            #expect(try await attempts(operation, .failure(.noAnswer("reset"))) == again, "\(operation)")
            for turn in [ScriptedAgent.Turn.half(#"{"id":"#), .answer(500, ""), .answer(429, ""), .answer(400, "")] {
                #expect(try await attempts(operation, turn) == 1, "\(operation)")
            }
            #expect(try await attempts(operation, .failure(.unreachable("refused"))) { $0.retries.attempts = 2 } == 2)
        }
        for operation in [Operation.sendMessage, .sendStreamingMessage] {
            let count = try await attempts(operation, .failure(.noAnswer("reset"))) {
                $0.retries.repeatsUnansweredMessages = true
            }
            #expect(count == 3)
        }
    }

    @Test func pausesDoubleUpToTheLongestAndAreShortenedByChance() {
        let retries = A2ARetries(firstPause: .milliseconds(200), longestPause: .seconds(1))
        #expect(
            (0...4).map { retries.pause(afterFailure: $0, chance: 0) } == [0.2, 0.4, 0.8, 1, 1].map { .seconds($0) })
        #expect(retries.pause(afterFailure: .max, chance: 1) == .seconds(0.5))
    }

    @Test func anAnswerThatDoesNotComeIsGivenUp() async {
        struct Silent: A2AHTTPTransport {
            func send(_ request: A2AHTTPRequest) async throws -> A2AHTTPResponse {
                try await Task.sleep(for: .seconds(3600))
                throw A2AClientError.noAnswer("")
            }
        }
        var settings = A2AClient.Settings()
        settings.timeout = .milliseconds(1)
        settings.retries.attempts = 2
        let binding = HTTPJSONBinding(
            url: "https://agent.example", transport: Silent(),
            settings: BindingSettings(extensions: [], maximumAnswerBytes: 100))
        let client = A2AClient(
            interface: AgentInterface(url: "https://agent.example", protocolBinding: .httpJSON), binding: binding,
            settings: settings, clock: RetryClock(sleep: { _ in }, chance: { 0 }))
        await #expect(throws: A2AClientError.timedOut) { try await client.getTask(.init(id: "t")) }
    }
}
