import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import JOSE
import PeerRPC
import SPIFFE
import Synchronization
import Testing
import WorkloadAPI

/// Answers from a script.
final class ScriptedHandler: WorkloadAPIHandler {
    let contexts: Mutex<[WorkloadX509Context]>
    let ending: WorkloadAPIError?
    let peers = Mutex<[Int32]>([])
    let requests = Mutex<[(audience: [String], id: SPIFFEID?)]>([])
    let terminations = Mutex(0)
    let x509Streams = Mutex<[AsyncThrowingStream<WorkloadX509Context, any Error>.Continuation]>([])

    init(contexts: [WorkloadX509Context] = [], ending: WorkloadAPIError? = nil) {
        self.contexts = Mutex(contexts)
        self.ending = ending
    }

    func x509Contexts(
        for peer: ConnectionPeer
    ) async throws(WorkloadAPIError) -> AsyncThrowingStream<WorkloadX509Context, any Error> {
        peers.withLock { $0.append(peer.process?.pid ?? 0) }
        let contexts = contexts.withLock { $0 }
        if contexts.isEmpty, let ending { throw ending }
        return AsyncThrowingStream { continuation in
            for context in contexts { continuation.yield(context) }
            if let ending { continuation.finish(throwing: ending) }
            continuation.onTermination = { _ in self.terminations.withLock { $0 += 1 } }
            self.x509Streams.withLock { $0.append(continuation) }
        }
    }

    func x509Bundles(
        for peer: ConnectionPeer
    ) async throws(WorkloadAPIError) -> AsyncThrowingStream<WorkloadX509Bundles, any Error> {
        let bundles = contexts.withLock { $0.first?.federatedBundles ?? [:] }
        return AsyncThrowingStream { continuation in
            continuation.yield(WorkloadX509Bundles(bundles: bundles, revocationLists: [[7]]))
            continuation.finish()
        }
    }

    func jwtSVIDs(
        for peer: ConnectionPeer, audience: [String], id: SPIFFEID?
    ) async throws(WorkloadAPIError) -> [WorkloadJWTSVID] {
        requests.withLock { $0.append((audience, id)) }
        if let ending { throw ending }
        return contexts.withLock { $0.first?.svids ?? [] }
            .map { WorkloadJWTSVID(id: $0.id, token: "a.b.c", hint: $0.hint) }
    }

    func jwtBundles(
        for peer: ConnectionPeer
    ) async throws(WorkloadAPIError) -> AsyncThrowingStream<WorkloadJWTBundles, any Error> {
        let bundles = contexts.withLock { $0.first?.federatedBundles ?? [:] }
        return AsyncThrowingStream { continuation in
            continuation.yield(WorkloadJWTBundles(bundles: bundles))
            continuation.finish()
        }
    }

    func witSVIDs(
        for peer: ConnectionPeer, id: SPIFFEID?
    ) async throws(WorkloadAPIError) -> AsyncThrowingStream<WorkloadWITSVIDs, any Error> {
        throw .unimplemented("not offered")
    }

    func witBundles(
        for peer: ConnectionPeer
    ) async throws(WorkloadAPIError) -> AsyncThrowingStream<WorkloadWITBundles, any Error> {
        throw .unimplemented("not offered")
    }

    func validateJWTSVID(
        for peer: ConnectionPeer, token: String, audience: String
    ) async throws(WorkloadAPIError) -> WorkloadJWTValidation {
        if let ending { throw ending }
        guard let id = contexts.withLock({ $0.first?.svids.first?.id }) else { throw .unavailable("no script") }
        let claims = JSONObject([
            ("aud", .array([.string(audience)])), ("exp", .number(JSONNumber(1_800_000_000))),
            ("nested", .object(JSONObject([("yes", .bool(true)), ("none", .null)]))),
        ])
        return WorkloadJWTValidation(id: id, claims: claims)
    }
}

@Suite(.serialized) struct WorkloadAPITests {
    let path = "/tmp/workloadapi-\(UInt32.random(in: .min ... .max))/api.sock"
    let state: WorkloadX509Context

