import Crypto
import SPIFFE
import Testing

@testable import Issuance

struct WITIssuanceTests {
    @Test func `a workload's token lives an hour, names its key, and is in the log twice`() async throws {
        try await TestDomain.run { domain in
            let authorities = try await domain.open()
            let issuer = domain.issuer(authorities)
            let key = try P256.Signing.PrivateKey.fresh(randomBytes: domain.random.draw).publicKey
            let issued = try await issuer.issueWITSVID(
                for: domain.caller, entry: try domain.entry(), publicKey: [UInt8](key.derRepresentation))
            #expect(issued.expiresAt == UnixTime(seconds: domain.clock.now.seconds + 3600))
            #expect(issued.authorityID == authorities.latest(.wit, .active)?.id)
            let verified = try WITSVID.verify(
                token: issued.token, bundles: { _ in authorities.bundle.witAuthorities }, now: domain.clock.now)
            #expect(verified.confirmationKey.derSPKI == [UInt8](key.derRepresentation))
            let events = try await domain.events(of: .witSVIDIssue)
            #expect(events.map(\.phase) == [.intent, .outcome])
            #expect(events.last?.effect?.result["kid"] == issued.authorityID)
        }
    }

    @Test func `keys that no proof can be made with, and IDs that are not ours, are refused on the record`()
        async throws
    {
        try await TestDomain.run { domain in
            let issuer = domain.issuer(try await domain.open())
            let id = try SPIFFEID("spiffe://example.org/tool")
            let ed25519 = Curve25519.Signing.PrivateKey().publicKey.rawRepresentation
            // SubjectPublicKeyInfo of Ed25519 (RFC 8410 §4).
            let spki: [UInt8] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00] + ed25519
            for bad in [[], [0x30, 0x00], spki] {
                await #expect(throws: IssuanceError.publicKey) {
                    try await issuer.mintWITSVID(for: domain.caller, id: id, publicKey: bad)
                }
            }
            let key = [UInt8](P256.Signing.PrivateKey().publicKey.derRepresentation)
            let other = try SPIFFEID("spiffe://other.example/tool")
            await #expect(throws: IssuanceError.otherTrustDomain(other.trustDomain)) {
                try await issuer.mintWITSVID(for: domain.caller, id: other, publicKey: key)
            }
            let events = try await domain.events(of: .witSVIDMint)
            #expect(events.count == 4)
            #expect(events.allSatisfy { $0.phase == .single && $0.decision.result == .deny })
        }
    }

    @Test func `of the keys of all kinds each is its own`() async throws {
        try await TestDomain.run { domain in
            let records = try await domain.open().records
            #expect(Set(records.map(\.kind)) == Set(AuthorityRecord.Kind.allCases))
            #expect(Set(records.map(\.publicKey)).count == records.count)
            #expect(Set(records.map(\.id)).count == records.count)
        }
    }
}
