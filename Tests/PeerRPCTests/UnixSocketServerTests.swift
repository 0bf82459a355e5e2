import Foundation
import GRPCCore
import PeerRPC
import Testing

@Suite(.serialized) struct UnixSocketServerTests {
    let directory: TestDirectory
    var path: String { directory.path + "/run/api.sock" }

    init() throws { directory = try TestDirectory() }

    private func server(
        _ service: PeerService = PeerService(), access: SocketAccess = .everyone, limits: PeerServerLimits = .init()
    ) -> PeerServer {
        .unixSocket(path: path, access: access, limits: limits, services: [service])
    }

    @Test func `handlers know the process that connected`() async throws {
        let service = PeerService()
        try await withServer(server(service)) {
            let answer = try await withUnixClient(path) { try await $0.ask() }
            #expect(answer == "process \(getpid()) \(geteuid()) \(getegid()) true length=0")
            let process = try #require(service.lastPeer.withLock { $0 }?.process)
            let handle = try #require(process.handle)
            #expect(handle.isRunning)
            let stat = try String(contentsOfFile: "/proc/self/stat", encoding: .utf8)
            let fields = stat[stat.lastIndex(of: ")")!...].split(separator: " ")
            #expect(handle.startTime == UInt64(fields[20]))
        }
    }

    @Test func `a handler sees the header fields of its caller and no others`() async throws {
        try await withServer(server()) {
            let text = try await withUnixClient(path) { client in
                try await client.ask(PeerService.metadata, metadata: ["x-own": "kept"])
            }
            let names = text.split(separator: "\n").map { String($0.prefix(while: { $0 != "=" })) }
            #expect(names.filter { !$0.hasPrefix("grpc-") } == ["x-own"])
        }
    }

    @Test func `messages larger than every window come and go whole`() async throws {
        try await withServer(server()) {
            try await withUnixClient(path) { client in
                let message = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
                let echoed = try await client.unary(
                    request: ClientRequest(message: message), descriptor: PeerService.echo, serializer: BytesCoder(),
                    deserializer: BytesCoder(), options: .large
                ) { try $0.message }
                #expect(echoed == message)
            }
        }
    }

    @Test func `a stream in both directions keeps its order under load`() async throws {
        try await withServer(server()) {
            try await withUnixClient(path) { client in
                let sent = (0..<2000).map { number in [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 1000)
                }
                let received = try await client.bidirectionalStreaming(
                    request: StreamingClientRequest { writer in for message in sent { try await writer.write(message) }
                    },
                    descriptor: PeerService.echo, serializer: BytesCoder(), deserializer: BytesCoder(),
                    options: .large
                ) { response in
                    var received: [[UInt8]] = []
                    for try await message in response.messages { received.append(message) }
                    return received
                }
                #expect(received == sent)
            }
        }
    }

