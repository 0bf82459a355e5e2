import A2A
import AgentTasks
import HTTPTypes
import Hummingbird
import JOSE
import NIOCore
import SPIFFE
import Synchronization
import Testing

@testable import A2ATransport

@Suite("A receiver of push notifications", .timeLimit(.minutes(1)))
struct PushReceiverTests {
    private struct Failed: Error {}

    private let receiver = PushReceiver(
        token: "token", authorization: "Bearer abc", maximumBodySize: 2000, remembered: 3)
    private let status = StreamEvent.status(
        TaskStatusUpdate(
            taskID: "t-1", contextID: "c", status: TaskStatus(.working, timestamp: UnixTime(seconds: 1_700_000_000))))
    private let chunk = StreamEvent.artifact(
        TaskArtifactUpdate(
            taskID: "t-1", contextID: "c", artifact: Artifact(artifactID: "a", parts: [.text(".")]), append: true))

    private func request(
        _ body: [UInt8], key: String? = nil, method: HTTPRequest.Method = .post, _ change: [String: String?] = [:]
    ) throws -> Request {
        var headers: HTTPFields = [
            .contentType: "application/a2a+json", .authorization: "Bearer abc", .a2aNotificationToken: "token",
        ]
        headers[.idempotencyKey] = key
        for (name, value) in change { headers[try #require(HTTPField.Name(name))] = value }
        let head = HTTPRequest(
            method: method, scheme: "http", authority: "receiver", path: "/", headerFields: headers)
        return Request(head: head, body: RequestBody(buffer: ByteBuffer(bytes: body)))
    }

    @Test("hands on what its agent says")
    func accepted() async throws {
        for (event, taskID) in [(status, "t-1"), (chunk, "t-1")] {
            let handled = Mutex<[PushReceiver.Notification]>([])
            let response = await receiver.respond(to: try request(event.jsonBytes)) { notification in
                handled.withLock { $0.append(notification) }
            }
            #expect(response.status == .noContent)
            #expect(handled.withLock { $0 } == [PushReceiver.Notification(taskID: taskID, event: event)])
        }
    }

    @Test("refuses who does not know its secrets, what is too large and what is no event")
    func refused() async throws {
        let body = status.jsonBytes
        let cases: [(Request, HTTPResponse.Status)] = [
            (try request(body, method: .get), .methodNotAllowed),
            (try request(body, ["X-A2A-Notification-Token": nil]), .unauthorized),
            (try request(body, ["X-A2A-Notification-Token": ""]), .unauthorized),
            (try request(body, ["X-A2A-Notification-Token": "toke"]), .unauthorized),
            (try request(body, ["X-A2A-Notification-Token": "tokens"]), .unauthorized),
            (try request(body, ["Authorization": nil]), .unauthorized),
            (try request(body, ["Authorization": "bearer abc"]), .unauthorized),
            (try request(body, ["Authorization": "Bearer abcd"]), .unauthorized),
            (try request(body, ["Content-Type": "text/plain"]), .unsupportedMediaType),
            (try request(body, ["Content-Type": nil]), .unsupportedMediaType),
            (try request([UInt8](repeating: 0x20, count: 2001)), .contentTooLarge),
            (try request(Array("{".utf8)), .badRequest), (try request(Array("[]".utf8)), .badRequest),
            (try request(Array("{}".utf8)), .badRequest), (try request([]), .badRequest),
            (try request(Array(#"{"statusUpdate":7}"#.utf8)), .badRequest),
        ]
        for (request, status) in cases {
            let response = await receiver.respond(to: request) { _ in Issue.record("handed on") }
            #expect(response.status == status)
        }
    }

    @Test("needs no Authorization where the configuration has none")
    func tokenAlone() async throws {
        let receiver = PushReceiver(token: "token")
        let response = await receiver.respond(to: try request(status.jsonBytes, ["Authorization": nil])) { _ in }
        #expect(response.status == .noContent)
    }

    @Test("tells repetitions from events that look alike")
    func duplicates() async throws {
        let handled = Mutex(0)
        func post(_ event: StreamEvent, _ key: String?) async throws {
            let response = await receiver.respond(to: try request(event.jsonBytes, key: key)) { _ in
                handled.withLock { $0 += 1 }
            }
            #expect(response.status == .noContent)
        }
        try await post(chunk, "\"1\"")
        try await post(chunk, "\"1\"")
        #expect(handled.withLock { $0 } == 1)
        try await post(chunk, "\"2\"")
        #expect(handled.withLock { $0 } == 2)
        // Without a key, events without a time are never taken for the same.
        try await post(chunk, nil)
        try await post(chunk, nil)
        #expect(handled.withLock { $0 } == 4)
        try await post(status, nil)
        try await post(status, nil)
        #expect(handled.withLock { $0 } == 5)
        // As many are remembered as was said: the first has made room for the fourth.
        try await post(chunk, "\"3\"")
        try await post(chunk, "\"1\"")
        #expect(handled.withLock { $0 } == 7)
    }

    @Test("takes an event again that it could not handle, and not while it handles it")
    func faults() async throws {
        let request = { try self.request(self.chunk.jsonBytes, key: "\"1\"") }
        let failed = await receiver.respond(to: try request()) { _ in throw Failed() }
        #expect(failed.status == .internalServerError)
        let first = await receiver.respond(to: try request()) { _ in
            let second = await receiver.respond(to: try request()) { _ in Issue.record("handled twice at once") }
            #expect(second.status == .serviceUnavailable)
        }
        #expect(first.status == .noContent)
        let third = await receiver.respond(to: try request()) { _ in Issue.record("handled again") }
        #expect(third.status == .noContent)
    }

    @Test("forgets what failed without forgetting others")
    func ring() async throws {
        let handled = Mutex<[String]>([])
        func post(_ key: String, fails: Bool = false) async throws {
            _ = await receiver.respond(to: try request(chunk.jsonBytes, key: key)) { _ in
                if fails { throw Failed() }
                handled.withLock { $0.append(key) }
            }
        }
        // The ring of three has turned before one of it is forgotten.
        for key in ["1", "2", "3", "4"] { try await post(key) }
        try await post("5", fails: true)
        for key in ["3", "4", "5", "5", "3", "4"] { try await post(key) }
        #expect(handled.withLock { $0 } == ["1", "2", "3", "4", "5"])
    }

    @Test("understands our agents")
    func ourAgents() async throws {
        let config = PushNotificationConfig(
            url: "", token: "token", authentication: .init(scheme: "Bearer", credentials: "abc"))
        let wire = try await ScriptedReceiver.start([.status(500), .status(200)])
        try await RunningNotifier.with { running in
            var config = config
            config.url = wire.url
            let key = TaskKey(scope: TaskScope(owner: "alice", tenant: nil), id: "t-1")
            running.notifier.notify([PublishedEvent(chunk)], task: key, config: config)
            running.notifier.notify([PublishedEvent(chunk)], task: key, config: config)
            try await running.settled(2)
        }
        let handled = Mutex(0)
        for post in wire.posts {
            var headers: HTTPFields = [:]
            for (name, value) in post.head.headers { headers[try #require(HTTPField.Name(name))] = value }
            let head = HTTPRequest(
                method: .post, scheme: "http", authority: "receiver", path: "/", headerFields: headers)
            let request = Request(head: head, body: RequestBody(buffer: ByteBuffer(string: post.body)))
            let response = await receiver.respond(to: request) { _ in handled.withLock { $0 += 1 } }
            #expect(response.status == .noContent)
        }
        // The first was sent twice.
        #expect(wire.posts.count == 3)
        #expect(handled.withLock { $0 } == 2)
        try await wire.stop()
    }
}
