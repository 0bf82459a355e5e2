import AgentDirectory
import AgentShieldTesting
import AuditTrail
import Authentication
import Crypto
import Issuance
import JOSE
import Logging
import OAuth
import Registry
import SPIFFE
import Testing
import TokenService
import TransparencyLog

@testable import ControlPlane

/// What is acknowledged is durable: a delivery that failed on its way counts when it comes again.
struct SignalReceiverTests {
    private static let issuer = "https://idp.example"
    private static let start = UnixTime(seconds: 1_900_000_000)
    private static let randomBytes: @Sendable (Int) -> [UInt8] = { count in
        (0..<count).map { _ in UInt8.random(in: .min ... .max) }
    }

    /// A receiver over memory, with one agent that the transmitter reaches.
    private struct World {
        let clock: ManualClock
        let faults = FaultPlan()
        let auditFaults: FaultPlan
        let store: MemoryAuditStore
        let key = JWSSigningKey(p256: P256.Signing.PrivateKey(), keyID: "k")
        let log: AuditLog
        let directory: AgentDirectory
        let receiver: SignalReceiver
        let agent: AgentIdentity

        static func run(_ body: (World) async throws -> Void) async throws {
            let auditFaults = FaultPlan()
            let store = MemoryAuditStore()
            let clock = ManualClock(start)
            let log = try await AuditLog.open(
                store: FaultyAuditStore(store, plan: auditFaults),
                signer: try NoteSigner(name: "example.org/log", privateKey: Curve25519.Signing.PrivateKey()),
                origin: "example.org/log", now: clock.now, randomBytes: randomBytes)
            let running = Task { try await log.run() }
            do {
                try await body(try await World(log, auditFaults, store, clock))
            } catch {
                log.stop()
                try await running.value
                throw error
            }
            log.stop()
            try await running.value
        }

        private init(
            _ log: AuditLog, _ auditFaults: FaultPlan, _ store: MemoryAuditStore, _ clock: ManualClock
        ) async throws {
            let trustDomain = try TrustDomain("example.org")
            self.log = log
            let faults = faults
            directory = try await AgentDirectory.open(
                trustDomain: trustDomain, store: FaultyDirectoryStore(InMemoryDirectoryStore(), plan: faults),
                audit: log,
                now: clock.now, randomBytes: randomBytes)
            let registry = try await Registry.open(
                trustDomain: trustDomain, stores: InMemoryRegistryStores().registryStores, audit: log, now: clock.now,
                randomBytes: randomBytes)
            let authorities = try await Authorities.open(
                trustDomain: trustDomain, keyStore: MemoryKeyStore(randomBytes: randomBytes),
                store: InMemoryAuthorityStore(), audit: log, now: clock.now, randomBytes: randomBytes)
            let revocations = try await RevocationRegister.open(
                trustDomain: trustDomain, store: InMemoryRevocationStore(), audit: log, now: clock.now,
                randomBytes: randomBytes)
            let names: @Sendable () -> TokenServiceNames? = {
                TokenServiceNames(base: "https://as.example.org", tenant: "example.org")
            }
            let keys: JSONValue = ["keys": [.object(key.verificationKey.jwk.json())]]
            let trusted = try TrustedIssuer(
                issuer: issuer, jwks: keys.serializedBytes, algorithms: [.rs256, .es256])
            receiver = SignalReceiver(
                [SignalIssuer(issuer: trusted)],
                keyring: try IssuerKeyring(
                    [trusted], now: clock.now, observe: { _ in },
                    fetch: { _ throws(IssuerDocumentError) in throw .timeout }),
                revocation: SubjectRevocation(
                    directory: directory, registry: registry, authorities: authorities, revocations: revocations,
                    names: names, jwtIssuer: nil),
                audit: log,
                refusals: RefusalRecorder(log: log, now: clock.now, sleep: { try await Task.sleep(for: $0) }),
                names: names, limiter: RateLimiter(perSecond: nil, now: clock.now, sleep: { _ in }), now: clock.now,
                randomBytes: randomBytes, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            let caller = DirectoryCaller(.internal(), requestID: "r")
            let made = try await directory.createAgent(
                AgentDraft(
                    name: AgentName("a"), spiffeID: SPIFFEID("spiffe://example.org/a"), owner: Person("o"),
                    sponsor: Person("s")), by: caller)
            try await directory.addFederatedCredential(
                FederatedCredential(name: AgentName("idp"), issuer: issuer, subject: .exactly("app")), toAgent: made.id,
                by: caller)
            agent = made
            self.auditFaults = auditFaults
            self.store = store
            self.clock = clock
        }

        func token(_ id: String = "j", subject: String = "app") throws -> [UInt8] {
            let claims: JSONObject = [
                "iss": .string(issuer), "aud": "https://as.example.org/ssf/events", "jti": .string(id),
                "iat": .number(JSONNumber(clock.time.seconds)),
                "sub_id": ["format": "iss_sub", "iss": .string(issuer), "sub": .string(subject)],
                "events": .object([SecurityEvent.caep + "session-revoked": [:]]),
            ]
            return Array(
                try CompactJWS.sign(type: "secevent+jwt", payload: claims.serializedBytes, key: key).utf8)
        }

        var state: AgentIdentity.State? { directory.snapshot.agent(agent.id)?.state }

        func enable() async throws {
            _ = try await directory.enableAgent(agent.id, by: DirectoryCaller(.internal(), requestID: "r"))
        }

        func events(_ type: EventType) async throws -> Int {
            try await store.entries(from: 0, count: 1000).count {
                String(decoding: $0.leaf, as: UTF8.self).contains("\"\(type.rawValue)\"")
            }
        }
    }

