package import Registry

/// All authorities of the trust domain and the revision of its bundle, stored as one value.
package struct StoredAuthorities: Sendable, Hashable {
    /// In the order in which they were made.
    package var records: [AuthorityRecord]
    /// The bundle's sequence number: grows with every change of the set of keys, never goes back (Bundle §4.1).
    package var bundleRevision: Int64

    package init(records: [AuthorityRecord] = [], bundleRevision: Int64 = 0) {
        self.records = records
        self.bundleRevision = bundleRevision
    }
}

/// Where authorities are stored.
///
/// Implementations guarantee: `replace` is atomic and durable when it returns, and keeps the records' order. When it
/// throws, the old or the new value may be stored: the caller loads again before it writes again.
package protocol AuthorityStore: Sendable {
    /// What was stored last; the empty value in a new store.
    func load() async throws(StoreError) -> StoredAuthorities
    /// Stores this value in the place of the old one.
    func replace(with authorities: StoredAuthorities) async throws(StoreError)
}
