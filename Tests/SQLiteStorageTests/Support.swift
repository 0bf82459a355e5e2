import Attestation
import AuditTrail
import Crypto
import Foundation
import Issuance
import Registry
import SPIFFE
import Synchronization
import TransparencyLog

let testNow: @Sendable () -> UnixTime = { UnixTime(milliseconds: 1_795_462_440_123) }

let testRandomBytes: @Sendable (Int) -> [UInt8] = { count in
    var generator = SystemRandomNumberGenerator()
    return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
}

func event(_ number: Int = 0) -> AuditEvent {
    AuditEvent(
        type: .x509SVIDIssue,
        agent: AuditEvent.AgentField(id: "spiffe://example.org/spire/agent/join_token/abc", authMethod: .mtls),
        resource: AuditEvent.ResourceField(kind: "x509-svid", id: "spiffe://example.org/agent/\(number)"),
        decision: AuditEvent.DecisionField(action: "issue", result: .permit),
        correlation: AuditEvent.CorrelationField(requestID: "request-\(number)"))
}

/// The key and the name of a log whose store is opened several times.
struct LogIdentity {
    let origin = "example.org/log"
    let signer: NoteSigner

    init() throws { signer = try NoteSigner(name: "example.org/log", privateKey: Curve25519.Signing.PrivateKey()) }

    func open(_ store: any AuditStore) async throws -> AuditLog {
        try await AuditLog.open(
            store: store, signer: signer, origin: origin, now: testNow, randomBytes: testRandomBytes)
    }

    @discardableResult
    func verify(_ store: any AuditStore) async throws -> AuditLogVerification.Report {
        try await AuditLogVerification.verify(store, verifiers: [signer.verifier], origin: origin)
    }
}

/// Runs the log while the body runs.
@discardableResult
func withRunning<Value: Sendable>(
    _ log: AuditLog, _ body: @Sendable () async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await log.run() }
        do {
            let value = try await body()
            log.stop()
            try await group.waitForAll()
            return value
        } catch {
            log.stop()
            throw error
        }
    }
}

/// Runs numbered calls side by side.
func inParallel<Value: Sendable>(
    _ count: Int, _ body: @escaping @Sendable (Int) async throws -> Value
) async throws -> [Value] {
    try await withThrowingTaskGroup(of: Value.self) { group in
        for number in 0..<count { group.addTask { try await body(number) } }
        var values: [Value] = []
        for try await value in group { values.append(value) }
        return values
    }
}

/// A directory that goes with the value.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "agentshield-tests-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Copies all files while they may be in use: what a kill at this moment leaves behind.
    func copied() throws -> TemporaryDirectory {
        let copy = try TemporaryDirectory()
        for name in try FileManager.default.contentsOfDirectory(atPath: path) {
            // Shared memory is rebuilt from the write-ahead log when nobody has the files open.
            guard !name.hasSuffix("-shm") else { continue }
            try FileManager.default.copyItem(atPath: "\(path)/\(name)", toPath: "\(copy.path)/\(name)")
        }
        return copy
    }
}

/// Values of every kind that the stores keep, with each field set to something of its own.
enum Sample {
    static func entry(_ id: String, revision: Int64 = 0) throws -> RegistrationEntry {
        RegistrationEntry(
            id: id, spiffeID: try SPIFFEID("spiffe://example.org/agent/\(id)"),
            parentID: try SPIFFEID("spiffe://example.org/agentshield/any-node"),
            selectors: [try Selector(parsing: "unix:path:/bin/\"x\""), try Selector(parsing: "unix:uid:1000")],
            x509SVIDTTL: 60, jwtSVIDTTL: 30, federatesWith: [try TrustDomain("example.net")], isAdmin: true,
            isDownstream: true, expiresAt: UnixTime(milliseconds: 5001), dnsNames: ["b.example", "a.example"],
            hint: "hé\u{0}", revision: revision, storeSVID: true, createdAt: UnixTime(milliseconds: -7),
            attributes: EntryAttributes(disableX509SVIDPrefetch: true, jwtSVIDIncludeJTI: true))
    }

    static func plainEntry(_ id: String) throws -> RegistrationEntry {
        RegistrationEntry(
            id: id, spiffeID: try SPIFFEID("spiffe://example.org/plain"),
            parentID: try SPIFFEID("spiffe://example.org/node"), selectors: [try Selector(parsing: "k8s:ns:x")],
            createdAt: UnixTime(milliseconds: 1))
    }

    static func node(_ name: String, isBanned: Bool = false) throws -> NodeRecord {
        NodeRecord(
            id: try SPIFFEID("spiffe://example.org/spire/agent/join_token/\(name)"), attestationType: "join_token",
            currentSerial: isBanned ? nil : try SerialNumber(hex: "0102"), currentExpiresAt: UnixTime(milliseconds: 9),
            pendingSerial: isBanned ? nil : try SerialNumber(hex: "7f03"),
            pendingExpiresAt: isBanned ? nil : UnixTime(milliseconds: 10), canReattest: true,
            selectors: [try Selector(parsing: "a:b")], isBanned: isBanned, agentVersion: "1.2\u{0}3",
            createdAt: UnixTime(milliseconds: 8))
    }

    static func bundle(_ trustDomain: String, _ text: String) throws -> FederatedBundle {
        FederatedBundle(
            trustDomain: try TrustDomain(trustDomain), document: Array(text.utf8),
            updatedAt: UnixTime(milliseconds: 3))
    }

    static func authorities() throws -> StoredAuthorities {
        let x509 = AuthorityRecord(
            kind: .x509, id: "aa", keyID: try KeyID("x509-1"), certificate: [1, 2], publicKey: [3],
            notBefore: UnixTime(milliseconds: 1), notAfter: UnixTime(milliseconds: 2), status: .active,
            createdAt: UnixTime(milliseconds: 3),
            upstream: AuthorityRecord.Upstream(rootID: "bb", chain: [[0x30, 1, 5], [0x30, 0]]))
        let jwt = AuthorityRecord(
            kind: .jwt, id: "aa\u{0}b", keyID: nil, certificate: nil, publicKey: [4, 0, 5],
            notBefore: UnixTime(milliseconds: 4), notAfter: UnixTime(milliseconds: 5), status: .external,
            createdAt: UnixTime(milliseconds: 6))
        let others = try [AuthorityRecord.Kind.wit, .oauth, .entra].map { kind in
            AuthorityRecord(
                kind: kind, id: "aa", keyID: try KeyID("\(kind.rawValue)-1"), certificate: nil, publicKey: [6],
                notBefore: UnixTime(milliseconds: 1), notAfter: UnixTime(milliseconds: 2), status: .old,
                createdAt: UnixTime(milliseconds: 3), isTainted: true)
        }
        return StoredAuthorities(records: [jwt, x509] + others, bundleRevision: 12)
    }
}
