import Foundation
import GRPCCore
import NIOSSL
import PeerRPC
import Synchronization
import Testing

/// What the server under test trusts and how often it was asked.
final class Trust: Sendable {
    let accepted: Mutex<[[UInt8]]>
    let questions = Mutex(0)

    init(_ accepted: [[UInt8]]) { self.accepted = Mutex(accepted) }

    func verify(_ chain: [[UInt8]]) -> Bool {
        questions.withLock { $0 += 1 }
        return chain.first.map { leaf in accepted.withLock { $0.contains(leaf) } } ?? false
    }
}

/// What the server shows to new connections.
final class CurrentIdentity: Sendable {
    let value: Mutex<TestIdentity>

    init(_ value: TestIdentity) { self.value = Mutex(value) }
}

@Suite(.serialized) struct TLSServerTests {
    let serverIdentity: TestIdentity
    let alice: TestIdentity
    let mallory: TestIdentity
    let trust: Trust

    init() throws {
        serverIdentity = try TestIdentity("server")
        alice = try TestIdentity("alice")
        mallory = try TestIdentity("mallory")
        trust = Trust([alice.certificate])
    }

    private func server(
        limits: PeerServerLimits = .init(), context: (@Sendable () throws -> NIOSSLContext)? = nil,
        service: PeerService = PeerService()
    ) throws -> PeerServer {
        let fixed = try PeerServer.makeTLSContext(chain: [serverIdentity.certificate], privateKey: serverIdentity.key)
        return .tls(
            host: "127.0.0.1", port: 0, limits: limits, context: context ?? { fixed },
            verifyClient: { [trust] in trust.verify($0) }, services: [service])
    }

    @Test func `one port serves anonymous callers and callers with a certificate`() async throws {
        let service = PeerService()
        let server = try server(service: service)
        try await withServer(server) {
            let port = try #require(await server.listeningPort)
            #expect(port > 0)
            let anonymous = try await withTLSClient(port: port, server: serverIdentity) { try await $0.ask() }
            #expect(anonymous == "anonymous length=0")
            #expect(trust.questions.withLock { $0 } == 0)
            let known = try await withTLSClient(port: port, server: serverIdentity, identity: alice) {
                try await $0.ask()
            }
            #expect(known == "certificate 1 length=0")
            let peer = try #require(service.lastPeer.withLock { $0 })
            #expect(peer.certificateChain == [alice.certificate])
            #expect(peer.remoteAddress.hasPrefix("127.0.0.1:"))
        }
    }

