import Synchronization

/// The peers of the open connections of one server, by the token that their calls carry.
///
/// gRPC's transport shows a handler nothing of the connection below it. So a handler on each stream adds a header
/// whose name nobody outside can know and whose value stands for the connection, and an interceptor takes it away.
final class PeerRegistry: Sendable {
    /// Name of the header, different in every process.
    let headerName = "x-peer-\(PeerRegistry.randomHex())"
    private let maximumConnections: Int
    private let maximumConnectionsPerSource: Int

    private struct State {
        var peers: [String: ConnectionPeer] = [:]
        var connections = 0
        var connectionsBySource: [String: Int] = [:]
    }

    private let state = Mutex(State())

    init(maximumConnections: Int, maximumConnectionsPerSource: Int) {
        self.maximumConnections = maximumConnections
        self.maximumConnectionsPerSource = maximumConnectionsPerSource
    }

    /// Counts a connection in; `false` when there are too many. Pair with ``leave()``.
    func enter() -> Bool {
        state.withLock { state in
            guard state.connections < maximumConnections else { return false }
            state.connections += 1
            return true
        }
    }

    /// Counts a connection out.
    func leave() {
        state.withLock { $0.connections -= 1 }
    }

    /// Counts a connection of one source (a user, an address) in; `false` when that one has too many. Pair with
    /// ``leave(source:)``.
    func enter(source: String) -> Bool {
        state.withLock { state in
            let count = state.connectionsBySource[source] ?? 0
            guard count < maximumConnectionsPerSource else { return false }
            state.connectionsBySource[source] = count + 1
            return true
        }
    }

    /// Counts a connection of one source out.
    func leave(source: String) {
        state.withLock { state in
            let count = (state.connectionsBySource[source] ?? 1) - 1
            state.connectionsBySource[source] = count > 0 ? count : nil
        }
    }

    /// Connections that are open now.
    var connectionCount: Int {
        state.withLock { $0.connections }
    }

    /// Keeps a peer until ``remove(_:)`` and returns the token that stands for it.
    func add(_ peer: ConnectionPeer) -> String {
        let token = Self.randomHex()
        state.withLock { $0.peers[token] = peer }
        return token
    }

    /// Forgets the peer of a closed connection.
    func remove(_ token: String) {
        // Out of the lock: the last reference closes descriptors.
        _ = state.withLock { $0.peers.removeValue(forKey: token) }
    }

    /// The peer that a token stands for.
    func peer(for token: String) -> ConnectionPeer? {
        state.withLock { $0.peers[token] }
    }

    /// 128 random bits in hexadecimal.
    private static func randomHex() -> String {
        var text = ""
        for _ in 0..<2 {
            let word = String(UInt64.random(in: .min ... .max), radix: 16)
            text += String(repeating: "0", count: 16 - word.utf8.count) + word
        }
        return text
    }
}
