import Synchronization

/// Chains that clients showed in full handshakes, by their leaf: a resumed TLS session gives back the leaf alone.
///
/// What it returns is as untrusted as what a peer shows, and is verified anew.
final class ChainMemory: Sendable {
    /// Most bytes of DER that are kept; the oldest chains leave first.
    private static let maximumBytes = 4 * 1024 * 1024

    private struct State {
        var chains: [[UInt8]: [[UInt8]]] = [:]
        /// Leaves, oldest first.
        var order: [[UInt8]] = []
        var bytes = 0
    }

    private let state = Mutex(State())

    /// Keeps a chain that has more than its leaf.
    func remember(_ chain: [[UInt8]]) {
        guard chain.count > 1, let leaf = chain.first else { return }
        state.withLock { state in
            state.bytes += Self.size(of: chain)
            if let former = state.chains.updateValue(chain, forKey: leaf) {
                state.bytes -= Self.size(of: former)
            } else {
                state.order.append(leaf)
            }
            while state.bytes > Self.maximumBytes, !state.order.isEmpty {
                let oldest = state.order.removeFirst()
                state.bytes -= state.chains.removeValue(forKey: oldest).map(Self.size) ?? 0
            }
        }
    }

    /// The chain that was last shown with this leaf, or the leaf alone.
    func chain(of leaf: [UInt8]) -> [[UInt8]] {
        state.withLock { $0.chains[leaf] } ?? [leaf]
    }

    private static func size(of chain: [[UInt8]]) -> Int {
        chain.reduce(0) { $0 + $1.count }
    }
}
