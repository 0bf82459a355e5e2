import Attestation
import SPIFFE
import Testing

@testable import Registry

@Suite struct FederatedBundleTests {
    private func write(_ bed: TestBed, _ name: String, _ mode: BundleWrite, size: Int = 2) async throws {
        try await bed.registry.writeFederatedBundle(
            TrustDomain(name), document: [UInt8](repeating: 32, count: size), mode, by: TestBed.admin, requestID: "r")
    }

    private func delete(_ bed: TestBed, _ name: String, _ mode: BundleDeleteMode) async throws {
        try await bed.registry.deleteFederatedBundle(TrustDomain(name), mode, by: TestBed.admin, requestID: "r")
    }

    @Test("create wants none, update wants one, set takes either")
    func modes() async throws {
        try await TestBed.run { bed in
            await #expect(throws: RegistryError.bundleNotFound) { try await write(bed, "x.org", .update) }
            try await write(bed, "x.org", .create)
            await #expect(throws: RegistryError.bundleExists) { try await write(bed, "x.org", .create) }
            let revision = bed.registry.position.bundlesRevision
            try await write(bed, "x.org", .update, size: 3)
            try await write(bed, "x.org", .set, size: 4)
            #expect(bed.registry.position.bundlesRevision == revision + 2)
            try await write(bed, "y.org", .set)
            #expect(try bed.registry.federatedBundle(TrustDomain("x.org"))?.document.count == 4)
            #expect(bed.registry.countFederatedBundles() == 2)
            await #expect(throws: RegistryError.ownTrustDomain) { try await write(bed, "example.org", .set) }
            await #expect(throws: RegistryError.bundleTooLarge) {
                try await write(bed, "z.org", .set, size: FederatedBundle.maximumDocumentLength + 1)
            }
            try await bed.expectConsistent()
        }
    }

    @Test("what was set by hand while a bundle was fetched is not overwritten by an older one")
    func fetchedBehindOneSetByHand() async throws {
        try await TestBed.run { bed in
            let domain = try TrustDomain("x.org")
            let byHand = TrustBundle(trustDomain: domain, sequenceNumber: 9)
            let fetched = TrustBundle(trustDomain: domain, sequenceNumber: 7)
            // Written by hand first, but still on its way when the fetched one arrives: the store does not answer yet.
            let stores = bed.bundles.gate.close()
            async let set = bed.registry.writeFederatedBundle(
                domain, document: byHand.spiffeJSON(), .set, by: TestBed.admin, requestID: "r")
            await stores.arrival()
            let before = bed.log.size
            let refresh = Task {
                try await bed.registry.writeFetchedBundle(fetched, requestID: "f", isWanted: { true })
            }
            for _ in 0..<1_000_000 where bed.log.size == before { await Task.yield() }
            #expect(bed.log.size > before, "its intent is recorded, and it waits for its turn")
            stores.open()
            _ = try await set
            await #expect(throws: RegistryError.bundleRefused(.sequenceWentBack(from: 9, to: 7))) {
                try await refresh.value
            }
            #expect(bed.registry.federatedBundle(domain)?.document == byHand.spiffeJSON())
            try await bed.expectConsistent()
        }
    }

    @Test("a fetched bundle is stored when it is newer and still wanted")
    func fetched() async throws {
        try await TestBed.run { bed in
            let domain = try TrustDomain("x.org")
            func write(_ sequence: UInt64, wanted: Bool = true) async throws {
                try await bed.registry.writeFetchedBundle(
                    TrustBundle(trustDomain: domain, sequenceNumber: sequence), requestID: "f", isWanted: { wanted })
            }
            await #expect(throws: RegistryError.relationshipNotFound) { try await write(1, wanted: false) }
            #expect(bed.registry.countFederatedBundles() == 0)
            for sequence: UInt64 in [1, 2, 2, 5] { try await write(sequence) }
            await #expect(throws: RegistryError.bundleRefused(.sequenceWentBack(from: 5, to: 4))) { try await write(4) }
            #expect(bed.registry.federatedBundle(domain)?.parsed?.sequenceNumber == 5)
            await #expect(throws: RegistryError.ownTrustDomain) {
                try await bed.registry.writeFetchedBundle(
                    TrustBundle(trustDomain: TestBed.trustDomain), requestID: "f", isWanted: { true })
            }
            try await bed.expectConsistent()
        }
    }

    @Test("bundles are listed by name, in pages that survive deletions")
    func pages() async throws {
        try await TestBed.run { bed in
            for name in ["c.org", "a.org", "d.org", "b.org"] { try await write(bed, name, .set) }
            let first = try bed.registry.federatedBundles(page: PageRequest(size: 2))
            #expect(first.items.map(\.trustDomain.name) == ["a.org", "b.org"])
            try await delete(bed, "b.org", .restrict)
            let second = try bed.registry.federatedBundles(page: PageRequest(size: 2, token: first.nextToken))
            #expect(second.items.map(\.trustDomain.name) == ["c.org", "d.org"])
            #expect(second.nextToken.isEmpty)
            #expect(throws: RegistryError.badPageToken) {
                try bed.registry.federatedBundles(page: PageRequest(size: 2, token: "No Name"))
            }
        }
    }

    @Test("an entry federates only with trust domains whose bundles are here")
    func unknownTrustDomain() async throws {
        try await TestBed.run { bed in
            let other = try TrustDomain("x.org")
            let draft = EntryDraft(
                spiffeID: try id("/web"), selectors: [try Selector(parsing: "a:1")], federatesWith: [other])
            await #expect(throws: RegistryError.invalidEntry(.unknownTrustDomain(other))) {
                try await bed.registry.createEntry(draft, by: TestBed.admin, requestID: "r")
            }
            let entry = try await bed.create("/web")
            await #expect(throws: RegistryError.invalidEntry(.unknownTrustDomain(other))) {
                try await bed.registry.updateEntry(
                    entry.id, draft, mask: .federatesWith, by: TestBed.admin, requestID: "r")
            }
            try await write(bed, "x.org", .set)
            let updated = try await bed.registry.updateEntry(
                entry.id, draft, mask: .federatesWith, by: TestBed.admin, requestID: "r")
            #expect(updated.federatesWith == [other])
        }
    }

    @Test(
        "what happens to entries that federate: nothing goes, they let go, or they go",
        arguments: BundleDeleteMode.allCases)
    func deletion(mode: BundleDeleteMode) async throws {
        try await TestBed.run { bed in
            for name in ["x.org", "y.org"] { try await write(bed, name, .set) }
            await #expect(throws: RegistryError.bundleNotFound) { try await delete(bed, "z.org", mode) }
            let federated = try ["x.org", "y.org"].map { try TrustDomain($0) }
            let draft = EntryDraft(
                spiffeID: try id("/web"), selectors: [try Selector(parsing: "a:1")], federatesWith: federated)
            _ = try await bed.registry.createEntry(draft, by: TestBed.admin, requestID: "r")
            let bystander = try await bed.create("/bystander")
            switch mode {
            case .restrict:
                await #expect(throws: RegistryError.bundleInUse(1)) { try await delete(bed, "x.org", mode) }
                #expect(bed.registry.countFederatedBundles() == 2)
                #expect(bed.registry.countEntries() == 2)
            case .dissociate:
                try await delete(bed, "x.org", mode)
                let entry = try #require(try bed.registry.entries(EntryFilter(spiffeID: id("/web"))).items.first)
                #expect(entry.federatesWith == [federated[1]])
                #expect(entry.revision == 1)
                #expect(bed.registry.countFederatedBundles() == 1)
            case .delete:
                try await delete(bed, "x.org", mode)
                #expect(try bed.registry.entries().items == [bystander])
                #expect(bed.registry.countFederatedBundles() == 1)
            }
            #expect(bed.registry.entry(bystander.id) == bystander)
            try await bed.expectConsistent()
        }
    }
}