    @Test func `a call that ends before its request does so with its status`() async throws {
        try await withServer(server()) {
            try await withUnixClient(path) { client in
                let error = await #expect(throws: RPCError.self) {
                    try await client.bidirectionalStreaming(
                        request: StreamingClientRequest { writer in
                            try await writer.write([1])
                            try await Task.sleep(for: .seconds(600))
                        },
                        descriptor: PeerService.refuse, serializer: BytesCoder(), deserializer: BytesCoder(),
                        options: .large
                    ) { response in for try await _ in response.messages {} }
                }
                #expect(error?.code == .failedPrecondition)
                #expect(error?.message == "100 % not: ü")
            }
        }
    }

    @Test func `a call that gives up ends although its reader waits for the client`() async throws {
        try await withServer(server()) {
            try await withUnixClient(path) { client in
                let error = await #expect(throws: RPCError.self) {
                    try await client.bidirectionalStreaming(
                        request: StreamingClientRequest { _ in try await Task.sleep(for: .seconds(600)) },
                        descriptor: PeerService.giveUp, serializer: BytesCoder(), deserializer: BytesCoder(),
                        options: .large
                    ) { response in for try await _ in response.messages {} }
                }
                #expect(error?.code == .aborted)
            }
        }
    }

    @Test func `a method that is not there is unimplemented`() async throws {
        try await withServer(server()) {
            let method = MethodDescriptor(fullyQualifiedService: "test.Peer", method: "Nothing")
            try await withUnixClient(path) { client in
                let error = await #expect(throws: RPCError.self) { try await client.ask(method) }
                #expect(error?.code == .unimplemented)
            }
        }
    }

    @Test(arguments: [(SocketAccess.owner, 0o700, 0o600), (.everyone, 0o755, 0o777)])
    func `directory and socket get the permissions of their kind`(
        _ access: SocketAccess, _ directoryMode: Int, _ socketMode: Int
    ) async throws {
        try await withServer(server(access: access)) {
            let modes = try [mode(directory.path + "/run"), mode(path)]
            #expect(modes == [directoryMode, socketMode])
        }
    }

    @Test func `the socket is gone after a shutdown, and a second server takes its place`() async throws {
        try await withServer(server()) {}
        #expect(!FileManager.default.fileExists(atPath: path))
        try await withServer(server()) {
            _ = try await withUnixClient(path) { try await $0.ask() }
        }
    }

    @Test func `a socket that a dead server left behind is replaced`() async throws {
        try FileManager.default.createDirectory(atPath: directory.path + "/run", withIntermediateDirectories: false)
        try leaveDeadSocket(at: path)
        try await withServer(server()) {
            _ = try await withUnixClient(path) { try await $0.ask() }
        }
    }

    @Test func `a living server keeps its socket`() async throws {
        try await withServer(server()) {
            await #expect(throws: SocketError.inUse(path)) { try await server().run() }
            _ = try await withUnixClient(path) { try await $0.ask() }
        }
    }

    @Test func `a file in the socket's place stays`() async throws {
        try FileManager.default.createDirectory(atPath: directory.path + "/run", withIntermediateDirectories: false)
        try Data("precious".utf8).write(to: URL(fileURLWithPath: path))
        await #expect(throws: SocketError.notASocket(path)) { try await server().run() }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "precious")
    }

    @Test(arguments: [0o770, 0o707, 0o777, 0o1777])
    func `a directory that others can write to is refused`(_ permissions: Int) async throws {
        let run = directory.path + "/run"
        try FileManager.default.createDirectory(atPath: run, withIntermediateDirectories: false)
        chmod(run, mode_t(permissions))
        await #expect(throws: SocketError.directoryWritableByOthers(run)) { try await server().run() }
    }

    @Test(.enabled(if: geteuid() == 0)) func `a directory of another user is refused`() async throws {
        let run = directory.path + "/run"
        try FileManager.default.createDirectory(atPath: run, withIntermediateDirectories: false)
        chown(run, 65534, 65534)
        await #expect(throws: SocketError.directoryOwnedByAnother(run, uid: 65534)) { try await server().run() }
    }

    @Test(arguments: ["relative/api.sock", "/", "/tmp/x/"])
    func `a path that names no socket is refused`(_ path: String) async {
        let server = PeerServer.unixSocket(path: path, access: .owner, services: [PeerService()])
        await #expect(throws: SocketError.pathNotAbsolute(path)) { try await server.run() }
    }

    @Test func `a path that does not fit is refused`() async {
        let path = "/tmp/" + String(repeating: "x", count: 103)
        let server = PeerServer.unixSocket(path: path, access: .owner, services: [PeerService()])
        await #expect(throws: SocketError.pathTooLong(path)) { try await server.run() }
    }

    @Test func `too long a message ends its call only`() async throws {
        try await withServer(server(limits: .with { $0.maximumRequestBytes = 1 << 20 })) {
            try await withUnixClient(path) { client in
                let error = await #expect(throws: RPCError.self) {
                    try await client.ask(message: [UInt8](repeating: 0, count: (1 << 20) + 1))
                }
                #expect(error?.code == .resourceExhausted)
                let answer = try await client.ask(message: [UInt8](repeating: 0, count: 1 << 20))
                #expect(answer.contains("length=1048576"))
            }
        }
    }

    @Test func `too many header fields end their call only`() async throws {
        try await withServer(server(limits: .with { $0.maximumHeaderFields = 20 })) {
            try await withUnixClient(path) { client in
                var metadata: Metadata = [:]
                for number in 0..<30 { metadata.addString("v", forKey: "x-field-\(number)") }
                let error = await #expect(throws: RPCError.self) { try await client.ask(metadata: metadata) }
                #expect(error?.code == .resourceExhausted)
                _ = try await client.ask()
            }
        }
    }

    @Test func `a connection too many is closed, and there is room again after others left`() async throws {
        let server = server(limits: .with { $0.maximumConnections = 2 })
        try await withServer(server) {
            let first = try connect(to: path)
            let second = try connect(to: path)
            #expect(await eventually { server.connectionCount == 2 })
            let third = try connect(to: path)
            #expect(await eventually { isAtEnd(third) })
            for descriptor in [first, second, third] { close(descriptor) }
            #expect(await eventually { server.connectionCount == 0 })
            _ = try await withUnixClient(path) { try await $0.ask() }
        }
    }

    @Test func `one user cannot take all connections`() async throws {
        let server = server(limits: .with { $0.maximumConnectionsPerSource = 1 })
        try await withServer(server) {
            let first = try connect(to: path)
            #expect(await eventually { server.connectionCount == 1 })
            let second = try connect(to: path)
            #expect(await eventually { isAtEnd(second) })
            #expect(!isAtEnd(first))
            for descriptor in [first, second] { close(descriptor) }
            #expect(await eventually { server.connectionCount == 0 })
            _ = try await withUnixClient(path) { try await $0.ask() }
        }
    }

    @Test func `connections that come and go leave no descriptor behind`() async throws {
        let service = PeerService()
        let server = server(service)
        try await withServer(server) {
            let path = path
            for _ in 0..<50 {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<10 {
                        group.addTask {
                            if number.isMultiple(of: 2) {
                                _ = try await withUnixClient(path) { try await $0.ask() }
                            } else {
                                // Some leave without a word, some talk nonsense.
                                let descriptor = try connect(to: path)
                                if number > 4 { _ = write(descriptor, "nonsense\r\n\r\nnonsense", 20) }
                                close(descriptor)
                            }
                        }
                    }
                    try await group.waitForAll()
                }
            }
            #expect(await eventually { server.connectionCount == 0 })
            // Only the listener: other tests of this process have descriptors of their own.
            #expect(await eventually { boundSockets(path) == 1 })
            service.lastPeer.withLock { $0 = nil }
            let handles = service.handles.withLock { $0 }
            #expect(handles.count == 250)
            // Each one's end closes its descriptors.
            #expect(await eventually { handles.allSatisfy { $0.handle == nil } })
            let answer = try await withUnixClient(path) { try await $0.ask() }
            #expect(answer.hasPrefix("process"))
        }
    }

    @Test func `a long stream ends when its client goes`() async throws {
        let service = PeerService()
        try await withServer(server(service)) {
            try await withUnixClient(path) { client in
                try await client.serverStreaming(
                    request: ClientRequest(message: []), descriptor: PeerService.wait, serializer: BytesCoder(),
                    deserializer: BytesCoder(), options: .defaults
                ) { response in
                    for try await message in response.messages {
                        #expect(String(decoding: message, as: UTF8.self).hasPrefix("process \(getpid())"))
                        break
                    }
                }
            }
            #expect(service.begun.withLock { $0 } == 1)
            #expect(await eventually { service.ended.withLock { $0 } == 1 })
        }
    }

    @Test func `a shutdown ends long streams with Unavailable`() async throws {
        let service = PeerService()
        let server = server(service)
        let path = path
        try await withServer(server) {
            try await withUnixClient(path) { client in
                let error = await #expect(throws: RPCError.self) {
                    try await client.serverStreaming(
                        request: ClientRequest(message: []), descriptor: PeerService.wait, serializer: BytesCoder(),
                        deserializer: BytesCoder(), options: .defaults
                    ) { response in
                        for try await _ in response.messages { server.beginGracefulShutdown() }
                    }
                }
                #expect(error?.code == .unavailable)
            }
        }
        #expect(service.ended.withLock { $0 } == 1)
    }

    @Test func `a server runs once, and a shutdown before the start counts`() async throws {
        let server = server()
        server.beginGracefulShutdown()
        try await server.run()
        await #expect(throws: PeerServerError.alreadyRan) { try await server.run() }
    }

    @Test func `health tells and pushes the state that was set`() async throws {
        let health = HealthService(services: ["a"])
        let server = PeerServer.unixSocket(path: path, access: .owner, services: [health])
        try await withServer(server) {
            try await withUnixClient(path) { grpc in
                let client = Grpc_Health_V1_Health.Client(wrapping: grpc)
                #expect(try await client.check(.init()).status == .notServing)
                health.setAll(.serving)
                #expect(try await client.check(.with { $0.service = "a" }).status == .serving)
                #expect(try await client.list(.init()).statuses.count == 2)
                let error = await #expect(throws: RPCError.self) {
                    try await client.check(.with { $0.service = "b" })
                }
                #expect(error?.code == .notFound)
                let seen = try await client.watch(.with { $0.service = "b" }) { response in
                    var seen: [Grpc_Health_V1_HealthCheckResponse.ServingStatus] = []
                    for try await message in response.messages {
                        seen.append(message.status)
                        if seen.count == 1 { health.set(.serving, for: "b") }
                        if seen.count == 2 { break }
                    }
                    return seen
                }
                #expect(seen == [.serviceUnknown, .serving])
            }
        }
    }

    private func mode(_ path: String) throws -> Int {
        var status = stat()
        try #require(lstat(path, &status) == 0)
        return Int(status.st_mode & 0o7777)
    }
}
