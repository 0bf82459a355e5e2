import Registry
import SPIFFE
import Synchronization

/// What goes wrong with the next write.
enum Fault: CaseIterable {
    /// Nothing was written, and the store says so.
    case failed
    /// It was written, but the store says that it failed.
    case failedButPersisted
}

/// One table of a store in memory, whose next writes and reads can be made to fail.
final class TestTable<Key: Hashable & Sendable, Record: Sendable>: Sendable {
    private struct State {
        var records: [Key: Record] = [:]
        var fault: Fault?
        var goodWritesBefore = 0
        var areReadsBroken = false
        var writes = 0
    }

    private let state = Mutex(State())

    var records: [Key: Record] { state.withLock { $0.records } }
    var writes: Int { state.withLock { $0.writes } }

    /// Lets the next write go wrong, or the one after so many good ones.
    func failNextWrite(_ fault: Fault, after goodWrites: Int = 0) {
        state.withLock { state in
            state.fault = fault
            state.goodWritesBefore = goodWrites
        }
    }

    func breakReads(_ areBroken: Bool) { state.withLock { $0.areReadsBroken = areBroken } }

    func read() throws(StoreError) -> [Key: Record] {
        try state.withLock { (state) throws(StoreError) in
            guard !state.areReadsBroken else { throw .failed("read") }
            return state.records
        }
    }

    func write<Value: Sendable>(
        _ body: (inout [Key: Record]) throws(StoreError) -> Value
    ) throws(StoreError) -> Value {
        try state.withLock { (state) throws(StoreError) in
            let fault = state.goodWritesBefore == 0 ? state.fault : nil
            if state.goodWritesBefore == 0 { state.fault = nil } else { state.goodWritesBefore -= 1 }
            state.writes += 1
            guard fault != .failed else { throw .failed("write") }
            var records = state.records
            let value = try body(&records)
            state.records = records
            guard fault != .failedButPersisted else { throw .storageFull }
            return value
        }
    }
}

struct TestEntryStore: EntryStore {
    let table = TestTable<String, RegistrationEntry>()

    func allEntries() async throws(StoreError) -> [RegistrationEntry] { try Array(table.read().values) }
    func entry(id: String) async throws(StoreError) -> RegistrationEntry? { try table.read()[id] }

    func apply(_ changes: [EntryChange]) async throws(StoreError) {
        try table.write { (records) throws(StoreError) in
            for change in changes {
                switch change {
                case .insert(let entry):
                    guard records[entry.id] == nil else { throw .conflict }
                    records[entry.id] = entry
                case .replace(let entry):
                    guard records[entry.id] != nil else { throw .conflict }
                    records[entry.id] = entry
                case .delete(let id): records[id] = nil
                }
            }
        }
    }
}

struct TestNodeStore: NodeStore {
    let table = TestTable<SPIFFEID, NodeRecord>()

    func allNodes() async throws(StoreError) -> [NodeRecord] { try Array(table.read().values) }
    func node(id: SPIFFEID) async throws(StoreError) -> NodeRecord? { try table.read()[id] }

    func apply(_ changes: [NodeChange]) async throws(StoreError) {
        try table.write { (records) throws(StoreError) in
            for change in changes {
                switch change {
                case .put(let node): records[node.id] = node
                case .delete(let id): records[id] = nil
                }
            }
        }
    }
}

struct TestJoinTokenStore: JoinTokenStore {
    let table = TestTable<String, JoinTokenRecord>()

    func insert(_ token: JoinTokenRecord) async throws(StoreError) {
        try table.write { (records) throws(StoreError) in
            guard records[token.digest] == nil else { throw .conflict }
            records[token.digest] = token
        }
    }

    func consume(digest: String) async throws(StoreError) -> JoinTokenRecord? {
        try table.write { (records) throws(StoreError) in records.removeValue(forKey: digest) }
    }

    func deleteExpired(at time: UnixTime) async throws(StoreError) -> Int {
        try table.write { (records) throws(StoreError) in
            let before = records.count
            records = records.filter { $0.value.expiresAt > time }
            return before - records.count
        }
    }
}

/// Lets one write of a store wait until a test lets it go on.
final class TestGate: Sendable {
    private struct State {
        var isClosed = false
        var waiter: CheckedContinuation<Void, Never>?
        var observer: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    /// The next write waits.
    func close() -> TestGate {
        state.withLock { $0.isClosed = true }
        return self
    }

    /// Returns when a write waits.
    func arrival() async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if state.waiter == nil { state.observer = continuation }
                return state.waiter != nil
            }
            if isThere { continuation.resume() }
        }
    }

    func open() {
        let waiter = state.withLock { state in
            state.isClosed = false
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    fileprivate func pass() async {
        await withCheckedContinuation { continuation in
            let (mayPass, observer) = state.withLock { state in
                guard state.isClosed else { return (true, nil as CheckedContinuation<Void, Never>?) }
                state.waiter = continuation
                defer { state.observer = nil }
                return (false, state.observer)
            }
            observer?.resume()
            if mayPass { continuation.resume() }
        }
    }
}

struct TestBundleStore: FederatedBundleStore {
    let table = TestTable<TrustDomain, FederatedBundle>()
    let gate = TestGate()

    func allBundles() async throws(StoreError) -> [FederatedBundle] { try Array(table.read().values) }
    func bundle(for trustDomain: TrustDomain) async throws(StoreError) -> FederatedBundle? {
        try table.read()[trustDomain]
    }

    func apply(_ changes: [FederatedBundleChange]) async throws(StoreError) {
        await gate.pass()
        try table.write { (records) throws(StoreError) in
            for change in changes {
                switch change {
                case .put(let bundle): records[bundle.trustDomain] = bundle
                case .delete(let trustDomain): records[trustDomain] = nil
                }
            }
        }
    }
}

struct TestRelationshipStore: FederationRelationshipStore {
    let table = TestTable<TrustDomain, FederationRelationship>()

    func allRelationships() async throws(StoreError) -> [FederationRelationship] { try Array(table.read().values) }
    func relationship(with trustDomain: TrustDomain) async throws(StoreError) -> FederationRelationship? {
        try table.read()[trustDomain]
    }

    func apply(_ changes: [FederationRelationshipChange]) async throws(StoreError) {
        try table.write { (records) throws(StoreError) in
            for change in changes {
                switch change {
                case .put(let relationship): records[relationship.trustDomain] = relationship
                case .delete(let trustDomain): records[trustDomain] = nil
                }
            }
        }
    }
}
