import AgentShieldTesting
import AuditTrail
import GRDB
import Issuance
import Registry
import SPIFFE
import Testing

@testable import SQLiteFile
@testable import SQLiteStorage

/// The implementations that have to behave alike; SQLite in a file is also opened again after every step.
enum RegistryStoreKind: CaseIterable {
    case memory, sqliteInMemory, sqliteFile
}

/// One implementation under test.
struct StoresUnderTest {
    let directory: TemporaryDirectory
    let registry: RegistryStores
    let authorities: any AuthorityStore
    let cursors: any SpoolCursorStore
    private let kind: RegistryStoreKind

    init(_ kind: RegistryStoreKind) throws {
        self.kind = kind
        directory = try TemporaryDirectory()
        switch kind {
        case .memory:
            registry = InMemoryRegistryStores().registryStores
            authorities = InMemoryAuthorityStore()
            cursors = MemorySpoolCursorStore()
        case .sqliteInMemory, .sqliteFile:
            let database =
                kind == .sqliteFile
                ? try SQLiteRegistryDatabase.open(directory: directory.path) : try SQLiteRegistryDatabase.inMemory()
            registry = database.registryStores
            authorities = database.authorityStore
            cursors = database.spoolCursorStore
        }
    }

    /// Checks what is stored, also as a second connection to the file sees it.
    func expect(
        entries: [RegistrationEntry]? = nil, nodes: [NodeRecord]? = nil, bundles: [FederatedBundle]? = nil,
        authorities: StoredAuthorities? = nil, _ location: SourceLocation = #_sourceLocation
    ) async throws {
        var views = [(registry, self.authorities)]
        if kind == .sqliteFile {
            let second = try SQLiteRegistryDatabase.open(directory: directory.path)
            views.append((second.registryStores, second.authorityStore))
        }
        for (registry, authorityStore) in views {
            if let entries {
                let stored = try await registry.entries.allEntries()
                #expect(stored.sorted { $0.id < $1.id } == entries, sourceLocation: location)
                for entry in entries {
                    #expect(try await registry.entries.entry(id: entry.id) == entry, sourceLocation: location)
                }
            }
            if let nodes {
                let stored = try await registry.nodes.allNodes()
                #expect(stored.sorted { $0.id < $1.id } == nodes, sourceLocation: location)
                for node in nodes {
                    #expect(try await registry.nodes.node(id: node.id) == node, sourceLocation: location)
                }
            }
            if let bundles {
                let stored = try await registry.federatedBundles.allBundles()
                #expect(stored.sorted { $0.trustDomain < $1.trustDomain } == bundles, sourceLocation: location)
                for bundle in bundles {
                    let one = try await registry.federatedBundles.bundle(for: bundle.trustDomain)
                    #expect(one == bundle, sourceLocation: location)
                }
            }
            if let authorities { #expect(try await authorityStore.load() == authorities, sourceLocation: location) }
        }
    }
}

struct RegistryStoresTests {
    @Test(arguments: RegistryStoreKind.allCases)
    func `entries keep every field, and changes are all or nothing`(kind: RegistryStoreKind) async throws {
        let stores = try StoresUnderTest(kind)
        let (a, b, c) = (try Sample.entry("a"), try Sample.plainEntry("b"), try Sample.entry("c"))
        try await stores.expect(entries: [])
        try await stores.registry.entries.apply([.insert(a), .insert(b)])
        try await stores.expect(entries: [a, b])
        let newer = try Sample.entry("a", revision: 1)
        try await stores.registry.entries.apply([.replace(newer), .insert(c), .delete(id: "b")])
        try await stores.expect(entries: [newer, c])
        for changes in [
            [.insert(b), .insert(a)], [.insert(b), .replace(try Sample.entry("x"))],
            [.delete(id: "a"), .replace(newer)],
        ] as [[EntryChange]] {
            await #expect(throws: StoreError.conflict) { try await stores.registry.entries.apply(changes) }
            try await stores.expect(entries: [newer, c])
        }
        try await stores.registry.entries.apply([.delete(id: "nobody"), .delete(id: "a"), .insert(a)])
        try await stores.expect(entries: [a, c])
        #expect(try await stores.registry.entries.entry(id: "nobody") == nil)
    }

    @Test(arguments: RegistryStoreKind.allCases)
    func `nodes keep every field`(kind: RegistryStoreKind) async throws {
        let stores = try StoresUnderTest(kind)
        let (a, b) = (try Sample.node("a"), try Sample.node("b"))
        try await stores.registry.nodes.apply([.put(a), .put(b)])
        try await stores.expect(nodes: [a, b])
        let banned = try Sample.node("a", isBanned: true)
        try await stores.registry.nodes.apply([.put(banned), .delete(id: b.id), .delete(id: b.id)])
        try await stores.expect(nodes: [banned])
        #expect(try await stores.registry.nodes.node(id: b.id) == nil)
    }

