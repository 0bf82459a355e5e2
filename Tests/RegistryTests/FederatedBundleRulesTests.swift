import SPIFFE
import Testing

@testable import Registry

@Suite struct FederatedBundleRulesTests {
    private func bundle(_ sequence: UInt64) throws -> TrustBundle {
        TrustBundle(trustDomain: try TrustDomain("x.org"), sequenceNumber: sequence)
    }

    @Test(
        "a sequence number may stay or grow",
        arguments: [(0, 0), (0, 1), (1, 1), (7, 8), (7, UInt64.max)] as [(UInt64, UInt64)])
    func forward(_ from: UInt64, _ to: UInt64) throws {
        try FederatedBundleRules.check(bundle(to), replacing: bundle(from))
    }

    @Test("a sequence number never goes back", arguments: [(1, 0), (8, 7), (UInt64.max, 0)] as [(UInt64, UInt64)])
    func back(_ from: UInt64, _ to: UInt64) throws {
        let (newer, older) = (try bundle(from), try bundle(to))
        #expect(throws: FederatedBundleRefusal.sequenceWentBack(from: from, to: to)) {
            try FederatedBundleRules.check(older, replacing: newer)
        }
        try FederatedBundleRules.check(older, replacing: nil)
    }
}
