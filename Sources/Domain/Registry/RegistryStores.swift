/// The four stores behind a ``Registry``; usually one database implements them all.
package struct RegistryStores: Sendable {
    package let entries: any EntryStore
    package let nodes: any NodeStore
    package let joinTokens: any JoinTokenStore
    package let federatedBundles: any FederatedBundleStore

    package init(
        entries: any EntryStore, nodes: any NodeStore, joinTokens: any JoinTokenStore,
        federatedBundles: any FederatedBundleStore
    ) {
        self.entries = entries
        self.nodes = nodes
        self.joinTokens = joinTokens
        self.federatedBundles = federatedBundles
    }
}
