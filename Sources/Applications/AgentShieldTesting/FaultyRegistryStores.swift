package import Registry
package import SPIFFE

/// A store of registration entries that goes wrong by plan.
package struct FaultyEntryStore: EntryStore {
    private let base: any EntryStore
    private let plan: FaultPlan

    package init(_ base: any EntryStore, plan: FaultPlan) {
        self.base = base
        self.plan = plan
    }

    package func allEntries() async throws(StoreError) -> [RegistrationEntry] {
        try await plan.read(failingWith: injected) { () async throws(StoreError) in try await base.allEntries() }
    }

    package func entry(id: String) async throws(StoreError) -> RegistrationEntry? {
        try await plan.read(failingWith: injected) { () async throws(StoreError) in try await base.entry(id: id) }
    }

    package func apply(_ changes: [EntryChange]) async throws(StoreError) {
        try await plan.write(failingWith: injected) { () async throws(StoreError) in try await base.apply(changes) }
    }
}

/// A store of node agents that goes wrong by plan.
package struct FaultyNodeStore: NodeStore {
    private let base: any NodeStore
    private let plan: FaultPlan

    package init(_ base: any NodeStore, plan: FaultPlan) {
        self.base = base
        self.plan = plan
    }

    package func allNodes() async throws(StoreError) -> [NodeRecord] {
        try await plan.read(failingWith: injected) { () async throws(StoreError) in try await base.allNodes() }
    }

    package func node(id: SPIFFEID) async throws(StoreError) -> NodeRecord? {
        try await plan.read(failingWith: injected) { () async throws(StoreError) in try await base.node(id: id) }
    }

    package func apply(_ changes: [NodeChange]) async throws(StoreError) {
        try await plan.write(failingWith: injected) { () async throws(StoreError) in try await base.apply(changes) }
    }
}

/// A store of join tokens that goes wrong by plan.
package struct FaultyJoinTokenStore: JoinTokenStore {
    private let base: any JoinTokenStore
    private let plan: FaultPlan

    package init(_ base: any JoinTokenStore, plan: FaultPlan) {
        self.base = base
        self.plan = plan
    }

    package func insert(_ token: JoinTokenRecord) async throws(StoreError) {
        try await plan.write(failingWith: injected) { () async throws(StoreError) in try await base.insert(token) }
    }

    package func consume(digest: String) async throws(StoreError) -> JoinTokenRecord? {
        try await plan.write(failingWith: injected) { () async throws(StoreError) in
            try await base.consume(digest: digest)
        }
    }

    package func deleteExpired(at time: UnixTime) async throws(StoreError) -> Int {
        try await plan.write(failingWith: injected) { () async throws(StoreError) in
            try await base.deleteExpired(at: time)
        }
    }
}

/// A store of federated bundles that goes wrong by plan.
package struct FaultyFederatedBundleStore: FederatedBundleStore {
    private let base: any FederatedBundleStore
    private let plan: FaultPlan

    package init(_ base: any FederatedBundleStore, plan: FaultPlan) {
        self.base = base
        self.plan = plan
    }

    package func allBundles() async throws(StoreError) -> [FederatedBundle] {
        try await plan.read(failingWith: injected) { () async throws(StoreError) in try await base.allBundles() }
    }

    package func bundle(for trustDomain: TrustDomain) async throws(StoreError) -> FederatedBundle? {
        try await plan.read(failingWith: injected) { () async throws(StoreError) in
            try await base.bundle(for: trustDomain)
        }
    }

    package func apply(_ changes: [FederatedBundleChange]) async throws(StoreError) {
        try await plan.write(failingWith: injected) { () async throws(StoreError) in try await base.apply(changes) }
    }
}

/// A store of federation relationships that goes wrong by plan.
package struct FaultyFederationRelationshipStore: FederationRelationshipStore {
    private let base: any FederationRelationshipStore
    private let plan: FaultPlan

    package init(_ base: any FederationRelationshipStore, plan: FaultPlan) {
        self.base = base
        self.plan = plan
    }

    package func allRelationships() async throws(StoreError) -> [FederationRelationship] {
        try await plan.read(failingWith: injected) { () async throws(StoreError) in
            try await base.allRelationships()
        }
    }

    package func relationship(with trustDomain: TrustDomain) async throws(StoreError) -> FederationRelationship? {
        try await plan.read(failingWith: injected) { () async throws(StoreError) in
            try await base.relationship(with: trustDomain)
        }
    }

    package func apply(_ changes: [FederationRelationshipChange]) async throws(StoreError) {
        try await plan.write(failingWith: injected) { () async throws(StoreError) in try await base.apply(changes) }
    }
}

extension RegistryStores {
    /// The same stores, going wrong by one common plan.
    package func faulty(_ plan: FaultPlan) -> RegistryStores {
        RegistryStores(
            entries: FaultyEntryStore(entries, plan: plan), nodes: FaultyNodeStore(nodes, plan: plan),
            joinTokens: FaultyJoinTokenStore(joinTokens, plan: plan),
            federatedBundles: FaultyFederatedBundleStore(federatedBundles, plan: plan),
            federationRelationships: FaultyFederationRelationshipStore(federationRelationships, plan: plan))
    }
}

let injected = StoreError.failed("injected")
