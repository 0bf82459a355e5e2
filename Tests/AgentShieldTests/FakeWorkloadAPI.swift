import AgentShield
import AgentShieldTesting
import Foundation
import JOSE
import PeerRPC
import SPIFFE
import Synchronization
import WorkloadAPI

/// A Workload API on a Unix socket that says what the test tells it.
final class FakeWorkloadAPI: WorkloadAPIHandler, RevocationWatchHandler {
    private struct State {
        var answer: Result<WorkloadX509Context, WorkloadAPIError> = .failure(.unavailable("not yet"))
        var streams: [Int: AsyncThrowingStream<WorkloadX509Context, any Error>.Continuation] = [:]
        var opened = 0
        var tokens: [WorkloadJWTSVID] = []
        var tokenFailure: WorkloadAPIError?
        var tokenFetches = 0
        var revocations: WorkloadRevocations?
        var jwtBundles: WorkloadJWTBundles?
        var jwtStreams: [AsyncThrowingStream<WorkloadJWTBundles, any Error>.Continuation] = []
        var wits: Result<WorkloadWITSVIDs, WorkloadAPIError> = .failure(.unimplemented("not offered"))
        var witStreams: [AsyncThrowingStream<WorkloadWITSVIDs, any Error>.Continuation] = []
        var witBundles: WorkloadWITBundles?
        var witBundleStreams: [AsyncThrowingStream<WorkloadWITBundles, any Error>.Continuation] = []
        var watches: [AsyncThrowingStream<WorkloadRevocations, any Error>.Continuation] = []
    }

    let path = "/tmp/agentshield-\(UInt32.random(in: .min ... .max))/api.sock"
    private let state = Mutex(State())

    deinit { try? FileManager.default.removeItem(atPath: (path as NSString).deletingLastPathComponent) }

    /// How many streams have been asked for.
    var opened: Int { state.withLock { $0.opened } }
    /// How many tokens have been asked for.
    var tokenFetches: Int { state.withLock { $0.tokenFetches } }

    func push(_ svids: [X509SVID], hints: [String] = [], bundle: X509Bundle, federated: [X509Bundle] = []) {
        let context = WorkloadX509Context(
            svids: svids.enumerated().map { index, svid in
                WorkloadX509SVID(
                    id: svid.id, chain: svid.chainConcatenated, privateKey: svid.pkcs8, bundle: bundle.derConcatenated,
                    hint: index < hints.count ? hints[index] : "")
            },
            federatedBundles: Dictionary(uniqueKeysWithValues: federated.map { ($0.trustDomain, $0.derConcatenated) }))
        push(context)
    }

    func push(_ context: WorkloadX509Context) {
        let streams = state.withLock { state in
            state.answer = .success(context)
            return state.streams.values
        }
        for stream in streams { stream.yield(context) }
    }

    func fail(_ error: WorkloadAPIError) {
        let streams = state.withLock { state in
            state.answer = .failure(error)
            return state.streams.values
        }
        for stream in streams { stream.finish(throwing: error) }
    }

    func setToken(_ result: Result<WorkloadJWTSVID, WorkloadAPIError>) {
        state.withLock { state in
            switch result {
            case .success(let token): (state.tokens, state.tokenFailure) = ([token], nil)
            case .failure(let error): state.tokenFailure = error
            }
        }
    }

    /// Says what the JWT bundles are. Until it has said so once it has none.
    func push(_ bundles: WorkloadJWTBundles) {
        let streams = state.withLock { state in
            state.jwtBundles = bundles
            return state.jwtStreams
        }
        for stream in streams { stream.yield(bundles) }
    }

    /// How many follow the JWT bundles.
    var jwtStreams: Int { state.withLock { $0.jwtStreams.count } }

    /// Says what the WIT-SVIDs are, or why there are none.
    func push(_ wits: Result<WorkloadWITSVIDs, WorkloadAPIError>) {
        let streams = state.withLock { state in
            state.wits = wits
            return state.witStreams
        }
        for stream in streams {
            switch wits {
            case .success(let svids): stream.yield(svids)
            case .failure(let error): stream.finish(throwing: error)
            }
        }
    }

    /// Says what the WIT bundles are.
    func push(_ bundles: WorkloadWITBundles) {
        let streams = state.withLock { state in
            state.witBundles = bundles
            return state.witBundleStreams
        }
        for stream in streams { stream.yield(bundles) }
    }

    /// How many streams of WIT-SVIDs have been asked for.
    var witStreams: Int { state.withLock { $0.witStreams.count } }

    /// Says what is revoked. Until it has said so once, it is somebody else's Workload API that knows of no such thing.
    func push(_ revocations: WorkloadRevocations) {
        let watches = state.withLock { state in
            state.revocations = revocations
            return state.watches
        }
        for watch in watches { watch.yield(revocations) }
    }

