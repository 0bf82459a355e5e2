/// The five stores behind a ``Registry``; usually one database implements them all.
package struct RegistryStores: Sendable {
    package let entries: any EntryStore
    package let nodes: any NodeStore
    package let joinTokens: any JoinTokenStore
    package let federatedBundles: any FederatedBundleStore
    package let federationRelationships: any FederationRelationshipStore

    package init(
        entries: any EntryStore, nodes: any NodeStore, joinTokens: any JoinTokenStore,
        federatedBundles: any FederatedBundleStore, federationRelationships: any FederationRelationshipStore
    ) {
        self.entries = entries
        self.nodes = nodes
        self.joinTokens = joinTokens
        self.federatedBundles = federatedBundles
        self.federationRelationships = federationRelationships
    }
}
