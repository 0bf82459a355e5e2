import ControlPlaneAPI
import GRPCCore
import SPIFFE
import Synchronization

/// The connection with the node's identity. A new identity means a new connection: calls that are under way finish on the
/// old one, and one that was lost with it is made again on the new one.
final class ServerConnection: Sendable {
    private struct State {
        var line: ServerLine
        var identity: NodeIdentity
        /// The server may have taken up the next identity already.
        var isChanging = false
        /// Those who wait for the end of the change.
        var waiting: [AsyncStream<Never>.Continuation] = []
    }

    private let endpoint: NodeAPIClient.Endpoint
    private let trust: ServerTrust
    private let sleep: @Sendable (Duration) async throws -> Void
    private let lines: AsyncStream<ServerLine>
    private let queue: AsyncStream<ServerLine>.Continuation
    private let state: Mutex<State>

    init(
        endpoint: NodeAPIClient.Endpoint, identity: NodeIdentity, trust: ServerTrust,
        sleep: @escaping @Sendable (Duration) async throws -> Void
    ) throws {
        self.endpoint = endpoint
        self.trust = trust
        self.sleep = sleep
        (lines, queue) = AsyncStream.makeStream()
        let line = ServerLine(try Self.client(endpoint, identity, trust))
        state = Mutex(State(line: line, identity: identity))
        queue.yield(line)
    }

    var identity: NodeIdentity { state.withLock { $0.identity } }

    // MARK: calls

    /// Makes one call with the present identity. One that is lost because another identity has taken its place is made
    /// again with that one, once and without delay: `body` must be good to repeat.
    func call<Result>(_ body: (ServerCalls) async throws -> Result) async throws -> Result {
        let line = begin()
        do {
            return try await line.finish(body)
        } catch let error as RPCError where error.mayBeLost {
            // The server knows the next identity before we do.
            if error.refusal == .notActive { await endOfChange() }
            guard !Task.isCancelled, let next = begin(after: line) else { throw error }
            return try await next.finish(body)
        }
    }

    /// Runs one long stream; it is to end by itself when the signal says that another identity has taken its place.
    /// INVARIANT: one at a time.
    func watch<Result>(_ body: (ServerCalls, Signal) async -> Result) async -> Result {
        let line = begin()
        defer { line.end() }
        return await body(ServerCalls(client: line.client), line.replaced)
    }

    // Counted under the lock: a connection that nobody uses is closed when it is replaced.
    private func begin() -> ServerLine {
        state.withLock { state in
            state.line.begin()
            return state.line
        }
    }

    /// `nil` when `line` is still the one in use.
    private func begin(after line: ServerLine) -> ServerLine? {
        state.withLock { state in
            guard state.line !== line else { return nil }
            state.line.begin()
            return state.line
        }
    }

    // MARK: change of identity

    /// Runs `body`, which attests anew: meanwhile the server may refuse the present identity as no longer active.
    func changing<Result>(_ body: () async throws -> Result) async rethrows -> Result {
        state.withLock { $0.isChanging = true }
        defer {
            let waiting = state.withLock { state in
                defer { state.waiting = [] }
                state.isChanging = false
                return state.waiting
            }
            for one in waiting { one.finish() }
        }
        return try await body()
    }

    private func endOfChange() async {
        let (end, continuation) = AsyncStream.makeStream(of: Never.self)
        let mustWait = state.withLock { state in
            if state.isChanging { state.waiting.append(continuation) }
            return state.isChanging
        }
        guard mustWait else { return }
        for await _ in end {}
    }

    /// Whether a refusal of `identity` says nothing, because another one takes or has taken its place.
    func isOutdated(_ identity: NodeIdentity) -> Bool {
        state.withLock { $0.isChanging || $0.identity.svid.leaf.serialNumber != identity.svid.leaf.serialNumber }
    }

    /// Uses `identity` for every call that begins from now on.
    func replace(_ identity: NodeIdentity) throws {
        let line = ServerLine(try Self.client(endpoint, identity, trust))
        queue.yield(line)
        let old = state.withLock { state in
            defer {
                state.line = line
                state.identity = identity
            }
            return state.line
        }
        old.replace()
    }

    /// Keeps the connections until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            for await line in lines {
                group.addTask { [sleep] in await line.run(sleep: sleep) }
            }
            group.cancelAll()
        }
    }

    private static func client(
        _ endpoint: NodeAPIClient.Endpoint, _ identity: NodeIdentity, _ trust: ServerTrust
    ) throws -> NodeAPIClient {
        try NodeAPIClient(
            endpoint: endpoint,
            identity: NodeAPIClient.Identity(chain: identity.svid.chain, privateKey: identity.svid.pkcs8),
            verifyServer: { trust.verify($0) })
    }
}

extension RPCError {
    /// Whether a call may have failed only because the identity that it was made with has been replaced.
    fileprivate var mayBeLost: Bool { code == .unavailable || code == .cancelled || refusal == .notActive }
}
