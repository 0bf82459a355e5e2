package import SPIFFE

/// One step of a change to the stored federated bundles.
package enum FederatedBundleChange: Hashable, Sendable {
    /// Inserts the bundle, or replaces the one of its trust domain.
    case put(FederatedBundle)
    /// Removes by trust domain; no error when there is none.
    case delete(TrustDomain)
}

/// Keeps the bundles of other trust domains.
///
/// Implementations guarantee: `apply` is one transaction, all or nothing, durable when it returns, and not cut short by
/// the cancellation of the calling task.
package protocol FederatedBundleStore: Sendable {
    /// Every federated bundle, in any order.
    func allBundles() async throws(StoreError) -> [FederatedBundle]

    /// The stored bundle of this trust domain.
    func bundle(for trustDomain: TrustDomain) async throws(StoreError) -> FederatedBundle?

    /// All changes in order, or none.
    func apply(_ changes: [FederatedBundleChange]) async throws(StoreError)
}
