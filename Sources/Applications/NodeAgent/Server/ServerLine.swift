import ControlPlaneAPI
import GRPCCore
import Synchronization

/// One client and the calls that are under way on it. Once replaced, it ends with the last of them.
///
/// The calls are counted here because the client's own graceful end is not enough: it refuses a call that has begun and has
/// no stream yet.
final class ServerLine: Sendable {
    /// How long calls may go on after the replacement: as long as an ordinary one may take at all.
    static let drain = ServerCalls.timeout

    private struct State {
        var calls = 0
        var isReplaced = false
    }

    let client: NodeAPIClient
    /// Fires when another identity has taken the place of this one; for the one long stream.
    let replaced = Signal()
    private let retired = Signal()
    private let state = Mutex(State())

    init(_ client: NodeAPIClient) {
        self.client = client
    }

    /// A call begins; ``end()`` or ``finish(_:)`` has to follow.
    func begin() { state.withLock { $0.calls += 1 } }

    /// A call is over.
    func end() {
        let isLast = state.withLock { state in
            state.calls -= 1
            return state.isReplaced && state.calls == 0
        }
        if isLast { client.shutDown() }
    }

    /// Makes the call that ``begin()`` has announced.
    func finish<Result>(_ body: (ServerCalls) async throws -> Result) async throws -> Result {
        defer { end() }
        do {
            return try await body(ServerCalls(client: client))
        } catch let error as RuntimeError {
            // A client that has ended: not the caller's mistake, and no reason to give up for good.
            throw RPCError(code: .unavailable, message: "the connection is closed", cause: error)
        }
    }

    /// No more calls begin.
    func replace() {
        let isIdle = state.withLock { state in
            state.isReplaced = true
            return state.calls == 0
        }
        if isIdle { client.shutDown() }
        retired.fire()
        replaced.fire()
    }

    /// Keeps the connection until it is replaced and its calls are over, or until their time is.
    func run(sleep: @escaping @Sendable (Duration) async throws -> Void) async {
        await withTaskGroup(of: Void.self) { group in
            // A client's own end is no failure: calls on it say what is wrong.
            group.addTask { [client] in try? await client.run() }
            group.addTask { [client, retired] in
                guard (try? await retired.wait()) != nil else { return }
                try? await sleep(Self.drain)
                client.shutDown()
            }
            await group.next()
            group.cancelAll()
        }
    }
}
