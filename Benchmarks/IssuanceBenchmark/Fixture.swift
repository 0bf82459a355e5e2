import AuditTrail
import Crypto
import Issuance
import Registry
import SPIFFE
import Synchronization
import TransparencyLog

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A trust domain in this process: authorities, log, one entry and some requests.
struct Fixture: Sendable {
    let log: AuditLog
    let issuer: Issuer
    let entry: RegistrationEntry
    /// DER, each of another key.
    let requests: [[UInt8]]
    let caller = IssuanceCaller(
        agent: AuditEvent.AgentField(
            id: "spiffe://bench.test/spire/agent/join_token/9d1c2f9e-34a5-4a55-9f53-6cf9f6a9f3ce", authMethod: .mtls,
            credentialHash: String(repeating: "ab", count: 32),
            peer: AuditEvent.PeerField(address: "192.0.2.7:41234")),
        requestID: "0123456789abcdef0123456789abcdef")

    static let now: Clock = {
        UnixTime(milliseconds: Measurement.timeOfDay)
    }

    static let randomBytes: RandomBytes = { count in
        [UInt8](unsafeUninitializedCapacity: count) { buffer, initializedCount in
            // Gives up to 256 bytes, all or none.
            if let start = buffer.baseAddress, getentropy(start, count) == 0 { initializedCount = count }
        }
    }

    /// Runs the body beside a running log.
    static func with<Result: Sendable>(
        _ store: any AuditStore, _ body: @Sendable (Fixture) async throws -> Result
    ) async throws -> Result {
        let trustDomain = try TrustDomain("bench.test")
        let log = try await AuditLog.open(
            store: store, signer: try NoteSigner(name: "bench.test/log", privateKey: .init()),
            origin: "bench.test/log", now: now, randomBytes: randomBytes)
        let running = Task { try await log.run() }
        let authorities = try await Authorities.open(
            trustDomain: trustDomain, keyStore: MemoryKeyStore(randomBytes: randomBytes), store: Records(), audit: log,
            now: now, randomBytes: randomBytes)
        let id = try SPIFFEID(trustDomain: trustDomain, path: "/agents/refund-assistant")
        let entry = RegistrationEntry(
            id: "7f3d9a52-8a55-4d52-9c27-0d9d6ad8f0aa", spiffeID: id,
            parentID: try SPIFFEID(trustDomain: trustDomain, path: "/spire/agent/join_token/one"), selectors: [],
            createdAt: now())
        let requests = try (0..<256).map { _ in
            try CSRBuilder.make(privateKey: try .fresh(randomBytes: randomBytes))
        }
        let result = try await body(
            Fixture(
                log: log, issuer: Issuer(authorities: authorities, audit: log, now: now, randomBytes: randomBytes),
                entry: entry, requests: requests))
        log.stop()
        try await running.value
        return result
    }
}

/// Authorities that end with the process.
private final class Records: AuthorityStore {
    private let stored = Mutex(StoredAuthorities())

    func load() async throws(StoreError) -> StoredAuthorities { stored.withLock(\.self) }

    func replace(with authorities: StoredAuthorities) async throws(StoreError) {
        stored.withLock { $0 = authorities }
    }
}
