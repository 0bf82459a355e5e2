import GRPCCore
import Logging
import SPIFFE
import Synchronization
import WorkloadAPI

/// JWT-SVIDs: from the cache while more than half of their life is left, else signed anew; a cached one as long as it
/// has not expired when the server is away.
final class TokenSource: Sendable {
    /// How long a signature may take.
    static let timeout = Duration.seconds(30)
    /// How long when there is a token to fall back on.
    static let shortTimeout = Duration.seconds(5)
    /// Identities whose tokens are signed at the same time.
    static let atOnce = 8

    private let cache: AgentCache
    private let syncSignal: Signal
    private let logger: Logger
    private let now: @Sendable () -> UnixTime
    private let connection = Mutex<ServerConnection?>(nil)

    init(cache: AgentCache, syncSignal: Signal, logger: Logger, now: @escaping @Sendable () -> UnixTime) {
        self.cache = cache
        self.syncSignal = syncSignal
        self.logger = logger
        self.now = now
    }

    /// Asks this server from now on.
    func use(_ connection: ServerConnection) {
        self.connection.withLock { $0 = connection }
    }

    /// One token per entry, in their order; all or none. Entries that the server does not have any more are left out.
    func tokens(
        for entries: [AuthorizedEntry], audience: [String]
    ) async throws(WorkloadAPIError) -> [(AuthorizedEntry, String)] {
        if let cached = freshTokens(for: entries, audience: audience) { return Array(zip(entries, cached)) }
        if entries.count == 1 {
            return try await token(for: entries[0], audience: audience).map { [(entries[0], $0)] } ?? []
        }
        do {
            return try await withThrowingTaskGroup(of: (Int, String?).self) { group in
                var tokens = [String?](repeating: nil, count: entries.count)
                for (position, entry) in entries.enumerated() {
                    if position >= Self.atOnce, let (done, token) = try await group.next() { tokens[done] = token }
                    group.addTask { (position, try await self.token(for: entry, audience: audience)) }
                }
                for try await (done, token) in group { tokens[done] = token }
                return zip(entries, tokens).compactMap { entry, token in token.map { (entry, $0) } }
            }
        } catch let error as WorkloadAPIError {
            throw error
        } catch {
            throw .unavailable("the JWT-SVID cannot be signed now")
        }
    }

    /// All of them from the cache, or nothing.
    private func freshTokens(for entries: [AuthorizedEntry], audience: [String]) -> [String]? {
        let time = now()
        return cache.withTokens { cache in
            var tokens: [String] = []
            for entry in entries {
                let key = JWTCache.Key(entryID: entry.id, audience: audience)
                guard !entry.hasUniqueJWTs, let token = cache.token(for: key, revision: entry.revision, at: time),
                    token.isFresh(at: time)
                else { return nil }
                tokens.append(token.text)
            }
            return tokens
        }
    }

    /// `nil` when the server does not have the entry any more: a cached token does not count then either.
    private func token(for entry: AuthorizedEntry, audience: [String]) async throws(WorkloadAPIError) -> String? {
        // A token with an ID of its own is for one use: it neither enters the cache nor comes from there.
        guard !entry.hasUniqueJWTs else {
            return try await sign(entry, audience, Self.timeout)?.text
        }
        let key = JWTCache.Key(entryID: entry.id, audience: audience)
        let time = now()
        let (cached, turn) = cache.withTokens {
            ($0.token(for: key, revision: entry.revision, at: time), $0.turn)
        }
        if let cached, cached.isFresh(at: time) { return cached.text }
        do {
            guard let token = try await sign(entry, audience, cached == nil ? Self.timeout : Self.shortTimeout) else {
                return nil
            }
            cache.withTokens { $0.store(token, for: key, asked: turn) }
            return token.text
        } catch {
            guard let cached, RotationSchedule.isUsable(expires: cached.expiresAt, at: now()) else { throw error }
            return cached.text
        }
    }

    /// `nil` when the server does not have the entry any more.
    private func sign(
        _ entry: AuthorizedEntry, _ audience: [String], _ timeout: Duration
    ) async throws(WorkloadAPIError) -> JWTCache.Token? {
        guard let connection = connection.withLock({ $0 }) else { throw .unavailable("the node agent is not ready") }
        do {
            let text = try await connection.call {
                try await $0.jwt(entryID: entry.id, audience: audience, timeout: timeout)
            }
            let token = try UnverifiedJWTSVID(parsing: text)
            guard token.unverifiedID == entry.spiffeID else {
                throw WorkloadAPIError.unavailable("the JWT-SVID cannot be signed now")
            }
            return JWTCache.Token(
                text: text, id: token.unverifiedID, keyID: token.keyID, obtainedAt: now(), expiresAt: token.expiresAt,
                revision: entry.revision)
        } catch {
            let call = error as? RPCError
            // An entry that is gone, or a node that is not wanted any more: the next exchange shows it.
            if call?.code == .notFound || call?.refusal != nil { syncSignal.fire() }
            logger.warning(
                "a JWT-SVID was not signed",
                metadata: ["entry": "\(entry.id)", "reason": "\(call?.message ?? String(describing: error))"])
            if call?.code == .notFound { return nil }
            throw .unavailable("the JWT-SVID cannot be signed now")
        }
    }
}
