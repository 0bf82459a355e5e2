package import Authentication
package import JOSE
import SPIFFE
import Synchronization

/// The keys of an issuer as a resource server needs them: read when they are first asked for, again when they are old or a
/// token names one that is not among them, and no more often than every ``floor`` seconds whatever tokens say.
package final class IssuerKeySource: Sendable {
    private typealias Flight = Task<Bool, Never>

    private struct State {
        var keys: [JWK] = []
        /// When `keys` were read; nil before.
        var readAt: UnixTime?
        var askedAt: UnixTime?
        var flight: Flight?
    }

    /// Milliseconds between two questions.
    package static let floor: Int64 = 30_000
    /// Milliseconds after which keys are read again.
    package static let freshness: Int64 = 300_000
    /// Milliseconds for which they count when the server is away: a key that it has withdrawn counts as long, unless it is
    /// revoked.
    package static let staleness: Int64 = 3_600_000
    /// Most keys that are kept.
    package static let maximumKeys = 100

    private let server: AuthorizationServer
    private let environment: SourceEnvironment
    // Guards the keys; never held across a call.
    private let state = Mutex(State())

    package init(server: AuthorizationServer, environment: SourceEnvironment) {
        self.server = server
        self.environment = environment
    }

    /// The key with this ID.
    package func key(_ keyID: String) async throws(AccessTokenRefusal) -> JWSVerificationKey {
        for _ in 0..<2 {
            switch step(keyID) {
            case .found(let jwk):
                do {
                    return try JWSVerificationKey(jwk: jwk)
                } catch {
                    throw .unknownKey
                }
            case .refused(let refusal): throw refusal
            case .wait(let flight):
                // What it brought is looked at in the next round.
                _ = await flight.value
            }
        }
        switch step(keyID) {
        case .found(let jwk):
            guard let key = try? JWSVerificationKey(jwk: jwk) else { throw .unknownKey }
            return key
        case .refused(let refusal): throw refusal
        case .wait: throw .keysUnavailable
        }
    }

    private enum Step {
        case found(JWK)
        case refused(AccessTokenRefusal)
        case wait(Flight)
    }

    private func step(_ keyID: String) -> Step {
        let now = environment.now()
        return state.withLock { state in
            // A clock that was set back makes everything old.
            let age = state.readAt.map { now.milliseconds(since: $0) }.flatMap { $0 < 0 ? nil : $0 }
            let found = age.flatMap { $0 < Self.staleness ? $0 : nil }.flatMap { _ in
                state.keys.first { $0.kid?.hasSameBytes(as: keyID) ?? false }
            }
            if let found, let age, age < Self.freshness { return .found(found) }
            if let flight = state.flight {
                if let found { return .found(found) }
                return .wait(flight)
            }
            let sinceAsked = state.askedAt.map { now.milliseconds(since: $0) }
            if let sinceAsked, (0..<Self.floor).contains(sinceAsked) {
                if let found { return .found(found) }
                return .refused(age.map { $0 < Self.staleness } == true ? .unknownKey : .keysUnavailable)
            }
            state.askedAt = now
            let flight = Flight { await self.read() }
            state.flight = flight
            return .wait(flight)
        }
    }

    private func read() async -> Bool {
        let keys: [JWK]?
        do {
            keys = try await server.keys().keys
        } catch {
            keys = nil
        }
        let now = environment.now()
        return state.withLock { state in
            state.flight = nil
            guard let keys, keys.count <= Self.maximumKeys else { return false }
            state.keys = keys
            state.readAt = now
            return true
        }
    }
}
