import SPIFFE
import Testing

@testable import Registry

@Suite struct FederationTests {
    @Test("create wants none, update wants one, and the own trust domain is neither")
    func modes() async throws {
        try await TestBed.run { bed in
            await #expect(throws: RegistryError.relationshipNotFound) {
                try await bed.addRelationship("x.org", .update)
            }
            try await bed.addRelationship("x.org")
            await #expect(throws: RegistryError.relationshipExists) { try await bed.addRelationship("x.org") }
            await #expect(throws: RegistryError.ownTrustDomain) { try await bed.addRelationship("example.org") }
            let revision = bed.registry.position.federationRevision
            let endpoint = try SPIFFEID("spiffe://y.org/endpoint")
            try await bed.addRelationship("x.org", .update, profile: .spiffe(endpointID: endpoint))
            #expect(bed.registry.position.federationRevision == revision + 1)
            let stored = try #require(bed.registry.federationRelationship(try TrustDomain("x.org")))
            #expect(stored.profile == .spiffe(endpointID: endpoint))
            try await bed.expectConsistent()
        }
    }

    @Test("relationships are listed by name, in pages that survive deletions")
    func pages() async throws {
        try await TestBed.run { bed in
            for name in ["c.org", "a.org", "d.org", "b.org"] { try await bed.addRelationship(name) }
            let first = try bed.registry.federationRelationships(page: PageRequest(size: 2))
            #expect(first.items.map(\.trustDomain.name) == ["a.org", "b.org"])
            try await bed.registry.deleteFederationRelationship(
                TrustDomain("b.org"), by: TestBed.admin, requestID: "r")
            let second = try bed.registry.federationRelationships(page: PageRequest(size: 2, token: first.nextToken))
            #expect(second.items.map(\.trustDomain.name) == ["c.org", "d.org"])
            #expect(second.nextToken.isEmpty)
            #expect(throws: RegistryError.badPageToken) {
                try bed.registry.federationRelationships(page: PageRequest(size: 2, token: "No Name"))
            }
            await #expect(throws: RegistryError.relationshipNotFound) {
                try await bed.registry.deleteFederationRelationship(
                    TrustDomain("b.org"), by: TestBed.admin, requestID: "r")
            }
        }
    }

    @Test("the bundle stays when the relationship goes")
    func bundleStays() async throws {
        try await TestBed.run { bed in
            try await bed.addBundle("x.org")
            try await bed.addRelationship("x.org")
            try await bed.registry.deleteFederationRelationship(
                TrustDomain("x.org"), by: TestBed.admin, requestID: "r")
            #expect(bed.registry.countFederatedBundles() == 1)
            #expect(bed.registry.federationRelationships().isEmpty)
            let events = try await bed.events().suffix(2)
            #expect(events.map(\.type) == ["federation.delete", "federation.delete"])
            #expect(events.map(\.phase) == ["intent", "outcome"])
        }
    }
}
