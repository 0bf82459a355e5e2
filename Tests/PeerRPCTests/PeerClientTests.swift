import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import NIOCore
import NIOHPACK
import NIOHTTP2
import Synchronization
import Testing

@testable import PeerRPC

/// Our client against our server, against grpc-swift's, and against servers that do not keep to the rules.
@Suite(.serialized) struct PeerClientTests {
    typealias PeerClient = GRPCClient<PeerClientTransport>

    let directory: TestDirectory
    var path: String { directory.path + "/run/api.sock" }
    /// Of servers that do not make their directory.
    var plainPath: String { directory.path + "/s" }

    init() throws { directory = try TestDirectory() }

    private func client(
        _ path: String, keepAlive: PeerClientSettings.KeepAlive? = nil, connectTimeout: Duration = .seconds(10)
    ) -> PeerClient {
        var settings = PeerClientSettings(
            target: .unixSocket(path: path), security: .plaintext,
            pauses: .init(first: .milliseconds(10), longest: .milliseconds(50)), keepAlive: keepAlive)
        settings.connectTimeout = connectTimeout
        return GRPCClient(transport: PeerClientTransport(settings))
    }

    private func with<Result: Sendable>(
        _ client: PeerClient, _ body: (PeerClient) async throws -> Result
    ) async throws -> Result {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await client.runConnections() }
            do {
                let result = try await body(client)
                client.beginGracefulShutdown()
                try await group.waitForAll()
                return result
            } catch {
                group.cancelAll()
                throw error
            }
        }
    }

    private func server(_ service: PeerService = PeerService(), limits: PeerServerLimits = .init()) -> PeerServer {
        .unixSocket(path: path, access: .everyone, limits: limits, services: [service])
    }

    // MARK: calls

    @Test func `a server on our transport answers`() async throws {
        try await withServer(server()) {
            let answer = try await with(client(path)) { try await $0.ask(message: [1, 2, 3]) }
            #expect(answer == "process \(getpid()) \(geteuid()) \(getegid()) true length=3")
        }
    }

    @Test func `a server on grpc-swift's transport answers, over TCP`() async throws {
        let transport = HTTP2ServerTransport.Posix(
            address: .ipv4(host: "127.0.0.1", port: 0), transportSecurity: .plaintext)
        try await withGRPCServer(transport: transport, services: [PeerService()]) { server in
            let address = try #require(try await server.listeningAddress?.ipv4)
            let settings = PeerClientSettings(
                target: .host("127.0.0.1", port: address.port), security: .plaintext,
                pauses: .init(first: .milliseconds(10), longest: .milliseconds(50)))
            try await with(GRPCClient(transport: PeerClientTransport(settings))) { client in
                #expect(try await client.ask(message: [1]) == "nobody length=1")
                let message = [UInt8](repeating: 7, count: 3_000_000)
                let echoed = try await client.unary(
                    request: ClientRequest(message: message), descriptor: PeerService.echo, serializer: BytesCoder(),
                    deserializer: BytesCoder(), options: .large
                ) { try $0.message }
                #expect(echoed == message)
            }
        }
    }

    @Test func `messages larger than every window come and go whole`() async throws {
        try await withServer(server()) {
            try await with(client(path)) { client in
                let message = (0..<4_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
                let echoed = try await client.unary(
                    request: ClientRequest(message: message), descriptor: PeerService.echo, serializer: BytesCoder(),
                    deserializer: BytesCoder(), options: .large
                ) { try $0.message }
                #expect(echoed == message)
            }
        }
    }

    @Test func `a stream in both directions keeps its order, also beside others`() async throws {
        try await withServer(server()) {
            try await with(client(path)) { client in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for stream in 0..<20 {
                        group.addTask {
                            let sent = (0..<200).map { [UInt8](repeating: UInt8(($0 + stream) & 0xff), count: 1000) }
                            let received = try await client.bidirectionalStreaming(
                                request: StreamingClientRequest { writer in
                                    for message in sent { try await writer.write(message) }
                                },
                                descriptor: PeerService.echo, serializer: BytesCoder(), deserializer: BytesCoder(),
                                options: .large
                            ) { response in try await response.messages.reduce(into: []) { $0.append($1) } }
                            #expect(received == sent)
                        }
                    }
                    try await group.waitForAll()
                }
            }
        }
    }

    @Test func `metadata goes and comes, text and bytes`() async throws {
        try await withServer(server()) {
            let text = try await with(client(path)) { client in
                try await client.ask(
                    PeerService.metadata, metadata: ["x-own": "kept", "x-own-bin": .binary([0, 255])])
            }
            let lines = text.split(separator: "\n").filter { !$0.hasPrefix("grpc-") }
            #expect(lines == ["x-own-bin=[0, 255]", "x-own=kept"])
        }
    }

    @Test func `a refusal arrives with its words while the client still sends`() async throws {
        try await withServer(server()) {
            try await with(client(path)) { client in
                let error = await #expect(throws: RPCError.self) {
                    try await client.bidirectionalStreaming(
                        request: StreamingClientRequest { writer in
                            while true { try await writer.write([UInt8](repeating: 1, count: 10_000)) }
                        },
                        descriptor: PeerService.refuse, serializer: BytesCoder(), deserializer: BytesCoder(),
                        options: .large
                    ) { response in for try await _ in response.messages {} }
                }
                #expect(error?.code == .failedPrecondition)
                #expect(error?.message == "100 % not: ü")
                let text = try await client.ask()
                #expect(text.hasPrefix("process"))
            }
        }
    }

    @Test func `a deadline ends the call on both sides`() async throws {
        let service = PeerService()
        try await withServer(server(service)) {
            try await with(client(path)) { client in
                var options = CallOptions.defaults
                options.timeout = .milliseconds(200)
                let error = await #expect(throws: RPCError.self) {
                    try await client.wait(options)
                }
                #expect(error?.code == .deadlineExceeded)
                #expect(await eventually { service.ended.withLock { $0 } == 1 })
            }
        }
    }

    @Test func `a stream that is left early, or cancelled, ends on the server`() async throws {
        let service = PeerService()
        try await withServer(server(service)) {
            try await with(client(path)) { client in
                for _ in 0..<300 {
                    try await client.serverStreaming(
                        request: ClientRequest(message: [UInt8]()), descriptor: PeerService.wait,
                        serializer: BytesCoder(), deserializer: BytesCoder(), options: .defaults
                    ) { for try await _ in $0.messages { break } }
                }
                let task = Task {
                    try await client.wait()
                }
                #expect(await eventually { service.begun.withLock { $0 } == 301 })
                task.cancel()
                _ = await task.result
                #expect(await eventually { service.ended.withLock { $0 } == 301 })
            }
        }
    }

    // MARK: connections

    @Test func `TLS shows both sides' certificates, and the client's judgement counts`() async throws {
        let (own, alice, other) = (try TestIdentity("server"), try TestIdentity("alice"), try TestIdentity("other"))
        let context = try PeerServer.makeTLSContext(chain: [own.certificate], privateKey: own.key)
        let server = PeerServer.tls(
            host: "127.0.0.1", port: 0, limits: .init(), context: { context },
            verifyClient: { $0.first == alice.certificate }, services: [PeerService()])
        try await withServer(server) {
            let port = try #require(await server.listeningPort)
            func ask(_ identity: TestIdentity?, trusting: TestIdentity) async throws -> String {
                let tls = try PeerClientSettings.makeTLSContext(
                    chain: identity.map { [$0.certificate] } ?? [], privateKey: identity?.key ?? [])
                let settings = PeerClientSettings(
                    target: .host("127.0.0.1", port: port),
                    security: .tls(tls) { $0.first == trusting.certificate },
                    pauses: .init(first: .milliseconds(10), longest: .milliseconds(50)))
                return try await with(GRPCClient(transport: PeerClientTransport(settings))) {
                    try await $0.ask(waitForReady: false)
                }
            }
            #expect(try await ask(alice, trusting: own) == "certificate 1 length=0")
            #expect(try await ask(nil, trusting: own) == "anonymous length=0")
            for (identity, trusted) in [(alice, other), (other, own)] {
                let error = await #expect(throws: RPCError.self) { try await ask(identity, trusting: trusted) }
                #expect(error?.code == .unavailable)
            }
        }
    }

    @Test func `without a server, calls that do not wait fail at once and with the reason, others wait`() async throws {
        try await with(client(path)) { client in
            let error = await #expect(throws: RPCError.self) { try await client.ask(waitForReady: false) }
            #expect(error?.code == .unavailable)
            #expect(error?.cause != nil)
            #expect(error?.message.contains("No such file or directory") == true)
            let answer = Task { try await client.ask() }
            let cancelled = Task { try await client.ask() }
            cancelled.cancel()
            await #expect(throws: (any Error).self) { try await cancelled.value }
            try await withServer(server()) {
                let text = try await answer.value
                #expect(text.hasPrefix("process"))
            }
        }
    }

    @Test func `a call made before the client runs waits for it`() async throws {
        try await withServer(server()) {
            let client = client(path)
            let answer = Task { try await client.ask() }
            try await Task.sleep(for: .milliseconds(20))
            let text = try await with(client) { _ in try await answer.value }
            #expect(text.hasPrefix("process"))
        }
    }

    @Test func `the end of a server ends the calls, and the next server gets one connection`() async throws {
        let limits = PeerServerLimits()
        let service = PeerService()
        try await with(client(path)) { client in
            try await withServer(server(service, limits: limits)) {
                let text = try await client.ask()
                #expect(text.hasPrefix("process"))
            }
            let next = server(service, limits: limits)
            try await withServer(next) {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<50 { group.addTask { _ = try await client.ask() } }
                    try await group.waitForAll()
                }
                #expect(boundSockets(path) == 2)
            }
        }
    }

    @Test func `a call that runs when the client shuts down ends well, and new ones are refused`() async throws {
        let service = PeerService()
        try await withServer(server(service)) {
            let client = client(path)
            let got = PeerService()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await client.runConnections() }
                let sent = AsyncStream.makeStream(of: [UInt8].self)
                group.addTask {
                    try await client.bidirectionalStreaming(
                        request: StreamingClientRequest { writer in
                            for await message in sent.stream { try await writer.write(message) }
                        },
                        descriptor: PeerService.echo, serializer: BytesCoder(), deserializer: BytesCoder(),
                        options: .defaults
                    ) { response in for try await _ in response.messages { got.begun.withLock { $0 += 1 } } }
                }
                sent.continuation.yield([1])
                #expect(await eventually { got.begun.withLock { $0 } == 1 })
                client.beginGracefulShutdown()
                await #expect(throws: (any Error).self) { try await client.ask() }
                sent.continuation.yield([2])
                #expect(await eventually { got.begun.withLock { $0 } == 2 })
                sent.continuation.finish()
                try await group.waitForAll()
            }
        }
    }

    @Test func `a cancelled client ends its calls at once`() async throws {
        let service = PeerService()
        try await withServer(server(service)) {
            let client = client(path)
            let run = Task { try await client.runConnections() }
            let call = Task {
                try await client.wait()
            }
            #expect(await eventually { service.begun.withLock { $0 } == 1 })
            let waiting = Task { try await self.client("/nowhere/at/all").ask() }
            run.cancel()
            _ = await run.result
            await #expect(throws: (any Error).self) { try await call.value }
            waiting.cancel()
            await #expect(throws: (any Error).self) { try await waiting.value }
            #expect(await eventually { service.ended.withLock { $0 } == 1 })
        }
    }

    @Test func `calls that were cancelled before they began do not outlive the connections`() async throws {
        let client = client(path)
        let connections = Task { try? await client.runConnections() }
        try await withServer(server()) {
            _ = try await client.ask()
        }
        // What connects from now on hangs.
        let silent = try listenSilently(at: path)
        defer { close(silent) }
        let ended = PeerService()
        for _ in 0..<200 {
            Task {
                withUnsafeCurrentTask { $0?.cancel() }
                _ = try? await client.ask(waitForReady: false)
                ended.ended.withLock { $0 += 1 }
            }
            try await Task.sleep(for: .milliseconds(1))
        }
        connections.cancel()
        await connections.value
        #expect(await eventually { ended.ended.withLock { $0 } == 200 })
    }

    // MARK: servers that do not keep to the rules

    private static let head: HPACKHeaders = [":status": "200", "content-type": "application/grpc"]
    private static let good: HPACKHeaders = ["grpc-status": "0"]

    static let answers: [(String, [HTTP2Frame.FramePayload], RPCError.Code?)] = [
        ("a good answer", [.headers(head), .message([1]), .headers(good, end: true)], nil),
        (
            "good after informational headers",
            [.headers([":status": "103"]), .headers(head), .message([1]), .headers(good, end: true)], nil
        ),
        (
            "a message in pieces",
            [.headers(head), .data([0, 0]), .data([0, 0, 2, 9]), .data([9]), .headers(good, end: true)], nil
        ),
        ("a status alone", [.headers([":status": "200", "grpc-status": "5"], end: true)], .notFound),
        ("HTTP 503", [.headers([":status": "503"], end: true)], .unavailable),
        ("HTTP 401 with a page", [.headers([":status": "401"]), .data([60], end: true)], .unauthenticated),
        ("HTTP 404", [.headers([":status": "404"], end: true)], .unimplemented),
        ("a page", [.headers([":status": "200", "content-type": "text/html"]), .data([60], end: true)], .unknown),
        ("no status", [.headers(head), .message([1]), .headers(["x": "1"], end: true)], .unknown),
        ("no trailers", [.headers(head), .data([], end: true)], .internalError),
        ("a status that is no number", [.headers(head), .headers(["grpc-status": "x"], end: true)], .unknown),
        ("a status that does not exist", [.headers(head), .headers(["grpc-status": "99"], end: true)], .unknown),
        ("half a message", [.headers(head), .data([0, 0, 0, 0, 9, 1]), .headers(good, end: true)], .internalError),
        ("a compressed message", [.headers(head), .message([1], flag: 1)], .internalError),
        (
            "an encoding nobody asked for",
            [.headers([":status": "200", "content-type": "application/grpc", "grpc-encoding": "gzip"])], .internalError
        ),
        ("too long a message", [.headers(head), .data([0, 0xff, 0xff, 0xff, 0xff])], .resourceExhausted),
        ("a reset", [.rstStream(.internalError)], .internalError),
        ("a refusal", [.rstStream(.refusedStream)], .unavailable),
        ("a reset after the beginning", [.headers(head), .message([1]), .rstStream(.cancel)], .cancelled),
        ("calm", [.rstStream(.enhanceYourCalm)], .resourceExhausted),
    ]

    @Test(arguments: answers.indices)
    func `any answer of a server is an answer or a failure`(_ index: Int) async throws {
        let (name, frames, code) = Self.answers[index]
        let server = try await ScriptedServer(plainPath, frames)
        try await with(client(plainPath)) { client in
            for _ in 0..<2 {
                do {
                    _ = try await client.ask()
                    #expect(code == nil, "\(name)")
                } catch let error as RPCError {
                    #expect(error.code == code, "\(name): \(error)")
                }
            }
        }
        await server.stop()
    }

    @Test(arguments: [
        Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8), [UInt8](repeating: 0xff, count: 64), [],
        // A SETTINGS frame of an impossible length.
        [0, 0, 5, 4, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5],
    ])
    func `what is no HTTP/2 server is unavailable`(_ greeting: [UInt8]) async throws {
        for closes in [true, false] where closes || !greeting.isEmpty {
            let server = try await ByteServer(plainPath, greeting: greeting, closes: closes)
            try await with(client(plainPath, connectTimeout: .seconds(1))) { client in
                let error = await #expect(throws: RPCError.self) { try await client.ask(waitForReady: false) }
                #expect(error?.code == .unavailable)
            }
            await server.stop()
        }
    }

    @Test func `a server that ends every connection is not run at`() async throws {
        // Its SETTINGS, so that the connection counts, and its end.
        let server = try await ByteServer(plainPath, greeting: [0, 0, 0, 4, 0, 0, 0, 0, 0], closes: true)
        try await with(client(plainPath)) { _ in try await Task.sleep(for: .seconds(1)) }
        // 10, 16, 26, 41, then 50 ms between two, a fifth more or less; half of 10 ms if each had been a good one.
        #expect((2...40).contains(server.connections))
        await server.stop()
    }

    @Test func `a server that never speaks is given up`() async throws {
        let server = try await ByteServer(plainPath, greeting: [])
        try await with(client(plainPath, connectTimeout: .milliseconds(200))) { client in
            let error = await #expect(throws: RPCError.self) { try await client.ask(waitForReady: false) }
            #expect(error?.code == .unavailable)
            #expect(error?.message.contains("no answer in time") == true)
        }
        await server.stop()
    }

    @Test func `a server that falls silent under a call is given up, one that answers pings is not`() async throws {
        let keepAlive = PeerClientSettings.KeepAlive(interval: .milliseconds(50), patience: .seconds(1))
        // Its SETTINGS, and never a word again.
        let silent = try await ByteServer(plainPath, greeting: [0, 0, 0, 4, 0, 0, 0, 0, 0])
        try await with(client(plainPath, keepAlive: keepAlive)) { client in
            let error = await #expect(throws: RPCError.self) { try await client.ask() }
            #expect(error?.code == .unavailable)
        }
        await silent.stop()
        let service = PeerService()
        try await withServer(server(service)) {
            try await with(client(path, keepAlive: keepAlive)) { client in
                var options = CallOptions.defaults
                options.timeout = .milliseconds(2500)
                let error = await #expect(throws: RPCError.self) {
                    try await client.wait(options)
                }
                #expect(error?.code == .deadlineExceeded)
            }
        }
    }

    @Test func `GOAWAY lets calls end and moves new ones to another connection`() async throws {
        let service = PeerService()
        var limits = PeerServerLimits()
        limits.maximumAge = .milliseconds(300)
        limits.grace = .seconds(20)
        try await withServer(server(service, limits: limits)) {
            try await with(client(path)) { client in
                for _ in 0..<150 {
                    let text = try await client.ask()
                    #expect(text.hasPrefix("process"))
                    try await Task.sleep(for: .milliseconds(5))
                }
            }
        }
    }

    @Test func `pauses grow to the longest, and not beyond`() {
        let pauses = PeerClientSettings.Pauses(first: .milliseconds(100), longest: .seconds(5))
        for (failures, nominal) in [(0, 100.0), (1, 160), (2, 256), (8, 4295), (9, 5000), (100_000, 5000)] {
            let pause = Double(pauses.pause(afterFailure: failures).nanoseconds) / 1_000_000
            #expect(pause >= nominal * 0.79 && pause <= nominal * 1.21)
        }
        #expect(pauses.pauseAfterConnection() <= .milliseconds(100))
    }

    @Test(arguments: [("a%20b", "a b"), ("100%", "100%"), ("%zz%41", "%zzA"), ("%C3%BC", "ü"), ("plain", "plain")])
    func `words of a status are decoded, or stand for themselves`(_ sent: String, _ meant: String) {
        #expect(ResponseHead.percentDecoded(sent) == meant)
    }
}

extension GRPCClient {
    /// A stream that the server never ends by itself.
    fileprivate func wait(_ options: CallOptions = .defaults) async throws {
        try await serverStreaming(
            request: ClientRequest(message: [UInt8]()), descriptor: PeerService.wait, serializer: BytesCoder(),
            deserializer: BytesCoder(), options: options
        ) { for try await _ in $0.messages {} }
    }
}