    func revocations(
        for peer: ConnectionPeer
    ) async throws(WorkloadAPIError) -> AsyncThrowingStream<WorkloadRevocations, any Error> {
        let (stream, continuation) = AsyncThrowingStream<WorkloadRevocations, any Error>.makeStream()
        let first = state.withLock { state in
            state.watches.append(continuation)
            return state.revocations
        }
        guard let first else { throw .unimplemented("not offered") }
        continuation.yield(first)
        return stream
    }

    func server() -> PeerServer {
        .unixSocket(
            path: path, access: .everyone, services: [WorkloadAPIService(self), RevocationWatchService(self)],
            interceptors: [.apply(WorkloadHeaderInterceptor(), to: .all)])
    }

    func x509Contexts(
        for peer: ConnectionPeer
    ) async throws(WorkloadAPIError) -> AsyncThrowingStream<WorkloadX509Context, any Error> {
        let (stream, continuation) = AsyncThrowingStream<WorkloadX509Context, any Error>.makeStream()
        let answer = state.withLock { state in
            state.opened += 1
            if case .success = state.answer {
                let number = state.opened
                state.streams[number] = continuation
                continuation.onTermination = { _ in self.state.withLock { $0.streams[number] = nil } }
            }
            return state.answer
        }
        continuation.yield(try answer.get())
        return stream
    }

    func x509Bundles(
        for peer: ConnectionPeer
    ) async throws(WorkloadAPIError) -> AsyncThrowingStream<WorkloadX509Bundles, any Error> {
        throw .unimplemented("not in this test")
    }

    func jwtSVIDs(
        for peer: ConnectionPeer, audience: [String], id: SPIFFE.SPIFFEID?
    ) async throws(WorkloadAPIError) -> [WorkloadJWTSVID] {
        let (tokens, failure) = state.withLock { state in
            state.tokenFetches += 1
            return (state.tokens, state.tokenFailure)
        }
        if let failure { throw failure }
        return tokens
    }

    func jwtBundles(
        for peer: ConnectionPeer
    ) async throws(WorkloadAPIError) -> AsyncThrowingStream<WorkloadJWTBundles, any Error> {
        let (stream, continuation) = AsyncThrowingStream<WorkloadJWTBundles, any Error>.makeStream()
        let first = state.withLock { state in
            state.jwtStreams.append(continuation)
            return state.jwtBundles
        }
        guard let first else { throw .unimplemented("not in this test") }
        continuation.yield(first)
        return stream
    }

    func witSVIDs(
        for peer: ConnectionPeer, id: SPIFFEID?
    ) async throws(WorkloadAPIError) -> AsyncThrowingStream<WorkloadWITSVIDs, any Error> {
        let (stream, continuation) = AsyncThrowingStream<WorkloadWITSVIDs, any Error>.makeStream()
        let answer = state.withLock { state in
            state.witStreams.append(continuation)
            return state.wits
        }
        continuation.yield(try answer.get())
        return stream
    }

    func witBundles(
        for peer: ConnectionPeer
    ) async throws(WorkloadAPIError) -> AsyncThrowingStream<WorkloadWITBundles, any Error> {
        let (stream, continuation) = AsyncThrowingStream<WorkloadWITBundles, any Error>.makeStream()
        let first = state.withLock { state in
            state.witBundleStreams.append(continuation)
            return state.witBundles
        }
        // None yet: the stream waits, as it does at a node agent that has no bundle.
        if let first { continuation.yield(first) }
        return stream
    }

    func validateJWTSVID(
        for peer: ConnectionPeer, token: String, audience: String
    ) async throws(WorkloadAPIError) -> WorkloadJWTValidation {
        throw .unimplemented("not in this test")
    }
}

extension FakeWorkloadAPI {
    /// Serves, and keeps `identities` running, around `body`.
    func serving(_ identities: [AgentIdentity], _ body: @escaping @Sendable () async throws -> Void) async throws {
        let server = server()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            guard await server.waitUntilListening() else { return try await group.waitForAll() }
            for identity in identities { group.addTask { try? await identity.run() } }
            let result: Result<Void, any Error>
            do {
                result = .success(try await body())
            } catch {
                result = .failure(error)
            }
            group.cancelAll()
            while (try? await group.next()) != nil {}
            try result.get()
        }
    }

    func identity(hint: String? = nil, clock: ManualClock) throws -> AgentIdentity {
        AgentIdentity(endpoint: .unix(path: path), hint: hint, now: clock.now)
    }
}

/// A clock that begins at the machine's time, since the TLS library of the HTTP client looks at that one.
func presentClock() -> ManualClock {
    ManualClock(UnixTime(seconds: Int64(Date().timeIntervalSince1970)))
}

/// Waits until a condition holds; `false` after some seconds.
func eventually(_ condition: () -> Bool) async -> Bool {
    for _ in 0..<1000 {
        if condition() { return true }
        try? await Task.sleep(for: .milliseconds(10))
    }
    return condition()
}
