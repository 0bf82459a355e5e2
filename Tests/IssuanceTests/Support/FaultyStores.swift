import AuditTrail
import CryptoExtras
import Registry
import SPIFFE
import Synchronization
import TransparencyLog

@testable import Issuance

/// How a write goes wrong.
enum Fault: Sendable, CaseIterable {
    /// Nothing was written.
    case failed
    /// Everything was written, and an error came all the same.
    case failedButPersisted
}

/// Counts writes and lets one of them go wrong.
struct FaultPlan: Sendable {
    var writes = 0
    var fault: (number: Int, kind: Fault)?

    mutating func next() -> Fault? {
        writes += 1
        guard let fault, fault.number == writes else { return nil }
        return fault.kind
    }
}

final class FaultyAuthorityStore: AuthorityStore {
    private let state = Mutex((stored: StoredAuthorities(), plan: FaultPlan()))

    var stored: StoredAuthorities { state.withLock(\.stored) }
    var writes: Int { state.withLock(\.plan.writes) }

    func fail(write number: Int, _ kind: Fault) { state.withLock { $0.plan.fault = ($0.plan.writes + number, kind) } }

    func edit(_ body: (inout StoredAuthorities) -> Void) { state.withLock { body(&$0.stored) } }

    func load() async throws(StoreError) -> StoredAuthorities { stored }

    func replace(with authorities: StoredAuthorities) async throws(StoreError) {
        try state.withLock { (state) throws(StoreError) in
            let fault = state.plan.next()
            if fault != .failed { state.stored = authorities }
            if fault != nil { throw .failed("injected") }
        }
    }
}

/// RSA keys, which take long to make: every pool gives the same ones in the same order.
final class RSAKeyPool: Sendable {
    private static let made = Mutex<[_RSA.Signing.PrivateKey]>([])
    private let drawn = Atomic<Int>(0)

    var draw: RSAKeyGenerator {
        { () throws(KeyStoreError) in
            let index = self.drawn.wrappingAdd(1, ordering: .relaxed).oldValue
            return try Self.made.withLock { (made) throws(KeyStoreError) in
                while made.count <= index { made.append(try .fresh()) }
                return made[index]
            }
        }
    }
}

final class FaultyKeyStore: KeyStore {
    private let inner: MemoryKeyStore
    private let plan = Mutex(FaultPlan())

    init(randomBytes: @escaping RandomBytes) {
        inner = MemoryKeyStore(randomBytes: randomBytes, rsaKeys: RSAKeyPool().draw)
    }

    func fail(write number: Int, _ kind: Fault) { plan.withLock { $0.fault = ($0.writes + number, kind) } }

    var writes: Int { plan.withLock(\.writes) }

    private func write<Result>(
        _ body: () async throws(KeyStoreError) -> Result
    ) async throws(KeyStoreError) -> Result {
        let fault = plan.withLock { $0.next() }
        if fault == .failed { throw .storageFull }
        let result = try await body()
        if fault == .failedButPersisted { throw .system(operation: "sync", errno: 5) }
        return result
    }

    func create(_ id: KeyID, _ algorithm: AuthorityKey.Algorithm) async throws(KeyStoreError) -> AuthorityKey {
        try await write { () async throws(KeyStoreError) in try await inner.create(id, algorithm) }
    }

    func load(_ id: KeyID, _ algorithm: AuthorityKey.Algorithm) async throws(KeyStoreError) -> AuthorityKey? {
        try await inner.load(id, algorithm)
    }

    func remove(_ id: KeyID) async throws(KeyStoreError) {
        try await write { () async throws(KeyStoreError) in try await inner.remove(id) }
    }

    func list() async throws(KeyStoreError) -> [KeyID] { try await inner.list() }
}

final class FaultyAuditStore: AuditStore {
    private let inner = MemoryAuditStore()
    private let plan = Mutex(FaultPlan())

    var writes: Int { plan.withLock(\.writes) }

    func fail(write number: Int, _ kind: Fault) { plan.withLock { $0.fault = ($0.writes + number, kind) } }

    func loadTail() async throws(AuditStoreError) -> AuditTail { try await inner.loadTail() }

    func commit(_ batch: AuditBatch) async throws(AuditStoreError) {
        let fault = plan.withLock { $0.next() }
        if fault == .failed { throw .storageFull }
        try await inner.commit(batch)
        if fault == .failedButPersisted { throw .failed("injected") }
    }

    func entries(from index: Int64, count: Int) async throws(AuditStoreError) -> [AuditEntry] {
        try await inner.entries(from: index, count: count)
    }

    func tile(_ coordinate: TileCoordinate) async throws(AuditStoreError) -> Tile? { try await inner.tile(coordinate) }

    func checkpoint() async throws(AuditStoreError) -> [UInt8]? { try await inner.checkpoint() }
}