    @Test(arguments: RegistryStoreKind.allCases)
    func `federated bundles are replaced and deleted by trust domain`(kind: RegistryStoreKind) async throws {
        let stores = try StoresUnderTest(kind)
        let (a, b) = (try Sample.bundle("a.example", "{}"), try Sample.bundle("b.example", "{\"keys\":[]}"))
        try await stores.registry.federatedBundles.apply([.put(a), .put(b)])
        try await stores.expect(bundles: [a, b])
        let newer = try Sample.bundle("a.example", "{ }")
        try await stores.registry.federatedBundles.apply([
            .put(newer), .delete(b.trustDomain), .delete(b.trustDomain),
        ])
        try await stores.expect(bundles: [newer])
    }

    @Test(arguments: RegistryStoreKind.allCases)
    func `federation relationships are replaced and deleted by trust domain`(kind: RegistryStoreKind) async throws {
        let stores = try StoresUnderTest(kind)
        let endpoint = try SPIFFEID("spiffe://a.example/endpoint")
        let a = FederationRelationship(
            trustDomain: try TrustDomain("a.example"), bundleEndpointURL: try HTTPSURL("https://a.example:8443/x"),
            profile: .spiffe(endpointID: endpoint))
        let b = FederationRelationship(
            trustDomain: try TrustDomain("b.example"), bundleEndpointURL: try HTTPSURL("https://b.example"),
            profile: .web)
        let store = stores.registry.federationRelationships
        try await store.apply([.put(a), .put(b)])
        #expect(Set(try await store.allRelationships()) == [a, b])
        #expect(try await store.relationship(with: a.trustDomain) == a)
        var changed = a
        changed.profile = .web
        try await store.apply([.put(changed), .delete(b.trustDomain), .delete(b.trustDomain)])
        #expect(try await store.allRelationships() == [changed])
        #expect(try await store.relationship(with: b.trustDomain) == nil)
    }

    @Test(arguments: RegistryStoreKind.allCases)
    func `authorities are replaced as one value, in their order`(kind: RegistryStoreKind) async throws {
        let stores = try StoresUnderTest(kind)
        try await stores.expect(authorities: StoredAuthorities())
        var value = try Sample.authorities()
        try await stores.authorities.replace(with: value)
        try await stores.expect(authorities: value)
        value.records.reverse()
        value.bundleRevision += 1
        try await stores.authorities.replace(with: value)
        try await stores.expect(authorities: value)
        value.records.removeAll()
        try await stores.authorities.replace(with: value)
        try await stores.expect(authorities: value)
    }

    @Test(arguments: RegistryStoreKind.allCases)
    func `a join token is given to exactly one of 20 parallel callers`(kind: RegistryStoreKind) async throws {
        let stores = try StoresUnderTest(kind)
        defer { withExtendedLifetime(stores) {} }
        let tokens = stores.registry.joinTokens
        for round in 0..<10 {
            let token = JoinTokenRecord(digest: "d\(round)", expiresAt: UnixTime(milliseconds: 5))
            try await tokens.insert(token)
            await #expect(throws: StoreError.conflict) { try await tokens.insert(token) }
            let results = try await inParallel(20) { _ in try await tokens.consume(digest: token.digest) }
            #expect(results.compactMap { $0 } == [token])
        }
    }

    @Test func `one token over two connections to one file has one winner`() async throws {
        let directory = try TemporaryDirectory()
        let stores = try (0..<2).map { _ in
            try SQLiteRegistryDatabase.open(directory: directory.path).registryStores.joinTokens
        }
        let token = JoinTokenRecord(digest: "d", expiresAt: UnixTime(milliseconds: 5))
        try await stores[0].insert(token)
        let results = try await inParallel(20) { try await stores[$0 % 2].consume(digest: "d") }
        #expect(results.compactMap { $0 } == [token])
    }

    @Test(arguments: RegistryStoreKind.allCases)
    func `expired tokens are removed, the others stay`(kind: RegistryStoreKind) async throws {
        let stores = try StoresUnderTest(kind)
        defer { withExtendedLifetime(stores) {} }
        let tokens = stores.registry.joinTokens
        for milliseconds in [1, 2, 3] as [Int64] {
            try await tokens.insert(
                JoinTokenRecord(digest: "d\(milliseconds)", expiresAt: UnixTime(milliseconds: milliseconds)))
        }
        #expect(try await tokens.deleteExpired(at: UnixTime(milliseconds: 2)) == 2)
        #expect(try await tokens.consume(digest: "d2") == nil)
        #expect(try await tokens.consume(digest: "d3") != nil)
    }

