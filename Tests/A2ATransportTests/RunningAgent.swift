import A2A
import AgentShieldTesting
import AgentTasks
import HTTPTypes
import Hummingbird
import JOSE
import NIOCore
import NIOHTTP1
import NIOPosix
import SPIFFE
import Synchronization

@testable import A2ATransport

/// An agent on loopback that does what a message's text says, with its store in memory.
struct RunningAgent: Sendable {
    let port: Int

    private struct Handler: AgentHandler {
        func handle(_ turn: AgentTurn) async throws {
            switch turn.message.text {
            case "reply": try await turn.reply("hello")
            case "ask": try await turn.requireInput("what?")
            case "fail": try await turn.fail("no")
            case "data":
                try await turn.artifact(Artifact(artifactID: "d", parts: [.data(["a": 1]), .data([1, 2])]))
                try await turn.complete("done")
            default:
                try await turn.update(.working, "thinking")
                try await turn.chunk(
                    Artifact(artifactID: "a", parts: [.text("one")]), append: false, lastChunk: false)
                try await turn.chunk(
                    Artifact(artifactID: "a", parts: [Part(.raw([0, 1, 2]), filename: "f", mediaType: "image/png")]),
                    append: true, lastChunk: true)
                try await turn.complete("done")
            }
        }
    }

    private struct NoNotifications: PushNotifying {
        func check(_ config: PushNotificationConfig) async throws(A2AError) {}
        func notify(_ events: [PublishedEvent], task: TaskKey, config: PushNotificationConfig) {}
    }

    static func with(
        settings change: (inout A2AHTTPResponder<BasicRequestContext>.Settings) -> Void = { _ in },
        _ body: @escaping @Sendable (RunningAgent) async throws -> Void
    ) async throws {
        let started = AsyncStream<Int>.makeStream()
        let port = Mutex(0)
        let card: @Sendable () -> [UInt8] = {
            let url = "http://127.0.0.1:\(port.withLock { $0 })/"
            return AgentCard(
                name: "test", description: "an agent of tests", version: "1",
                supportedInterfaces: [
                    AgentInterface(url: url, protocolBinding: .jsonRPC),
                    AgentInterface(url: url, protocolBinding: .jsonRPC, protocolVersion: "0.3"),
                ],
                capabilities: AgentCapabilities(streaming: true, pushNotifications: true, extendedAgentCard: true),
                securitySchemes: ["mtls": .mutualTLS(.init(description: "an SVID"))],
                securityRequirements: [SecurityRequirement(["mtls": []])],
                skills: [AgentSkill(id: "s", name: "s", description: "d", tags: ["t"])]
            ).jsonBytes
        }
        var settings = A2AHTTPResponder<BasicRequestContext>.Settings()
        change(&settings)
        let clock = Mutex<Int64>(1_700_000_000_000)
        let service = TaskService(
            handler: Handler(), store: InMemoryTaskStore(), settings: TaskServiceSettings(rules: CallRules(.anybody)),
            push: NoNotifications(), extendedCard: { _ in card() },
            now: {
                clock.withLock { time in
                    time += 1
                    return UnixTime(milliseconds: time)
                }
            }, report: { _ in })
        let responder = A2AHTTPResponder<BasicRequestContext>(
            service: service, card: { try? PublishedCard.forOldPeers(json: card()) }, settings: settings,
            authenticate: { (_, _) throws(A2AHTTPResponder<BasicRequestContext>.Refusal) in
                A2ACaller(method: .mutualTLS, name: "spiffe://example.org/alice")
            })
        let application = Application(
            responder: responder, configuration: .init(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { channel in started.continuation.yield(channel.localAddress?.port ?? 0) })
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await application.run() }
            for await number in started.stream {
                port.withLock { $0 = number }
                try await body(RunningAgent(port: number))
                break
            }
            group.cancelAll()
        }
    }

    /// The body of the answer to one request, read to the end of the connection.
    func send(
        _ method: HTTPMethod = .POST, _ path: String = "/", _ body: String = "", headers: [String: String] = [:]
    ) async throws -> (head: HTTPResponseHead, body: String) {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let answer = loop.makePromise(of: (HTTPResponseHead, String).self)
        var fields: HTTPHeaders = [
            "host": "127.0.0.1", "connection": "close", "content-type": "application/json",
            "content-length": String(body.utf8.count),
        ]
        for (name, value) in headers { fields.add(name: name, value: value) }
        let head = HTTPRequestHead(version: .http1_1, method: method, uri: path, headers: fields)
        let channel = try await ClientBootstrap(group: loop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    try channel.pipeline.syncOperations.addHandler(Collector(head, body, answer))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        defer { channel.close(promise: nil) }
        return try await answer.futureResult.get()
    }

    /// The answer of a method of JSON-RPC.
    func call(
        _ method: String, _ params: String, headers: [String: String] = [:]
    ) async throws -> (result: JSONValue?, code: Int64?) {
        let body = #"{"jsonrpc":"2.0","id":"7","method":"\#(method)","params":\#(params)}"#
        let answer = try JSONValue(parsing: Array(try await send(.POST, "/", body, headers: headers).body.utf8))
        return (answer.objectValue?["result"], answer.objectValue?["error"]?.objectValue?["code"]?.numberValue?.int64)
    }

    /// The results of the events of a stream.
    func stream(_ method: String, _ params: String) async throws -> [JSONObject] {
        let body = #"{"jsonrpc":"2.0","id":"7","method":"\#(method)","params":\#(params)}"#
        return try await send(.POST, "/", body).body.split(separator: "\n").compactMap { line in
            guard line.hasPrefix("data: ") else { return nil }
            return try JSONValue(parsing: Array(line.dropFirst(6).utf8)).objectValue?["result"]?.objectValue
        }
    }

    private final class Collector: ChannelInboundHandler {
        typealias InboundIn = HTTPClientResponsePart
        typealias OutboundOut = HTTPClientRequestPart
        private let request: HTTPRequestHead
        private let content: String
        private let answer: EventLoopPromise<(HTTPResponseHead, String)>
        private var head: HTTPResponseHead?
        private var body = ""

        init(_ request: HTTPRequestHead, _ content: String, _ answer: EventLoopPromise<(HTTPResponseHead, String)>) {
            self.request = request
            self.content = content
            self.answer = answer
        }

        func channelActive(context: ChannelHandlerContext) {
            context.write(wrapOutboundOut(.head(request)), promise: nil)
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: content)))), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): self.head = head
            case .body(let part): body += String(buffer: part)
            case .end: if let head { answer.succeed((head, body)) }
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { answer.fail(error) }
        func channelInactive(context: ChannelHandlerContext) { answer.fail(ChannelError.eof) }
    }
}
