import AgentDirectory
import OAuth
import Synchronization

/// What each client has shown once and must not show again, apart for each: a client that fills its memory locks out nobody but
/// itself.
final class ReplayMemory: Sendable {
    private let capacity: Int
    // Guards the memories by client ID. Only authenticated agents get one, so there are no more than agents.
    private let memories = Mutex<[String: ReplayCache]>([:])

    /// From so many clients on, memories in which everything has ended are dropped.
    private static let sweepFrom = 1024

    /// - Parameter capacity: the most identifiers of one client at a time.
    init(capacity: Int) { self.capacity = capacity }

    /// Takes an identifier of a client for the first time, or says why not.
    func insert(
        _ identifier: String, of holder: [UInt8], client: AgentIdentity, until: Int64, now: Int64
    ) -> ReplayCache.Outcome {
        memories.withLock { memories in
            if memories[client.id] == nil, memories.count >= Self.sweepFrom, memories.count.isMultiple(of: 64) {
                memories = memories.compactMapValues { cache in
                    var cache = cache
                    return cache.isEmpty(at: now) ? nil : cache
                }
            }
            return memories[client.id, default: ReplayCache(capacity: capacity)].insert(
                identifier, of: holder, until: until, now: now)
        }
    }
}
