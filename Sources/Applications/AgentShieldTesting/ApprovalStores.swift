package import Approvals
package import Registry
import Synchronization

/// The approvals' store in plain memory.
package final class InMemoryApprovalStore: ApprovalStore {
    private let stored = Mutex<[String: Approval]>([:])

    package init() {}

    package func load() async throws(StoreError) -> [Approval] { stored.withLock { Array($0.values) } }

    package func apply(_ changes: [ApprovalChange]) async throws(StoreError) {
        stored.withLock { stored in
            for change in changes {
                switch change {
                case .put(let approval): stored[approval.id] = approval
                case .delete(let id): stored[id] = nil
                }
            }
        }
    }
}

/// A store of approvals that goes wrong by plan.
package struct FaultyApprovalStore: ApprovalStore {
    private let base: any ApprovalStore
    private let plan: FaultPlan

    package init(_ base: any ApprovalStore, plan: FaultPlan) {
        self.base = base
        self.plan = plan
    }

    package func load() async throws(StoreError) -> [Approval] {
        try await plan.read(failingWith: injected) { () async throws(StoreError) in try await base.load() }
    }

    package func apply(_ changes: [ApprovalChange]) async throws(StoreError) {
        try await plan.write(failingWith: injected) { () async throws(StoreError) in try await base.apply(changes) }
    }
}
