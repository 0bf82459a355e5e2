package import SPIFFE
import ServiceLifecycle
import Synchronization
package import WorkloadAPI

/// Gives JWT-SVIDs and keeps each until half of its life is over.
package final class JWTSource: Service {
    private struct Key: Hashable {
        let audience: [String]
        let id: SPIFFEID?
    }

    private struct Kept {
        let svid: WorkloadJWTSVID
        let renewAt: UnixTime
        let expiresAt: UnixTime
    }

    /// Most tokens kept; beyond that the ones that end first are dropped.
    package static let maximumTokens = 256

    private let client: WorkloadAPIClient
    private let environment: SourceEnvironment
    // Guards the tokens; never held across a call.
    private let kept = Mutex<[Key: Kept]>([:])

    package init(client: WorkloadAPIClient, environment: SourceEnvironment) {
        self.client = client
        self.environment = environment
    }

    /// Keeps the connection to the Workload API. Not for a client that somebody else runs already.
    package func run() async throws {
        try await cancelWhenGracefulShutdown { [client] in try await client.run() }
    }

    /// A token good for every audience: a kept one in its first half, otherwise a new one.
    ///
    /// While the Workload API is away a token in its second half still serves; after PermissionDenied none does.
    package func fetch(
        audience: [String], id: SPIFFEID? = nil
    ) async throws(WorkloadAPIError) -> WorkloadJWTSVID {
        let key = Key(audience: audience.sorted(), id: id)
        let now = environment.now()
        let old = kept.withLock { $0[key] }
        if let old, now < old.renewAt { return old.svid }
        do throws(WorkloadAPIError) {
            let fresh = try await client.fetchJWTSVID(audience: audience, id: id)
            try keep(fresh, for: key, asked: audience)
            return fresh
        } catch {
            if case .unavailable = error, let old, now < old.expiresAt { return old.svid }
            kept.withLock { $0[key] = nil }
            throw error
        }
    }

    /// Forgets every token, for when the identity was withdrawn.
    package func forget() {
        kept.withLock { $0 = [:] }
    }

    private func keep(_ svid: WorkloadJWTSVID, for key: Key, asked audience: [String]) throws(WorkloadAPIError) {
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
            svid: svid, renewAt: start.adding(milliseconds: life / 2), expiresAt: token.expiresAt)
        kept.withLock { kept in
            kept[key] = entry
            guard kept.count > Self.maximumTokens,
                let first = kept.min(by: { $0.value.expiresAt < $1.value.expiresAt })
            else { return }
            kept[first.key] = nil
        }
    }
}
