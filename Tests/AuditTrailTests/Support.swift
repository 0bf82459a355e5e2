import AuditTrail
import Crypto
import Foundation
import SPIFFE
import Synchronization
import TransparencyLog

/// A log over a store with a key of its own, and what is needed to open it again.
struct LogFixture {
    let origin = "example.org/log"
    let signer: NoteSigner
    let store: any AuditStore

    init(store: any AuditStore = MemoryAuditStore()) throws {
        signer = try NoteSigner(name: "example.org/log", privateKey: Curve25519.Signing.PrivateKey())
        self.store = store
    }

    func open(queueLimit: Int = AuditLimits.queuedEvents) async throws -> AuditLog {
        try await AuditLog.open(
            store: store, signer: signer, origin: origin, now: testNow, randomBytes: testRandomBytes,
            queueLimit: queueLimit)
    }

    /// Checks the whole log against its checkpoint.
    @discardableResult
    func verify() async throws -> AuditLogVerification.Report {
        try await AuditLogVerification.verify(store, verifiers: [signer.verifier], origin: origin)
    }

    func events() async throws -> [AuditEvent] {
        try await store.entries(from: 0, count: 1_000_000).map { try AuditEvent(leaf: $0.leaf) }
    }
}

/// Runs the log while the body runs; what the body has queued is committed before this returns.
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

let testNow: @Sendable () -> UnixTime = { UnixTime(milliseconds: 1_795_462_440_123) }

let testRandomBytes: @Sendable (Int) -> [UInt8] = { count in
    var generator = SystemRandomNumberGenerator()
    return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
}

func event(_ number: Int = 0, type: EventType = .x509SVIDIssue, phase: AuditEvent.Phase = .single) -> AuditEvent {
    AuditEvent(
        type: type, phase: phase,
        agent: AuditEvent.AgentField(
            id: "spiffe://example.org/spire/agent/join_token/abc", authMethod: .mtls,
            credentialHash: String(repeating: "ab", count: 32),
            peer: AuditEvent.PeerField(uid: 1000, pid: 4711, address: "127.0.0.1:5000")),
        resource: AuditEvent.ResourceField(kind: "x509-svid", id: "spiffe://example.org/agent/\(number)"),
        decision: AuditEvent.DecisionField(action: "issue", result: .permit),
        correlation: AuditEvent.CorrelationField(requestID: "request-\(number)"))
}

/// A directory that goes with the value.
final class TemporaryDirectory {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "agentshield-tests-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
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

/// Values that a test collects from several tasks.
final class Collected<Value: Sendable>: Sendable {
    private let values = Mutex<[Value]>([])
    func append(_ value: Value) { values.withLock { $0.append(value) } }
    var all: [Value] { values.withLock { $0 } }
}
