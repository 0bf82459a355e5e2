package import Issuance
package import Registry

/// A store of authorities that goes wrong by plan.
package struct FaultyAuthorityStore: AuthorityStore {
    private let base: any AuthorityStore
    private let plan: FaultPlan

    package init(_ base: any AuthorityStore, plan: FaultPlan) {
        self.base = base
        self.plan = plan
    }

    package func load() async throws(StoreError) -> StoredAuthorities {
        try await plan.read(failingWith: injected) { () async throws(StoreError) in try await base.load() }
    }

    package func replace(with authorities: StoredAuthorities) async throws(StoreError) {
        try await plan.write(failingWith: injected) { () async throws(StoreError) in
            try await base.replace(with: authorities)
        }
    }
}
