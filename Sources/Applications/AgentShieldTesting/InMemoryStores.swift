package import Issuance
package import Registry
package import SPIFFE
import Synchronization

/// The registry's five stores in plain memory: the second implementation that the compatibility suite holds SQLite to.
package final class InMemoryRegistryStores: EntryStore, NodeStore, JoinTokenStore, FederatedBundleStore,
    FederationRelationshipStore
{
    private struct Contents {
        var entries: [String: RegistrationEntry] = [:]
        var nodes: [SPIFFEID: NodeRecord] = [:]
        var tokens: [String: JoinTokenRecord] = [:]
        var bundles: [TrustDomain: FederatedBundle] = [:]
        var relationships: [TrustDomain: FederationRelationship] = [:]
    }

    private let contents = Mutex(Contents())

    package init() {}

    /// All five as the registry takes them.
    package var registryStores: RegistryStores {
        RegistryStores(
            entries: self, nodes: self, joinTokens: self, federatedBundles: self, federationRelationships: self)
    }

    package func allEntries() async throws(StoreError) -> [RegistrationEntry] {
        contents.withLock { Array($0.entries.values) }
    }

    package func entry(id: String) async throws(StoreError) -> RegistrationEntry? {
        contents.withLock { $0.entries[id] }
    }

    package func apply(_ changes: [EntryChange]) async throws(StoreError) {
        try contents.withLock { (contents) throws(StoreError) in
            var entries = contents.entries
            for change in changes {
                switch change {
                case .insert(let entry):
                    guard entries.updateValue(entry, forKey: entry.id) == nil else { throw .conflict }
                case .replace(let entry):
                    guard entries.updateValue(entry, forKey: entry.id) != nil else { throw .conflict }
                case .delete(let id): entries[id] = nil
                }
            }
            contents.entries = entries
        }
    }

    package func allNodes() async throws(StoreError) -> [NodeRecord] { contents.withLock { Array($0.nodes.values) } }

    package func node(id: SPIFFEID) async throws(StoreError) -> NodeRecord? { contents.withLock { $0.nodes[id] } }

    package func apply(_ changes: [NodeChange]) async throws(StoreError) {
        contents.withLock { contents in
            for change in changes {
                switch change {
                case .put(let node): contents.nodes[node.id] = node
                case .delete(let id): contents.nodes[id] = nil
                }
            }
        }
    }

    package func insert(_ token: JoinTokenRecord) async throws(StoreError) {
        try contents.withLock { (contents) throws(StoreError) in
            guard contents.tokens[token.digest] == nil else { throw .conflict }
            contents.tokens[token.digest] = token
        }
    }

    package func consume(digest: String) async throws(StoreError) -> JoinTokenRecord? {
        contents.withLock { $0.tokens.removeValue(forKey: digest) }
    }

    package func deleteExpired(at time: UnixTime) async throws(StoreError) -> Int {
        contents.withLock { contents in
            let before = contents.tokens.count
            contents.tokens = contents.tokens.filter { $0.value.expiresAt > time }
            return before - contents.tokens.count
        }
    }

    package func allBundles() async throws(StoreError) -> [FederatedBundle] {
        contents.withLock { Array($0.bundles.values) }
    }

    package func bundle(for trustDomain: TrustDomain) async throws(StoreError) -> FederatedBundle? {
        contents.withLock { $0.bundles[trustDomain] }
    }

    package func apply(_ changes: [FederatedBundleChange]) async throws(StoreError) {
        contents.withLock { contents in
            for change in changes {
                switch change {
                case .put(let bundle): contents.bundles[bundle.trustDomain] = bundle
                case .delete(let trustDomain): contents.bundles[trustDomain] = nil
                }
            }
        }
    }

    package func allRelationships() async throws(StoreError) -> [FederationRelationship] {
        contents.withLock { Array($0.relationships.values) }
    }

    package func relationship(with trustDomain: TrustDomain) async throws(StoreError) -> FederationRelationship? {
        contents.withLock { $0.relationships[trustDomain] }
    }

    package func apply(_ changes: [FederationRelationshipChange]) async throws(StoreError) {
        contents.withLock { contents in
            for change in changes {
                switch change {
                case .put(let relationship): contents.relationships[relationship.trustDomain] = relationship
                case .delete(let trustDomain): contents.relationships[trustDomain] = nil
                }
            }
        }
    }
}

/// Authorities in plain memory.
package final class InMemoryAuthorityStore: AuthorityStore {
    private let stored = Mutex(StoredAuthorities())

    package init() {}

    package func load() async throws(StoreError) -> StoredAuthorities { stored.withLock { $0 } }

    package func replace(with authorities: StoredAuthorities) async throws(StoreError) {
        stored.withLock { $0 = authorities }
    }
}

/// Revocations in plain memory.
package final class InMemoryRevocationStore: RevocationStore {
    private let stored = Mutex(StoredRevocations())

    package init() {}

    package func load() async throws(StoreError) -> StoredRevocations { stored.withLock { $0 } }

    package func replace(with revocations: StoredRevocations) async throws(StoreError) {
        stored.withLock { $0 = revocations }
    }
}