    @Test func `a certificate that is not accepted gets no answer, and nobody else is harmed`() async throws {
        let server = try server()
        try await withServer(server) {
            let port = try #require(await server.listeningPort)
            let error = await #expect(throws: RPCError.self) {
                try await withTLSClient(port: port, server: serverIdentity, identity: mallory) {
                    try await $0.ask(waitForReady: false)
                }
            }
            #expect(error?.code == .unavailable)
            let answer = try await withTLSClient(port: port, server: serverIdentity, identity: alice) {
                try await $0.ask()
            }
            #expect(answer.hasPrefix("certificate"))
        }
    }

    @Test func `trust is asked anew for each connection`() async throws {
        let server = try server()
        try await withServer(server) {
            let port = try #require(await server.listeningPort)
            trust.accepted.withLock { $0 = [mallory.certificate] }
            let answer = try await withTLSClient(port: port, server: serverIdentity, identity: mallory) {
                try await $0.ask()
            }
            #expect(answer.hasPrefix("certificate"))
        }
    }

    @Test func `the server's own certificate can change while it runs`() async throws {
        let next = try TestIdentity("server")
        let current = CurrentIdentity(serverIdentity)
        let server = try server(context: {
            let now = current.value.withLock { $0 }
            return try PeerServer.makeTLSContext(chain: [now.certificate], privateKey: now.key)
        })
        try await withServer(server) {
            let port = try #require(await server.listeningPort)
            _ = try await withTLSClient(port: port, server: serverIdentity) { try await $0.ask() }
            current.value.withLock { $0 = next }
            _ = try await withTLSClient(port: port, server: next) { try await $0.ask() }
        }
    }

    @Test func `an identity that cannot be used is an error`() {
        #expect(throws: PeerServerError.self) {
            try PeerServer.makeTLSContext(chain: [[1, 2, 3]], privateKey: serverIdentity.key)
        }
        #expect(throws: PeerServerError.self) {
            try PeerServer.makeTLSContext(chain: [serverIdentity.certificate], privateKey: alice.key)
        }
    }

    @Test func `a resumed session is judged again`() async throws {
        let server = try server()
        try await withServer(server) {
            let port = try #require(await server.listeningPort)
            let directory = try TestDirectory()
            let session = directory.path + "/session.pem"
            let files = try alice.write(to: directory.path)

            let first = try OpenSSLClient(port: port, files: files, arguments: ["-sess_out", session])
            // The file is there before it is whole, and the client is killed next.
            #expect(
                await eventually {
                    (try? String(contentsOfFile: session, encoding: .utf8))?.contains("END SSL SESSION") == true
                })
            #expect(trust.questions.withLock { $0 } == 1)
            first.stop()

            let second = try OpenSSLClient(port: port, files: files, arguments: ["-sess_in", session])
            #expect(await eventually { trust.questions.withLock { $0 } == 2 })
            #expect(await eventually { second.output.contains("Reused, TLSv1.3") })
            #expect(second.isRunning)
            second.stop()
            #expect(await eventually { server.connectionCount == 0 })

            trust.accepted.withLock { $0 = [] }
            let third = try OpenSSLClient(port: port, files: files, arguments: ["-sess_in", session])
            // Its standard input stays open: only the server can have ended it.
            #expect(await eventually { !third.isRunning })
            #expect(trust.questions.withLock { $0 } == 3)
            #expect(await eventually { server.connectionCount == 0 })
        }
    }

    @Test(arguments: [["-tls1_2"], ["-alpn", "http/1.1"]])
    func `older TLS and other protocols are refused`(_ arguments: [String]) async throws {
        let server = try server()
        try await withServer(server) {
            let port = try #require(await server.listeningPort)
            let directory = try TestDirectory()
            let client = try OpenSSLClient(
                port: port, files: try alice.write(to: directory.path), arguments: arguments,
                protocolArguments: arguments.first == "-alpn" ? ["-tls1_3"] : ["-alpn", "h2"])
            #expect(await eventually { !client.isRunning })
            #expect(await eventually { server.connectionCount == 0 })
            _ = try await withTLSClient(port: port, server: serverIdentity) { try await $0.ask() }
        }
    }

    @Test func `a peer that never begins its handshake is closed`() async throws {
        let server = try server(limits: .with { $0.handshakeTimeout = .milliseconds(200) })
        try await withServer(server) {
            let port = try #require(await server.listeningPort)
            let descriptor = try connect(toPort: port)
            defer { close(descriptor) }
            #expect(await eventually { isAtEnd(descriptor) })
            #expect(await eventually { server.connectionCount == 0 })
        }
    }

    @Test func `peers that break off or talk nonsense do not end the server`() async throws {
        let server = try server()
        try await withServer(server) {
            let port = try #require(await server.listeningPort)
            let directory = try TestDirectory()
            let files = try alice.write(to: directory.path)
            for number in 0..<40 {
                let descriptor = try connect(toPort: port)
                if number.isMultiple(of: 2) { _ = write(descriptor, "GET / HTTP/1.1\r\n\r\n", 18) }
                if number.isMultiple(of: 4) {
                    var reset = linger(l_onoff: 1, l_linger: 0)
                    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &reset, socklen_t(MemoryLayout<linger>.size))
                }
                close(descriptor)
            }
            // Nonsense after a good handshake, from a peer that never answers close_notify.
            let rude = try OpenSSLClient(port: port, files: files, arguments: [])
            #expect(await eventually { server.connectionCount == 1 && rude.output.contains("TLSv1.3") })
            rude.send("this is not HTTP/2, and it goes on for longer than its preface is\r\n")
            rude.pause()
            try await Task.sleep(for: .seconds(6))
            _ = try await withTLSClient(port: port, server: serverIdentity) { try await $0.ask() }
            rude.stop()
            #expect(await eventually { server.connectionCount == 0 })
        }
    }
}