    private func expectUnavailable(_ body: () async throws -> Void) async throws {
        do {
            try await body()
            Issue.record("acknowledged")
        } catch SignalReceiver.Refusal.unavailable {
            return
        }
    }

    @Test("a store that fails, before or after writing, is no acknowledgement", arguments: Fault.allCases)
    func storeFails(fault: Fault) async throws {
        try await World.run { world in
            let token = try world.token()
            world.faults.arm(fault)
            try await expectUnavailable { try await world.receiver.receive(token, from: "192.0.2.1") }
            #expect(world.state == (fault == .before ? .enabled : .disabled))
            try await world.receiver.receive(token, from: "192.0.2.1")
            #expect(world.state == .disabled)
            // From here on it is known.
            try await world.enable()
            try await world.receiver.receive(token, from: "192.0.2.1")
            #expect(world.state == .enabled)
            #expect(try await world.events(.signalReceive) == 1)
        }
    }

    @Test("nor is a log that fails: at the intent, at the outcome, at the record of the delivery", arguments: 1...3)
    func logFails(number: Int) async throws {
        try await World.run { world in
            let token = try world.token()
            world.auditFaults.arm(.before, atCall: number)
            try await expectUnavailable { try await world.receiver.receive(token, from: "192.0.2.1") }
            #expect(world.state == (number == 1 ? .enabled : .disabled))
            try await world.receiver.receive(token, from: "192.0.2.1")
            #expect(world.state == .disabled)
            #expect(try await world.events(.signalReceive) == 1)
        }
    }

    @Test("a delivery counts for a day, and is remembered for as long")
    func life() async throws {
        try await World.run { world in
            let token = try world.token()
            try await world.receiver.receive(token, from: "192.0.2.1")
            try await world.enable()
            world.clock.advance(seconds: 24 * 3600 - 1)
            try await world.receiver.receive(token, from: "192.0.2.1")
            #expect(world.state == .enabled)
            world.clock.advance(seconds: 1)
            await #expect(throws: SignalReceiver.Refusal.self) {
                try await world.receiver.receive(token, from: "192.0.2.1")
            }
            // Another one of the same day, about nobody.
            try await world.receiver.receive(world.token("k", subject: "app2"), from: "192.0.2.1")
            #expect(world.state == .enabled)
        }
    }
}
