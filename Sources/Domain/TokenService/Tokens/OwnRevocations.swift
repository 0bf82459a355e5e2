import AgentDirectory
import SPIFFE
import Synchronization

/// How many tokens each client has taken back that would not have ended yet.
///
/// The register is small and signed as a whole for every verifier: one client must not fill it, nor keep it busy.
final class OwnRevocations: Sendable {
    // Guards the ends by client ID; a client that never revokes has none.
    private let ends = Mutex<[String: [UnixTime]]>([:])

    /// Of one client at a time. Tokens end within an hour.
    static let maximum = 64

    /// Whether the client may take back one more, which is counted then until it ends.
    func admit(_ client: AgentIdentity, until end: UnixTime, now: UnixTime) -> Bool {
        ends.withLock { ends in
            let living = (ends[client.id] ?? []).filter { $0 > now }
            guard living.count < Self.maximum else {
                ends[client.id] = living
                return false
            }
            ends[client.id] = living + [end]
            return true
        }
    }
}