    init() throws {
        let id = try SPIFFEID("spiffe://example.org/agent")
        state = WorkloadX509Context(
            svids: [
                WorkloadX509SVID(id: id, chain: [1, 2], privateKey: [3], bundle: [4], hint: "internal"),
                WorkloadX509SVID(
                    id: try SPIFFEID("spiffe://example.org/other"), chain: [5], privateKey: [6], bundle: [4]),
            ],
            federatedBundles: [try TrustDomain("other.example"): [9, 9], try TrustDomain("third.example"): []],
            revocationLists: [[8]])
    }

    private func serving(
        _ handler: ScriptedHandler, _ body: (WorkloadAPIClient) async throws -> Void
    ) async throws {
        defer { try? FileManager.default.removeItem(atPath: (path as NSString).deletingLastPathComponent) }
        let server = PeerServer.unixSocket(
            path: path, access: .everyone, services: [WorkloadAPIService(handler), HealthService()],
            interceptors: [.apply(WorkloadHeaderInterceptor(), to: .all)])
        let client = WorkloadAPIClient(endpoint: .unix(path: path))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            try #require(await server.waitUntilListening())
            group.addTask { try await client.run() }
            do {
                try await body(client)
            } catch {
                group.cancelAll()
                throw error
            }
            client.shutDown()
            server.beginGracefulShutdown()
            try await group.waitForAll()
        }
    }

    @Test func `a state arrives as it was sent, at once`() async throws {
        let handler = ScriptedHandler(contexts: [state])
        try await serving(handler) { client in
            var states = client.streamX509Contexts().makeAsyncIterator()
            let first = try await states.next()
            #expect(first == state)
            #expect(handler.peers.withLock { $0 } == [getpid()])
        }
    }

    @Test func `equal states in a row are sent once`() async throws {
        let handler = ScriptedHandler(contexts: [state])
        try await serving(handler) { client in
            var states = client.streamX509Contexts().makeAsyncIterator()
            _ = try await states.next()
            var changed = state
            changed.svids.removeLast()
            let continuation = try #require(handler.x509Streams.withLock { $0.first })
            continuation.yield(state)
            continuation.yield(changed)
            continuation.finish(throwing: WorkloadAPIError.permissionDenied("no identity issued"))
            #expect(try await states.next() == changed)
            await #expect(throws: WorkloadAPIError.permissionDenied("no identity issued")) {
                try await states.next()
            }
        }
    }

    @Test func `the handler's stream ends when the workload goes`() async throws {
        let handler = ScriptedHandler(contexts: [state])
        try await serving(handler) { client in
            let task = Task {
                for try await _ in client.streamX509Contexts() {}
            }
            while handler.peers.withLock({ $0.isEmpty }) { try await Task.sleep(for: .milliseconds(5)) }
            task.cancel()
            _ = await task.result
            var isTerminated = false
            for _ in 0..<1000 where !isTerminated {
                isTerminated = handler.terminations.withLock { $0 } == 1
                try await Task.sleep(for: .milliseconds(5))
            }
            #expect(isTerminated)
        }
    }

    @Test func `bundles of both kinds arrive by trust domain`() async throws {
        try await serving(ScriptedHandler(contexts: [state])) { client in
            var x509 = client.streamX509Bundles().makeAsyncIterator()
            let expected = WorkloadX509Bundles(bundles: state.federatedBundles, revocationLists: [[7]])
            let x509States = [try await x509.next(), try await x509.next()]
            #expect(x509States == [expected, nil])
            var jwt = client.streamJWTBundles().makeAsyncIterator()
            let jwtState = try await jwt.next()
            #expect(jwtState == WorkloadJWTBundles(bundles: state.federatedBundles))
        }
    }

    @Test func `tokens come for every audience asked for`() async throws {
        let handler = ScriptedHandler(contexts: [state])
        try await serving(handler) { client in
            let svids = try await client.fetchJWTSVIDs(audience: ["a", "b"])
            #expect(svids.map(\.id) == state.svids.map(\.id))
            #expect(svids.map(\.hint) == ["internal", ""])
            let one = try await client.fetchJWTSVID(audience: ["c"], id: state.svids[1].id)
            #expect(one.token == "a.b.c")
            let requests = handler.requests.withLock { $0 }
            #expect(requests.map(\.audience) == [["a", "b"], ["c"]])
            #expect(requests.map(\.id) == [nil, state.svids[1].id])
        }
    }

    @Test func `claims arrive whole`() async throws {
        try await serving(ScriptedHandler(contexts: [state])) { client in
            let validation = try await client.validateJWTSVID("a.b.c", audience: "me")
            #expect(validation.id == state.svids[0].id)
            #expect(validation.claims["aud"] == .array([.string("me")]))
            #expect(validation.claims["exp"] == .number(JSONNumber(1_800_000_000)))
            #expect(validation.claims["nested"] == .object(JSONObject([("none", .null), ("yes", .bool(true))])))
        }
    }

    @Test(arguments: [[], [""], ["ok", ""], Array(repeating: "x", count: 65), [String(repeating: "x", count: 2049)]])
    func `audiences that cannot be are refused before the handler`(_ audience: [String]) async throws {
        let handler = ScriptedHandler(contexts: [state])
        try await serving(handler) { client in
            let error = await #expect(throws: WorkloadAPIError.self) {
                try await client.fetchJWTSVID(audience: audience)
            }
            guard case .invalidArgument = error else {
                Issue.record("wrong error")
                return
            }
            #expect(handler.requests.withLock { $0.isEmpty })
        }
    }

    @Test(arguments: [
        WorkloadAPIError.invalidArgument("bad"), .permissionDenied("no identity issued"),
        .unavailable("workload attestation failed"), .unimplemented("not here"),
    ])
    func `a handler's error reaches the client with its code`(_ error: WorkloadAPIError) async throws {
        try await serving(ScriptedHandler(ending: error)) { client in
            await #expect(throws: error) { try await client.fetchJWTSVID(audience: ["a"]) }
            await #expect(throws: error) { try await client.validateJWTSVID("a.b.c", audience: "a") }
            await #expect(throws: error) {
                for try await _ in client.streamX509Contexts() {}
            }
        }
    }

    @Test(arguments: [
        ([], RPCError.Code.invalidArgument), (["false"], .invalidArgument), (["TRUE"], .invalidArgument),
        (["true", "true"], .invalidArgument), (["true"], .unimplemented),
    ])
    func `the header is demanded exactly once`(_ values: [String], _ code: RPCError.Code) async throws {
        var metadata: Metadata = [:]
        for value in values { metadata.addString(value, forKey: WorkloadHeaderInterceptor.header) }
        let sent = metadata
        try await serving(ScriptedHandler(contexts: [state])) { _ in
            let transport = try HTTP2ClientTransport.Posix(
                target: .unixDomainSocket(path: path), transportSecurity: .plaintext)
            try await withGRPCClient(transport: transport) { grpc in
                let client = Workload_SpiffeWorkloadAPI.Client(wrapping: grpc)
                let error = await #expect(throws: RPCError.self) {
                    // The profile is not offered, so that the header alone decides between two codes.
                    try await client.fetchWITSVID(.init(), metadata: sent) { response in
                        for try await _ in response.messages {}
                    }
                }
                #expect(error?.code == code)
                // Other services on the socket go without it.
                _ = try await Grpc_Health_V1_Health.Client(wrapping: grpc).check(.init())
            }
        }
    }

    @Test func `without a server the client says so`() async throws {
        let client = WorkloadAPIClient(endpoint: .unix(path: path))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await client.run() }
            let error = await #expect(throws: WorkloadAPIError.self) { try await client.fetchJWTSVID(audience: ["a"]) }
            #expect(error?.isWorthRetrying == true)
            client.shutDown()
            try await group.waitForAll()
        }
    }

    @Test func `keys and tokens stay out of descriptions`() throws {
        let id = state.svids[0].id
        let secret: [UInt8] = Array("topsecret".utf8)
        let svid = WorkloadX509SVID(id: id, chain: [], privateKey: secret, bundle: [])
        let token = WorkloadJWTSVID(id: id, token: "topsecret")
        var dumped = "\(svid) \(token)"
        dump([svid], to: &dumped)
        dump([token], to: &dumped)
        #expect(!dumped.contains("topsecret"))
        #expect(!dumped.contains("116, 111"))
    }
}
