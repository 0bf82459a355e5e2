package import AuditTrail
package import JOSE
package import SPIFFE
import Synchronization

/// The trust domain's authorities: makes them, lets them take turns on schedule, and publishes their public halves.
///
/// Reading is cheap and never waits: every change makes a new immutable snapshot. Changes happen one at a time, each
/// as intent, act and outcome in the audit log.
package final class Authorities: Sendable {
    /// Lifetimes of new authorities, in seconds, and how often consumers shall look at the bundle.
    package struct Options: Sendable {
        package var x509Lifetime: Int64
        /// Of keys for JWT- and WIT-SVIDs.
        package var jwtLifetime: Int64
        /// Of keys for access tokens.
        package var tokenLifetime: Int64
        /// Of keys for agent cards.
        package var cardLifetime: Int64
        /// Seconds, the bundle's refresh hint.
        package var refreshHint: Int64

        /// A day for all kinds, as in SPIRE, but for keys of cards, which have to verify for as long as cards lie about. The hint is a tenth of the shorter life of what is in the bundle, within a
        /// second and five minutes.
        package init(
            x509Lifetime: Int64 = 86_400, jwtLifetime: Int64 = 86_400, tokenLifetime: Int64 = 86_400,
            cardLifetime: Int64 = 365 * 86_400, refreshHint: Int64? = nil
        ) {
            self.x509Lifetime = x509Lifetime
            self.jwtLifetime = jwtLifetime
            self.tokenLifetime = tokenLifetime
            self.cardLifetime = cardLifetime
            self.refreshHint = refreshHint ?? min(300, max(1, min(x509Lifetime, jwtLifetime) / 10))
        }
    }

    /// The trust domain that the authorities vouch for.
    package let trustDomain: TrustDomain
    let keyStore: any KeyStore
    let store: any AuthorityStore
    let audit: AuditLog
    let now: Clock
    let randomBytes: RandomBytes
    let options: Options
    /// Who signs new authorities for X.509-SVIDs; nil when they are their own roots.
    package let upstream: (any UpstreamAuthority)?
    /// Changes pass one at a time.
    let turnstile = Turnstile()
    private let state: Mutex<State>

    private struct State {
        var snapshot: AuthoritySnapshot
        /// What the store holds is not known since a write failed: load before the next change.
        var mustReload = false
        var subscribers: [UInt64: AsyncStream<Int64>.Continuation] = [:]
        var nextSubscriber: UInt64 = 0
    }

    /// Loads what is stored, makes what is missing, and is ready to sign SVIDs when it returns. RSA keys, which take long
    /// to make, are left to the next ``tick(at:)``: until then ``entraActive`` is nil where there was none before.
    package static func open(
        trustDomain: TrustDomain, keyStore: any KeyStore, store: any AuthorityStore, audit: AuditLog,
        options: Options = Options(), upstream: (any UpstreamAuthority)? = nil, now: @escaping Clock,
        randomBytes: @escaping RandomBytes
    ) async throws(AuthoritiesError) -> Authorities {
        let authorities = try Authorities(
            trustDomain: trustDomain, keyStore: keyStore, store: store, audit: audit, options: options,
            upstream: upstream, now: now, randomBytes: randomBytes)
        try await authorities.tick(at: now(), makingKeysFor: AuthorityRecord.Kind.quick)
        return authorities
    }

    private init(
        trustDomain: TrustDomain, keyStore: any KeyStore, store: any AuthorityStore, audit: AuditLog,
        options: Options, upstream: (any UpstreamAuthority)?, now: @escaping Clock, randomBytes: @escaping RandomBytes
    ) throws(AuthoritiesError) {
        self.trustDomain = trustDomain
        self.keyStore = keyStore
        self.store = store
        self.audit = audit
        self.options = options
        self.upstream = upstream
        self.now = now
        self.randomBytes = randomBytes
        guard let serverID = try? SPIFFEID(trustDomain: trustDomain, path: "/spire/server") else {
            throw .damaged(id: trustDomain.name)
        }
        self.serverID = serverID
        let empty = try AuthoritySnapshot(
            machine: AuthorityStateMachine(stored: StoredAuthorities()), keys: [:], trustDomain: trustDomain,
            refreshHint: options.refreshHint)
        state = Mutex(State(snapshot: empty, mustReload: true))
    }

    /// The control plane's own SPIFFE ID, `/spire/server`.
    package let serverID: SPIFFEID

    /// The authority that signs X.509-SVIDs now; nil while none can.
    package var x509Active: X509SigningAuthority? { snapshot.x509 }

    /// Those that signed X.509-SVIDs before it, as long as they are in the bundle.
    package var x509Former: [FormerX509Authority] { snapshot.former }

    /// The key that signs JWT-SVIDs now; nil while none can.
    package var jwtActive: JWTSigningAuthority? { snapshot.jwt }

    /// The key that signs access tokens under our own issuer now; nil while none can.
    package var oauthActive: TokenSigningAuthority? { snapshot.oauth }

    /// The key that signs access tokens in the form of Microsoft Entra now; nil while none can.
    package var entraActive: TokenSigningAuthority? { snapshot.entra }

    /// The key that signs agent cards now; nil while none can.
    package var cardActive: CardSigningAuthority? { snapshot.card }

    /// What verifiers of agent cards have to know: the key that signs now first, then the next one, then former ones.
    package var cardKeys: [JWK] { snapshot.cardKeys.map(TokenKeys.published) }

    /// The public keys for access tokens of both kinds.
    package var tokenKeys: TokenKeys { snapshot.tokenKeys }

    /// What verifiers of our own issuer's access tokens have to know; the key that signs now stands first.
    package var oauthKeys: [JWK] { snapshot.tokenKeys.oauth }

    /// What verifiers of access tokens in the form of Microsoft Entra have to know: RSA keys alone, the one that signs now
    /// first.
    package var entraKeys: [JWK] { snapshot.tokenKeys.entra }

    /// Every authority whose signatures may still be around or soon will be.
    package var bundle: TrustBundle { snapshot.bundle }

    /// The half of the bundle that verifies X.509-SVIDs.
    package var x509Bundle: X509Bundle { snapshot.x509Bundle }

    /// The bundle's sequence number; grows with every change of the bundle, also across restarts.
    package var bundleRevision: Int64 { snapshot.machine.stored.bundleRevision }

    /// All authorities with their states, in the order in which they were made.
    package var records: [AuthorityRecord] { snapshot.machine.stored.records }

    /// The bundle's revision, now and after every change; a slow reader gets the latest one only.
    package func changes() -> AsyncStream<Int64> {
        let (stream, continuation) = AsyncStream.makeStream(of: Int64.self, bufferingPolicy: .bufferingNewest(1))
        let number = state.withLock { state in
            let number = state.nextSubscriber
            state.nextSubscriber += 1
            state.subscribers[number] = continuation
            continuation.yield(state.snapshot.machine.stored.bundleRevision)
            return number
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { $0.subscribers[number] = nil }
        }
        return stream
    }

    var snapshot: AuthoritySnapshot { state.withLock(\.snapshot) }

    var mustReload: Bool { state.withLock(\.mustReload) }

    /// After a failed write nobody knows what the store holds.
    func distrustStore() {
        state.withLock { $0.mustReload = true }
    }

    /// Makes this state the current one and tells the subscribers if the bundle changed.
    func publish(
        _ machine: AuthorityStateMachine, keys: [KeyID: AuthorityKey], isReloaded: Bool = false
    ) throws(AuthoritiesError) {
        // Only whoever is behind the turnstile gets here, so nothing changes between reading and writing.
        let snapshot = try AuthoritySnapshot(
            machine: machine, keys: keys, trustDomain: trustDomain, refreshHint: options.refreshHint,
            previous: snapshot)
        state.withLock { state in
            let before = state.snapshot.machine.stored.bundleRevision
            state.snapshot = snapshot
            if isReloaded { state.mustReload = false }
            let revision = machine.stored.bundleRevision
            guard revision != before else { return }
            for subscriber in state.subscribers.values { subscriber.yield(revision) }
        }
    }
}
