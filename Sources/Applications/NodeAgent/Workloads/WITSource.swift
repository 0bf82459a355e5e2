import Crypto
import GRPCCore
import Logging
import SPIFFE
import Synchronization
import WorkloadAPI

/// WIT-SVIDs with a fresh key each: from the cache until about half of their life is over, else signed anew; a cached one
/// as long as it has not expired when the server is away.
final class WITSource: Sendable {
    /// How long a replacement that failed is left alone, in milliseconds.
    static let retry: Int64 = 5000

    private let cache: AgentCache
    private let syncSignal: Signal
    private let logger: Logger
    private let now: @Sendable () -> UnixTime
    private let random: @Sendable () -> Double
    private let connection = Mutex<ServerConnection?>(nil)

    init(
        cache: AgentCache, syncSignal: Signal, logger: Logger, now: @escaping @Sendable () -> UnixTime,
        random: @escaping @Sendable () -> Double
    ) {
        self.cache = cache
        self.syncSignal = syncSignal
        self.logger = logger
        self.now = now
        self.random = random
    }

    /// Asks this server from now on.
    func use(_ connection: ServerConnection) {
        self.connection.withLock { $0 = connection }
    }

    /// One token per entry, in their order; entries whose token cannot be had now are left out. None when the server has
    /// none of the entries any more.
    func svids(for entries: [AuthorizedEntry]) async throws(WorkloadAPIError) -> [(AuthorizedEntry, WITCache.Token)] {
        let time = now()
        let turn = cache.withWITs(\.turn)
        var tokens: [String: WITCache.Token] = [:]
        var wanted: [AuthorizedEntry] = []
        for entry in entries {
            let cached = cache.withWITs { $0.token(for: entry, at: time) }
            tokens[entry.id] = cached
            guard let cached, !cached.isDue(at: time), cached.revision == entry.revision else {
                wanted.append(entry)
                continue
            }
        }
        if !wanted.isEmpty {
            do {
                let (signed, gone) = try await sign(wanted)
                for token in signed {
                    tokens[token.entryID] = cache.withWITs { $0.store(token, asked: turn, at: time) }
                }
                // A cached token does not count then either.
                for id in gone { tokens[id] = nil }
                if gone.count == entries.count { return [] }
            } catch {
                let call = error as? RPCError
                if call?.refusal != nil { syncSignal.fire() }
                logger.warning(
                    "WIT-SVIDs were not signed",
                    metadata: ["count": "\(wanted.count)", "reason": "\(call?.message ?? String(describing: error))"])
                cache.withWITs { $0.postpone(wanted.map(\.id), to: time.adding(milliseconds: Self.retry)) }
                // A server without these tokens, as SPIRE's are.
                if call?.code == .unimplemented { throw .unimplemented("the server issues no WIT-SVIDs") }
            }
        }
        let served = entries.compactMap { entry in tokens[entry.id].map { (entry, $0) } }
        guard !served.isEmpty else { throw .unavailable("the WIT-SVID cannot be signed now") }
        return served
    }

    /// One call per batch; what cannot be used of its results is left out. `gone` are the IDs of entries that the server
    /// does not have any more.
    private func sign(
        _ entries: [AuthorizedEntry]
    ) async throws -> (signed: [WITCache.Token], gone: Set<String>) {
        guard let connection = connection.withLock({ $0 }) else {
            throw RPCError(code: .unavailable, message: "the node agent is not ready")
        }
        var signed: [WITCache.Token] = []
        var gone: Set<String> = []
        var rest = entries[...]
        while !rest.isEmpty {
            let portion = Array(rest.prefix(ServerCalls.maximumBatch))
            rest = rest.dropFirst(portion.count)
            let keys = portion.map { _ in P256.Signing.PrivateKey() }
            let results = try await connection.call {
                try await $0.signWITs(zip(portion, keys).map { ($0.id, Array($1.publicKey.derRepresentation)) })
            }
            for (position, result) in results.enumerated() {
                let entry = portion[position]
                switch result {
                case .token(let text):
                    if let token = check(text, keys[position], entry) { signed.append(token) }
                case .refused(let code, let message):
                    // Not found: the entry has just gone; the next exchange of entries says so.
                    if code == RPCError.Code.notFound.rawValue {
                        syncSignal.fire()
                        gone.insert(entry.id)
                    }
                    logger.warning(
                        "a WIT-SVID was not signed", metadata: ["entry": "\(entry.id)", "reason": "\(message)"])
                }
            }
        }
        return (signed, gone)
    }

    /// What is handed out names the entry's identity and the key that goes with it.
    private func check(
        _ text: String, _ key: P256.Signing.PrivateKey, _ entry: AuthorizedEntry
    ) -> WITCache.Token? {
        guard let token = try? UnverifiedWITSVID(parsing: text), token.unverifiedID == entry.spiffeID,
            token.confirmationKey.derSPKI == Array(key.publicKey.derRepresentation)
        else {
            logger.error("a signed WIT-SVID cannot be used", metadata: ["entry": "\(entry.id)"])
            return nil
        }
        let time = now()
        return WITCache.Token(
            entryID: entry.id, id: entry.spiffeID, text: text, privateJWK: WITSVID.privateJWK(key),
            holder: token.confirmationKey, jwtID: token.claims.json["jti"]?.stringValue,
            keyID: token.keyID, obtainedAt: time, expiresAt: token.expiresAt,
            rotatesAt: RotationSchedule.rotation(obtained: time, expires: token.expiresAt, random: random()),
            revision: entry.revision)
    }
}
