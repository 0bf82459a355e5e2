import Logging
import SPIFFE

/// What the agent's loops share while it has one identity.
struct AgentParts: Sendable {
    let configuration: NodeAgentConfiguration
    let cache: AgentCache
    let connection: ServerConnection
    let trust: ServerTrust
    let attestation: NodeAttestation
    let store: IdentityStore
    let audit: AgentAudit
    let logger: Logger
    let now: @Sendable () -> UnixTime
    let randomBytes: @Sendable (Int) -> [UInt8]
    let sleep: @Sendable (Duration) async throws -> Void
    /// Fires when entries or bundles may have changed.
    let syncSignal: Signal
    /// Fires when something may have to be signed.
    let signSignal: Signal
    /// Fires when the node's own identity may have to go.
    let renewSignal: Signal
    let push: PushState
    let revocations: RevocationHolder
    /// Fires when the control plane's state of revocations is another one.
    let revocationSignal: Signal

    func random() -> Double { RandomFraction.draw(randomBytes) }

    /// The waits between attempts while the server is away.
    var backOff: BackOff { BackOff(initial: min(.seconds(1), configuration.syncInterval), cap: longestWait) }

    /// The wait after another failure; how long it may become depends on what is known of the server by now.
    func wait(_ backOff: inout BackOff) -> Duration {
        backOff.cap = longestWait
        return backOff.failed(random: random())
    }

    private var longestWait: Duration {
        BackOff.cap(interval: configuration.syncInterval, isPushed: push.isOffered)
    }
}
