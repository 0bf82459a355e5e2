import ControlPlaneAPI
import SPIFFE
import Synchronization

/// The connection with the node's identity; a new identity means a new connection, calls on the old one end by themselves.
final class ServerConnection: Sendable {
    private struct State {
        var client: NodeAPIClient
        var identity: NodeIdentity
        var replaced = Signal()
        /// The server may have taken up the next identity already.
        var isChanging = false
    }

    private let endpoint: NodeAPIClient.Endpoint
    private let trust: ServerTrust
    private let clients: AsyncStream<NodeAPIClient>
    private let queue: AsyncStream<NodeAPIClient>.Continuation
    private let state: Mutex<State>

    init(endpoint: NodeAPIClient.Endpoint, identity: NodeIdentity, trust: ServerTrust) throws {
        self.endpoint = endpoint
        self.trust = trust
        (clients, queue) = AsyncStream.makeStream()
        let client = try Self.client(endpoint, identity, trust)
        state = Mutex(State(client: client, identity: identity))
        queue.yield(client)
    }

    /// Calls with the present identity.
    var calls: ServerCalls { ServerCalls(client: state.withLock { $0.client }) }

    var identity: NodeIdentity { state.withLock { $0.identity } }

    /// Runs `body`, which attests anew: meanwhile the server may refuse the present identity as no longer active.
    func changing<Result>(_ body: () async throws -> Result) async rethrows -> Result {
        state.withLock { $0.isChanging = true }
        defer { state.withLock { $0.isChanging = false } }
        return try await body()
    }

    /// Whether a refusal of `identity` says nothing, because another one takes or has taken its place.
    func isOutdated(_ identity: NodeIdentity) -> Bool {
        state.withLock { $0.isChanging || $0.identity.svid.leaf.serialNumber != identity.svid.leaf.serialNumber }
    }

    /// Calls with the present identity, and what fires when another one takes its place. For one long stream at a time.
    var watched: (calls: ServerCalls, replaced: Signal) {
        state.withLock { (ServerCalls(client: $0.client), $0.replaced) }
    }

    /// Uses `identity` for everything from now on.
    func replace(_ identity: NodeIdentity) throws {
        let client = try Self.client(endpoint, identity, trust)
        queue.yield(client)
        let old = state.withLock { state in
            let old = state
            state = State(client: client, identity: identity, isChanging: old.isChanging)
            return old
        }
        old.client.shutDown()
        old.replaced.fire()
    }

    /// Keeps the connections until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            for await client in clients {
                // A client's own end is no failure: calls on it say what is wrong.
                group.addTask { try? await client.run() }
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
