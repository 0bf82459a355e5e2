package import SPIFFE
import ServiceLifecycle
import Synchronization
package import WorkloadAPI

/// Gives JWT-SVIDs and keeps each until half of its life is over, or until the JWT bundles give reason to ask again.
package final class JWTSource: Service {
    private struct Key: Hashable {
        let audience: [String]
        let id: SPIFFEID?
    }

    private struct Kept {
        let svid: WorkloadJWTSVID
        let keyID: String
        /// `nil` for at once.
        var renewAt: UnixTime?
        let expiresAt: UnixTime
    }

    private struct State {
        var tokens: [Key: Kept] = [:]
        // Counts news. What was asked for before it may be what the news is about.
        var turn: UInt64 = 0
    }

    /// Most tokens kept; beyond that the ones that end first are dropped.
    package static let maximumTokens = 256

    private let client: WorkloadAPIClient
    private let environment: SourceEnvironment
    // Guards the tokens; never held across a call.
    private let state = Mutex(State())

    package init(client: WorkloadAPIClient, environment: SourceEnvironment) {
        self.client = client
        self.environment = environment
    }

    /// Keeps the connection to the Workload API, and follows. Not for a client that somebody else runs already.
    package func run() async throws {
        try await cancelWhenGracefulShutdown {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await self.follow() }
                group.addTask { [client = self.client] in try await client.run() }
                defer { group.cancelAll() }
                // Following ends with its task only: the first to end is the connection.
                try await group.next()
            }
        }
    }

    /// Follows the JWT bundles until the task is cancelled. A token whose key has left them is forgotten. Each message,
    /// also one that repeats the last, may mean that a key was tainted or something revoked: then every token is asked for
    /// anew the next time that it is wanted.
    package func follow() async {
        var backoff = Backoff()
        while !Task.isCancelled {
            do {
                for try await bundles in client.streamJWTBundles() {
                    take(bundles)
                    backoff.reset()
                }
            } catch WorkloadAPIError.permissionDenied {
                forget()
            } catch WorkloadAPIError.unimplemented {
                // A Workload API without JWT-SVIDs, which may have some one day.
                guard (try? await environment.sleep(.seconds(60))) != nil else { return }
            } catch {
                // Whoever wants a token is told what is wrong.
            }
            guard (try? await environment.sleep(backoff.wait(environment.randomFraction()))) != nil else { return }
        }
    }

    private func take(_ bundles: WorkloadJWTBundles) {
        // Of a bundle that cannot be read no key is known to be good.
        let keys = bundles.bundles.mapValues { bytes in
            Set(((try? JWTAuthority.parse(jwks: bytes)) ?? []).map(\.keyID))
        }
        state.withLock { state in
            state.turn += 1
            state.tokens = state.tokens.compactMapValues { kept in
                guard keys[kept.svid.id.trustDomain]?.contains(kept.keyID) ?? false else { return nil }
                var kept = kept
                kept.renewAt = nil
                return kept
            }
        }
    }

    /// A token good for every audience: a kept one in its first half, otherwise a new one.
    ///
    /// While the Workload API is away a token in its second half still serves; after PermissionDenied none does.
    package func fetch(
        audience: [String], id: SPIFFEID? = nil
    ) async throws(WorkloadAPIError) -> WorkloadJWTSVID {
        let key = Key(audience: audience.sorted(), id: id)
        let now = environment.now()
        let (old, turn) = state.withLock { ($0.tokens[key], $0.turn) }
        if let old, let renewAt = old.renewAt, now < renewAt { return old.svid }
        do throws(WorkloadAPIError) {
            let fresh = try await client.fetchJWTSVID(audience: audience, id: id)
            try keep(fresh, for: key, asked: audience, in: turn)
            return fresh
        } catch {
            // Not one that has been forgotten meanwhile.
            if case .unavailable = error, let old = state.withLock({ $0.tokens[key] }), now < old.expiresAt {
                return old.svid
            }
            state.withLock { $0.tokens[key] = nil }
            throw error
        }
    }

    /// Forgets every token, for when the identity was withdrawn.
    package func forget() {
        state.withLock { state in
            state.turn += 1
            state.tokens = [:]
        }
    }

    private func keep(
        _ svid: WorkloadJWTSVID, for key: Key, asked audience: [String], in turn: UInt64
    ) throws(WorkloadAPIError) {
        let token: UnverifiedJWTSVID
        do {
            token = try UnverifiedJWTSVID(parsing: svid.token)
        } catch {
            throw .malformedResponse("the Workload API sent an unusable JWT-SVID: \(error)")
        }
        guard token.unverifiedID == svid.id, Set(audience).isSubset(of: token.audience) else {
            throw .malformedResponse("the Workload API sent a JWT-SVID that was not asked for")
        }
        let now = environment.now()
        let start = min(token.issuedAt ?? now, now)
        let life = token.expiresAt.milliseconds(since: start)
        let entry = Kept(
            svid: svid, keyID: token.keyID, renewAt: start.adding(milliseconds: life / 2), expiresAt: token.expiresAt)
        state.withLock { state in
            guard state.turn == turn else { return }
            state.tokens[key] = entry
            guard state.tokens.count > Self.maximumTokens,
                let first = state.tokens.min(by: { $0.value.expiresAt < $1.value.expiresAt })
            else { return }
            state.tokens[first.key] = nil
        }
    }
}
