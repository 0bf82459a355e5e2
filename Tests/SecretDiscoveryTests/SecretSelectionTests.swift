import SPIFFE
import Testing

@testable import SecretDiscovery

@Suite struct SecretSelectionTests {
    let own: TrustDomain
    let other: TrustDomain
    let web: SPIFFEID
    let caller: SPIFFEID

    init() throws {
        own = try TrustDomain("example.org")
        other = try TrustDomain("other.test")
        web = try SPIFFEID("spiffe://example.org/web")
        caller = try SPIFFEID("spiffe://example.org/caller")
    }

    func select(_ names: Set<String>, ids: [SPIFFEID]? = nil) throws -> SecretSelection {
        try SecretSelection(
            names: names, ids: ids ?? [web, caller, web], bundles: [other, own], own: own, settings: SecretNames())
    }

    @Test func `no names mean everything once, the own bundle first`() throws {
        #expect(
            try select([]).items == [
                .bundle(own, name: "spiffe://example.org"), .bundle(other, name: "spiffe://other.test"),
                .identity(position: 0, name: "spiffe://example.org/web"),
                .identity(position: 1, name: "spiffe://example.org/caller"),
            ])
    }

    @Test func `each name stands for itself, in any mixture`() throws {
        let names: Set = ["default", "spiffe://example.org/web", "ROOTCA", "spiffe://example.org", "ALL"]
        let selection = try select(names)
        #expect(selection.items.count == 5)
        #expect(selection.items.contains(.allBundles(name: "ALL")))
        #expect(selection.items.contains(.bundle(own, name: "ROOTCA")))
        #expect(selection.items.contains(.bundle(own, name: "spiffe://example.org")))
        #expect(selection.positions == [0])
    }

    @Test func `a bundle needs no key`() throws {
        #expect(try select(["ROOTCA", "ALL", "spiffe://other.test"]).positions.isEmpty)
    }

    @Test(arguments: [
        "nobody", "example.org", "spiffe://nobody.test", "spiffe://example.org/nobody", "rootca", "spiffe://",
        "spiffe://example.org/", "spiffe://other.test/web",
    ])
    func `an unknown name is refused by name`(name: String) {
        #expect(throws: SecretSelection.UnknownNames(names: [name])) { try select(["default", name]) }
    }

    @Test func `without identities there is no default`() {
        #expect(throws: SecretSelection.UnknownNames(names: ["default"])) {
            try select(["default", "ROOTCA"], ids: [])
        }
    }
}

@Suite struct EnvoyValidationTests {
    private func node(_ major: UInt32, _ minor: UInt32) -> Envoy_Config_Core_V3_Node {
        .with {
            $0.userAgentBuildVersion.version.majorNumber = major
            $0.userAgentBuildVersion.version.minorNumber = minor
        }
    }

    @Test(arguments: [(1, 18, true), (1, 17, false), (2, 0, true), (0, 99, false), (1, 40, true)])
    func `the validator exists since 1_18`(major: UInt32, minor: UInt32, isThere: Bool) {
        #expect(EnvoyValidation(node(major, minor), SecretNames()) == (isThere ? .spiffe : .authorities))
    }

    @Test func `configuration and metadata switch it off`() {
        var names = SecretNames()
        names.disablesSPIFFEValidation = true
        #expect(EnvoyValidation(node(1, 40), names) == .authorities)
        var asking = node(1, 40)
        asking.metadata.fields["disable_spiffe_cert_validation"] = .with { $0.boolValue = true }
        #expect(EnvoyValidation(asking, SecretNames()) == .authorities)
        asking.metadata.fields["disable_spiffe_cert_validation"] = .with { $0.stringValue = "no" }
        #expect(EnvoyValidation(asking, SecretNames()) == .spiffe)
    }
}
