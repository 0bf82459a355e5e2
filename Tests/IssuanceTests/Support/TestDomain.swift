import Attestation
import AuditTrail
import Crypto
import JOSE
import Registry
import SPIFFE
import Testing
import TransparencyLog

@testable import Issuance

/// The trust domain `example.org` in this process, with stores that can fail and a clock that stands still.
final class TestDomain: Sendable {
    let trustDomain: TrustDomain
    let clock = ManualClock()
    let random: SeededBytes
    let keys: FaultyKeyStore
    let records = FaultyAuthorityStore()
    let auditStore = FaultyAuditStore()
    let log: AuditLog
    private let checkpointKey = Curve25519.Signing.PrivateKey()

    private init(seed: UInt64) async throws {
        trustDomain = try TrustDomain("example.org")
        random = SeededBytes(seed: seed)
        keys = FaultyKeyStore(randomBytes: random.draw)
        log = try await AuditLog.open(
            store: auditStore, signer: try NoteSigner(name: "example.org/log", privateKey: checkpointKey),
            origin: "example.org/log", now: clock.read, randomBytes: random.draw)
    }

    /// Runs the body beside the running log.
    static func run(seed: UInt64 = 7, _ body: (TestDomain) async throws -> Void) async throws {
        let domain = try await TestDomain(seed: seed)
        let log = domain.log
        let running = Task { try await log.run() }
        do {
            try await body(domain)
        } catch {
            log.stop()
            try await running.value
            throw error
        }
        log.stop()
        try await running.value
    }

    /// The authorities as they open now, after the first round, which makes the key that opening leaves to it; call again
    /// for a restart.
    func open(
        _ options: Authorities.Options = Authorities.Options(), keyStore: (any KeyStore)? = nil
    ) async throws -> Authorities {
        let authorities = try await openAlone(options, keyStore: keyStore)
        try await authorities.tick(at: clock.now)
        return authorities
    }

    /// The authorities as opening alone leaves them.
    func openAlone(
        _ options: Authorities.Options = Authorities.Options(), keyStore: (any KeyStore)? = nil
    ) async throws(AuthoritiesError) -> Authorities {
        try await Authorities.open(
            trustDomain: trustDomain, keyStore: keyStore ?? keys, store: records, audit: log, options: options,
            now: clock.read, randomBytes: random.draw)
    }

    func issuer(_ authorities: Authorities, _ defaults: IssuanceDefaults = IssuanceDefaults()) -> Issuer {
        Issuer(
            authorities: authorities, audit: log, defaults: defaults, now: clock.read, randomBytes: random.draw)
    }

    func entry(
        _ path: String = "/payments/refund-agent", x509SVIDTTL: Int32 = 0, jwtSVIDTTL: Int32 = 0,
        isDownstream: Bool = false, expiresAt: UnixTime? = nil, dnsNames: [String] = [], includesJTI: Bool = false,
        trustDomain other: String? = nil
    ) throws -> RegistrationEntry {
        RegistrationEntry(
            id: "entry-1", spiffeID: try SPIFFEID("spiffe://\(other ?? "example.org")\(path)"),
            parentID: try SPIFFEID("spiffe://example.org/spire/agent/join_token/t"),
            selectors: [], x509SVIDTTL: x509SVIDTTL, jwtSVIDTTL: jwtSVIDTTL, isDownstream: isDownstream,
            expiresAt: expiresAt, dnsNames: dnsNames, createdAt: clock.now,
            attributes: EntryAttributes(jwtSVIDIncludeJTI: includesJTI))
    }

    func request(uri: String? = nil, dnsNames: [String] = []) throws -> CertificateSigningRequest {
        let key = try P256.Signing.PrivateKey.fresh(randomBytes: random.draw)
        return try CertificateSigningRequest(
            parsing: try CSRBuilder.make(privateKey: key, uri: uri, dnsNames: dnsNames))
    }

    var caller: IssuanceCaller {
        IssuanceCaller(
            agent: AuditEvent.AgentField(id: "spiffe://example.org/spire/agent/join_token/t", authMethod: .mtls),
            requestID: "request-1")
    }

    /// Every event in the log, in order.
    func events() async throws -> [AuditEvent] {
        var events: [AuditEvent] = []
        while true {
            let page = try await log.entries(from: Int64(events.count), count: 200)
            if page.isEmpty { return events }
            for entry in page { events.append(try AuditEvent(leaf: entry.leaf)) }
        }
    }

    func events(of type: EventType) async throws -> [AuditEvent] { try await events().filter { $0.type == type } }
}
