package import AuditTrail
package import SPIFFE
package import TransparencyLog

/// An audit store that goes wrong by plan.
package struct FaultyAuditStore: AuditStore {
    private let base: any AuditStore
    private let plan: FaultPlan
    private let failure: AuditStoreError

    package init(_ base: any AuditStore, plan: FaultPlan, failure: AuditStoreError = .failed("injected")) {
        self.base = base
        self.plan = plan
        self.failure = failure
    }

    package func loadTail() async throws(AuditStoreError) -> AuditTail {
        try await plan.read(failingWith: failure) { () async throws(AuditStoreError) in try await base.loadTail() }
    }

    package func commit(_ batch: AuditBatch) async throws(AuditStoreError) {
        try await plan.write(failingWith: failure) { () async throws(AuditStoreError) in try await base.commit(batch) }
    }

    package func entries(from index: Int64, count: Int) async throws(AuditStoreError) -> [AuditEntry] {
        try await base.entries(from: index, count: count)
    }

    package func tile(_ coordinate: TileCoordinate) async throws(AuditStoreError) -> Tile? {
        try await base.tile(coordinate)
    }

    package func checkpoint() async throws(AuditStoreError) -> [UInt8]? { try await base.checkpoint() }
}

/// A store of spool cursors that goes wrong by plan.
package struct FaultySpoolCursorStore: SpoolCursorStore {
    private let base: any SpoolCursorStore
    private let plan: FaultPlan

    package init(_ base: any SpoolCursorStore, plan: FaultPlan) {
        self.base = base
        self.plan = plan
    }

    package func cursor(of node: SPIFFEID) async throws(AuditStoreError) -> SpoolCursor? {
        try await plan.read(failingWith: .failed("injected")) { () async throws(AuditStoreError) in
            try await base.cursor(of: node)
        }
    }

    package func save(_ cursor: SpoolCursor) async throws(AuditStoreError) {
        try await plan.write(failingWith: .failed("injected")) { () async throws(AuditStoreError) in
            try await base.save(cursor)
        }
    }
}