    @Test(arguments: RegistryStoreKind.allCases)
    func `spool cursors are kept per node`(kind: RegistryStoreKind) async throws {
        let stores = try StoresUnderTest(kind)
        defer { withExtendedLifetime(stores) {} }
        let cursors = stores.cursors
        let node = try SPIFFEID("spiffe://example.org/n")
        #expect(try await cursors.cursor(of: node) == nil)
        for sequence in [1, SpoolRecord.maximumSequence] {
            let cursor = SpoolCursor(node: node, spool: "s\(sequence)", sequence: sequence, hash: [0, 255])
            try await cursors.save(cursor)
            #expect(try await cursors.cursor(of: node) == cursor)
        }
        #expect(try await cursors.cursor(of: SPIFFEID("spiffe://example.org/m")) == nil)
    }

    @Test(arguments: RegistryStoreKind.allCases, Fault.allCases)
    func `each write that goes wrong leaves the old or the new value`(
        kind: RegistryStoreKind, fault: Fault
    ) async throws {
        let stores = try StoresUnderTest(kind)
        let plan = FaultPlan()
        let faulty = stores.registry.faulty(plan)
        let failed = StoreError.failed("injected")
        let persisted = fault == .afterPersisting

        let entry = try Sample.entry("a")
        plan.arm(fault)
        await #expect(throws: failed) { try await faulty.entries.apply([.insert(entry)]) }
        try await stores.expect(entries: persisted ? [entry] : [])

        let node = try Sample.node("a")
        plan.arm(fault)
        await #expect(throws: failed) { try await faulty.nodes.apply([.put(node)]) }
        try await stores.expect(nodes: persisted ? [node] : [])

        let bundle = try Sample.bundle("a.example", "{}")
        plan.arm(fault)
        await #expect(throws: failed) { try await faulty.federatedBundles.apply([.put(bundle)]) }
        try await stores.expect(bundles: persisted ? [bundle] : [])

        let token = JoinTokenRecord(digest: "d", expiresAt: UnixTime(milliseconds: 1))
        plan.arm(fault)
        await #expect(throws: failed) { try await faulty.joinTokens.insert(token) }
        if !persisted { try await stores.registry.joinTokens.insert(token) }
        plan.arm(fault)
        await #expect(throws: failed) { try await faulty.joinTokens.consume(digest: "d") }
        #expect(try await stores.registry.joinTokens.consume(digest: "d") == (persisted ? nil : token))

        let authorities = try Sample.authorities()
        plan.arm(fault)
        let faultyAuthorities = FaultyAuthorityStore(stores.authorities, plan: plan)
        await #expect(throws: failed) { try await faultyAuthorities.replace(with: authorities) }
        try await stores.expect(authorities: persisted ? authorities : StoredAuthorities())
    }

    @Test func `a full disk is its own error, and reading goes on`() async throws {
        let directory = try TemporaryDirectory()
        let database = try SQLiteRegistryDatabase.open(directory: directory.path)
        let entries = database.registryStores.entries
        let pages = try await limitPages(database.database, toCurrentPlus: 2)
        var stored = 0
        var failure: StoreError?
        while stored < 1000, failure == nil {
            do throws(StoreError) {
                try await entries.apply([.insert(sample(stored))])
                stored += 1
            } catch { failure = error }
        }
        #expect(failure == .storageFull)
        #expect(try await entries.allEntries().count == stored)
        _ = try await database.database.connections.writeWithoutTransaction {
            try Int.fetchOne($0, sql: "PRAGMA max_page_count = \(pages + 1000)")
        }
        try await entries.apply([.insert(sample(stored))])
        #expect(try await entries.allEntries().count == stored + 1)
    }

    private func sample(_ number: Int) throws(StoreError) -> RegistrationEntry {
        do { return try Sample.entry("e\(number)") } catch { throw .failed("\(error)") }
    }

    @Test func `a damaged row is an error, not a guess`() async throws {
        let database = try SQLiteRegistryDatabase.inMemory()
        let entries = database.registryStores.entries
        for column in ["spiffe_id", "selectors", "federates_with", "dns_names"] {
            try await entries.apply([.delete(id: "a"), .insert(try Sample.entry("a"))])
            try await database.database.connections.write {
                try $0.execute(sql: "UPDATE entry SET \(column) = 'x'")
            }
            await #expect(throws: StoreError.self, "\(column)") { try await entries.allEntries() }
        }
    }
}
