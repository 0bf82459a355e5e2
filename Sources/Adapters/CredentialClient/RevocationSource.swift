package import Authentication
package import Logging
package import OAuth
package import PeerTLS
import Revocation
package import SPIFFE
import Synchronization
import WorkloadAPI

/// Follows what the node agent says of revocations, refuses handshakes of the revoked, and cuts their connections.
///
/// Signed snapshots are verified here again, with the bundle of the agent's own trust domain: the node agent can hold them
/// back, but not change them, and what it holds back is missed after ``limit``. Peers of other trust domains are their own
/// control plane's business.
package final class RevocationSource: PeerRevocations {
    /// How long handshakes may rest on the last news, in milliseconds; `nil` for no limit.
    package let limit: Int64?
    package let connections = PeerConnections()

    private let source: X509Source
    private let environment: SourceEnvironment
    private let logger: Logger
    /// A signed snapshot, and when the control plane said that it is the newest.
    private struct Offer: Equatable {
        let snapshot: [UInt8]
        let confirmedAt: UnixTime?
    }
    private struct State {
        var held: HeldRevocations
        // The signed bytes of the snapshot held: the same ones are not verified again.
        var taken: [UInt8] = []
        // What could not be believed yet: it may come before the identity, or before the bundle with its signer's authority.
        var pending: Offer?
    }
    // Guards what is known.
    private let state: Mutex<State>

    /// - Parameter source: the identity whose bundle verifies the snapshots, and whose connection brings them.
    package init(source: X509Source, limit: Int64?, environment: SourceEnvironment, logger: Logger) {
        self.source = source
        self.limit = limit
        self.environment = environment
        self.logger = logger
        state = Mutex(State(held: HeldRevocations(startedAt: environment.now())))
    }

    package func refusal(of peer: ProvenPeer) -> PeerVerifier.Refusal? {
        let time = environment.now()
        return state.withLock { state in
            if Self.isRevoked(peer, state.held) { return .revoked(peer.id) }
            return state.held.isFresh(at: time, limit: limit) ? nil : .revocationsUnknown
        }
    }

    /// The same of a verified WIT-SVID, which says who signed a request: asked by agent, `jti`, the key that its proof was
    /// made with, and the key that signed it.
    package func refusal(of token: VerifiedWITSVID) -> PeerVerifier.Refusal? {
        let time = environment.now()
        return state.withLock { state in
            if state.held.snapshot?.revoked.revocation(of: token) != nil { return .revoked(token.id) }
            return state.held.isFresh(at: time, limit: limit) ? nil : .revocationsUnknown
        }
    }

    /// Why an access token is good no more, for ``AccessTokenVerifier``: asked by `jti`, chain, keys and everybody in it.
    package func refusal(of token: VerifiedAccessToken) -> AccessTokenRefusal? {
        let time = environment.now()
        return state.withLock { state in
            if state.held.snapshot?.revoked.revocation(of: token) != nil { return .revoked }
            return state.held.isFresh(at: time, limit: limit) ? nil : .revocationsUnknown
        }
    }

    /// Why a transaction token is good no more, for ``TransactionTokenVerifier``: asked by transaction, chain, key and everybody
    /// in it.
    package func refusal(of token: VerifiedTransactionToken) -> TransactionTokenRefusal? {
        let time = environment.now()
        return state.withLock { state in
            if state.held.snapshot?.revoked.revocation(of: token) != nil { return .revoked }
            return state.held.isFresh(at: time, limit: limit) ? nil : .revocationsUnknown
        }
    }

    private static func isRevoked(_ peer: ProvenPeer, _ held: HeldRevocations) -> Bool {
        held.snapshot?.revoked.revocation(of: peer.id, serial: peer.serial, key: peer.key) != nil
    }

    /// Follows until the task is cancelled.
    package func follow() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.followNews() }
            group.addTask { [updates = source.updates] in
                for await _ in updates {
                    if let offer = self.state.withLock({ $0.pending }) { self.take(offer) }
                }
            }
        }
    }

    private func followNews() async {
        var backoff = Backoff()
        while !Task.isCancelled {
            do {
                for try await news in source.client.streamRevocations() {
                    take(news)
                    backoff.reset()
                }
            } catch WorkloadAPIError.unimplemented {
                state.withLock { $0.held.notOffered() }
                // Somebody else's Workload API: it may become AgentShield's one day, but not soon.
                guard (try? await environment.sleep(.seconds(60))) != nil else { return }
            } catch {
                // A workload without an identity is not told; the handshakes that it cannot make need no answer.
                logger.debug("revocations are not to be had", metadata: ["error": "\(error)"])
            }
            guard (try? await environment.sleep(backoff.wait(environment.randomFraction()))) != nil else { return }
        }
    }

    private func take(_ news: WorkloadRevocations) {
        guard news.isOffered else { return state.withLock { $0.held.notOffered() } }
        let time = environment.now()
        let confirmedAt = news.age.map { time.adding(milliseconds: -$0) }
        let isNew = state.withLock { state in
            guard news.snapshot == state.taken else { return true }
            if let confirmedAt { state.held.confirm(at: confirmedAt) }
            return false
        }
        if isNew, !news.snapshot.isEmpty { take(Offer(snapshot: news.snapshot, confirmedAt: confirmedAt)) }
    }

    private func take(_ offer: Offer) {
        state.withLock { $0.pending = offer }
        guard let current = source.current, let bundle = current.bundles[current.svid.id.trustDomain] else { return }
        do throws(RevocationError) {
            let snapshot = try SignedRevocations.verify(offer.snapshot, bundle: bundle, at: environment.now())
            let change = try state.withLock { state throws(RevocationError) in
                let change = try state.held.take(snapshot, confirmedAt: offer.confirmedAt)
                state.taken = offer.snapshot
                if state.pending == offer { state.pending = nil }
                return change
            }
            if change == .content { cutRevoked() }
        } catch {
            logger.warning("revocations are not believed", metadata: ["reason": "\(error)"])
        }
    }

    private func cutRevoked() {
        let cut = connections.cut { peer in
            state.withLock { Self.isRevoked(peer, $0.held) }
        }
        for peer in cut {
            logger.warning(
                "connection of a revoked agent cut", metadata: ["spiffe_id": "\(peer.id)", "serial": "\(peer.serial)"])
        }
    }
}
