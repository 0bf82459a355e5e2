import ControlPlaneAPI
import GRPCCore
import Revocation
import SPIFFE

/// Keeps the revocations equal to the control plane's: at once when the push stream names another number, else from
/// time to time.
struct RevocationLoop: Sendable {
    let parts: AgentParts

    /// How often a living push stream is not relied upon.
    static let pushedInterval = Duration.seconds(60)
    /// How long a server without this service is left alone.
    static let patience = Duration.seconds(300)

    /// Asks once, before anything is served. A server that is away does not hold up the start: what is stored counts.
    func first() async {
        do {
            try await once()
        } catch let error as RPCError where error.code == .unimplemented {
            parts.revocations.notOffered()
        } catch {
            warn(error)
        }
    }

    /// Follows until the task is cancelled.
    func run() async throws {
        var backOff = parts.backOff
        var wait = parts.revocations.message.isOffered ? interval : Self.patience
        while true {
            _ = try await parts.revocationSignal.wait(upTo: wait, sleep: parts.sleep)
            do {
                try await once()
                backOff.succeeded()
                wait = interval
            } catch let error as RPCError where error.code == .unimplemented {
                parts.revocations.notOffered()
                wait = Self.patience
            } catch {
                try Task.checkCancellation()
                warn(error)
                wait = parts.wait(&backOff)
            }
        }
    }

    private var interval: Duration {
        guard parts.push.isAlive else { return parts.configuration.syncInterval }
        guard let snapshot = parts.revocations.snapshot else { return Self.pushedInterval }
        // The next one is signed when half of this one's life is over.
        let left = max(1000, snapshot.expiresAt.milliseconds(since: parts.now()) / 3)
        return min(Self.pushedInterval, .milliseconds(left))
    }

    private func once() async throws {
        let answer = try await parts.connection.call { try await $0.revocations() }
        let change: HeldRevocations.Change
        do throws(RevocationError) {
            change = try take(answer)
        } catch {
            guard case .signer = error else { throw error }
            // An authority that is newer than the bundle here.
            try await SyncLoop(parts: parts).bundles()
            change = try take(answer)
        }
        guard change == .content else { return }
        if let snapshot = parts.revocations.snapshot { parts.cache.revocationsChanged(snapshot.revoked) }
        parts.signSignal.fire()
        parts.logger.info(
            "revocations changed", metadata: ["count": "\(parts.revocations.snapshot?.subjects.count ?? 0)"])
    }

    private func take(_ answer: ServerCalls.Revocations) throws(RevocationError) -> HeldRevocations.Change {
        let bundle = parts.cache.withEntries { $0.bundle.x509Bundle }
        return try parts.revocations.take(answer.token, lists: answer.lists, bundle: bundle)
    }

    private func warn(_ error: any Error) {
        let reason = (error as? RPCError)?.message ?? "\(error)"
        parts.logger.warning("the revocations cannot be renewed", metadata: ["reason": "\(reason)"])
    }
}
