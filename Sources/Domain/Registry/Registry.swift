package import AuditTrail
package import SPIFFE
import Synchronization

/// The control plane's knowledge of entries, node agents, join tokens and federated bundles.
///
/// Reads come from an immutable snapshot and never wait. Writes of a kind go one after the other: intent recorded,
/// stored, shown in the snapshot, outcome recorded. After a failed write the snapshot is what the store then has.
package final class Registry: Sendable {
    package struct Options: Hashable, Sendable {
        /// Refuse entries without a parent ID instead of putting them under the built-in alias.
        package var requireParent: Bool

        package init(requireParent: Bool = false) {
            self.requireParent = requireParent
        }
    }

    /// Lifetime of a join token in seconds when none is asked for.
    package static let defaultJoinTokenTTL: Int32 = 600

    /// Longest version text that a node may report, in bytes.
    package static let maximumVersionLength = 255

    package let trustDomain: TrustDomain

    let rules: EntryRules
    let stores: RegistryStores
    let audit: AuditLog
    let now: @Sendable () -> UnixTime
    let randomBytes: @Sendable (Int) -> [UInt8]

    struct State: Sendable {
        var entries: EntrySnapshot
        var nodes = NodeSnapshot()
        var bundles: [TrustDomain: FederatedBundle] = [:]
        var relationships: [TrustDomain: FederationRelationship] = [:]
        var position: RegistryChange
        /// A write failed and the store could not be read after it: the next write reads everything first.
        var entriesAreStale = false
        var nodesAreStale = false
        var bundlesAreStale = false
        var relationshipsAreStale = false
    }

    /// Readers copy a part and leave; writers build the new part outside and put it in.
    let state: Mutex<State>

    /// Held while entries, federated bundles or relationships are written: an entry names bundles, so both change under
    /// one lock.
    let entryLock = AsyncLock()
    /// Held while node records are written.
    let nodeLock = AsyncLock()

    let feed = ChangeFeed()

    /// Loads everything from the stores.
    package static func open(
        trustDomain: TrustDomain, stores: RegistryStores, audit: AuditLog, now: @escaping @Sendable () -> UnixTime,
        randomBytes: @escaping @Sendable (Int) -> [UInt8], options: Options = Options()
    ) async throws(RegistryError) -> Registry {
        let registry = Registry(
            trustDomain: trustDomain, stores: stores, audit: audit, now: now, randomBytes: randomBytes,
            options: options)
        do {
            try await registry.loadEntries()
            try await registry.loadNodes()
            try await registry.loadBundles()
            try await registry.loadRelationships()
        } catch {
            throw .storage(error)
        }
        return registry
    }

    private init(
        trustDomain: TrustDomain, stores: RegistryStores, audit: AuditLog, now: @escaping @Sendable () -> UnixTime,
        randomBytes: @escaping @Sendable (Int) -> [UInt8], options: Options
    ) {
        self.trustDomain = trustDomain
        self.stores = stores
        self.audit = audit
        self.now = now
        self.randomBytes = randomBytes
        rules = EntryRules(trustDomain: trustDomain, requireParent: options.requireParent)
        // Revisions continue from the clock, so that a restarted registry does not repeat old numbers.
        let start = max(now().milliseconds, 1)
        state = Mutex(
            State(
                entries: EntrySnapshot(trustDomain: trustDomain),
                position: RegistryChange(
                    entriesRevision: start, nodesRevision: start, bundlesRevision: start, federationRevision: start)))
    }

    /// Grows with every change to what nodes may serve.
    package var entriesRevision: Int64 { position.entriesRevision }

    /// Where the registry stands now.
    package var position: RegistryChange { state.withLock { $0.position } }

    /// Tells of every change, beginning with the present state; a slow reader gets only the latest.
    package func changes() -> AsyncStream<RegistryChange> {
        let (stream, id) = feed.subscribe(current: position)
        // A change between reading the position and subscribing must not be missed.
        feed.publish(position, to: id)
        return stream
    }

    func loadEntries() async throws(StoreError) {
        let snapshot = await EntrySnapshot.loading(try await stores.entries.allEntries(), trustDomain: trustDomain)
        publish { state in
            state.entries = snapshot
            state.entriesAreStale = false
            state.position.entriesRevision += 1
        }
    }

    func loadNodes() async throws(StoreError) {
        var snapshot = NodeSnapshot()
        for node in try await stores.nodes.allNodes() { snapshot.put(node) }
        publish { state in
            state.nodes = snapshot
            state.nodesAreStale = false
            state.position.nodesRevision += 1
            state.position.entriesRevision += 1
        }
    }

    func loadBundles() async throws(StoreError) {
        var bundles: [TrustDomain: FederatedBundle] = [:]
        for bundle in try await stores.federatedBundles.allBundles() { bundles[bundle.trustDomain] = bundle }
        publish { state in
            state.bundles = bundles
            state.bundlesAreStale = false
            state.position.bundlesRevision += 1
        }
    }

    /// Shows a change to readers and tells subscribers.
    func publish(_ change: (inout State) -> Void) {
        let position = state.withLock { state in
            change(&state)
            return state.position
        }
        feed.publish(position)
    }

    func newIdentifier() -> String { RandomIdentifier.make(randomBytes) }
}
