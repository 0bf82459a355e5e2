import Attestation
import SPIFFE
import Testing

@testable import Registry

@Suite struct EntryRulesTests {
    private let rules = EntryRules(trustDomain: TestBed.trustDomain, requireParent: false)

    private static func draft(_ change: (inout EntryDraft) throws -> Void = { _ in }) throws -> EntryDraft {
        var draft = EntryDraft(
            spiffeID: try identity("/web"), parentID: try identity("/node"),
            selectors: [try Selector(parsing: "unix:uid:1")])
        try change(&draft)
        return draft
    }

    private func entry(_ draft: EntryDraft, id: String = "a") throws -> RegistrationEntry {
        try rules.entry(from: draft, id: id, createdAt: UnixTime(seconds: 1))
    }

    struct Refusal: CustomTestStringConvertible {
        let error: EntryError
        let change: @Sendable (inout EntryDraft) throws -> Void
        var testDescription: String { "\(error)" }
    }

    static let refusals: [Refusal] = [
        Refusal(error: .missingSPIFFEID) { $0.spiffeID = nil },
        Refusal(error: .foreignSPIFFEID) { $0.spiffeID = try SPIFFEID("spiffe://other.org/web") },
        Refusal(error: .pathlessSPIFFEID) { $0.spiffeID = TestBed.trustDomain.id },
        Refusal(error: .reservedSPIFFEID) { $0.spiffeID = try identity("/spire") },
        Refusal(error: .reservedSPIFFEID) { $0.spiffeID = try identity("/spire/server") },
        Refusal(error: .reservedSPIFFEID) { $0.spiffeID = try identity("/spire/agent/join_token/x") },
        Refusal(error: .reservedSPIFFEID) { $0.spiffeID = try identity("/agentshield/any-node") },
        Refusal(error: .foreignParentID) { $0.parentID = try SPIFFEID("spiffe://other.org/node") },
        Refusal(error: .pathlessParentID) { $0.parentID = TestBed.trustDomain.id },
        Refusal(error: .noSelectors) { $0.selectors = [] },
        Refusal(error: .tooManySelectors) {
            $0.selectors = try (0...256).map { try Selector(type: "t", value: String($0)) }
        },
        Refusal(error: .launchOfAnyUser) { $0.selectors = [try Selector(parsing: "launch:name:weather")] },
        Refusal(error: .launchOfAnyUser) {
            $0.selectors = try ["launch:name:weather", "launch:role:main", "unix:uid:5"].map {
                try Selector(parsing: $0)
            }
        },
        Refusal(error: .negativeX509SVIDTTL) { $0.x509SVIDTTL = -1 },
        Refusal(error: .negativeJWTSVIDTTL) { $0.jwtSVIDTTL = .min },
        Refusal(error: .negativeExpiry) { $0.expiresAt = UnixTime(milliseconds: -1) },
        Refusal(error: .tooManyDNSNames) { $0.dnsNames = (0...256).map { "h\($0)" } },
        Refusal(error: .badDNSName("")) { $0.dnsNames = [""] },
        Refusal(error: .badDNSName("a..b")) { $0.dnsNames = ["ok", "a..b"] },
        Refusal(error: .badDNSName("-a")) { $0.dnsNames = ["-a"] },
        Refusal(error: .badDNSName("a.")) { $0.dnsNames = ["a."] },
        Refusal(error: .badDNSName("a b")) { $0.dnsNames = ["a b"] },
        Refusal(error: .badDNSName("*")) { $0.dnsNames = ["*"] },
        Refusal(error: .badDNSName("a.*.b")) { $0.dnsNames = ["a.*.b"] },
        Refusal(error: .badDNSName("bücher.example")) { $0.dnsNames = ["bücher.example"] },
        Refusal(error: .overlappingDNSName("WWW.Example.org")) { $0.dnsNames = ["*.example.org", "WWW.Example.org"] },
        Refusal(error: .hintTooLong) { $0.hint = String(repeating: "h", count: 1025) },
        Refusal(error: .federatesWithItself) { $0.federatesWith = [TestBed.trustDomain] },
        Refusal(error: .tooManyFederatedTrustDomains) {
            $0.federatesWith = try (0...256).map { try TrustDomain("td\($0)") }
        },
    ]

    @Test("a draft that breaks a rule is refused with that rule", arguments: refusals)
    func refuses(refusal: Refusal) throws {
        let draft = try Self.draft(refusal.change)
        #expect(throws: refusal.error) { try entry(draft) }
    }

    @Test("the same rules hold for updates", arguments: refusals)
    func refusesUpdates(refusal: Refusal) throws {
        let old = try entry(Self.draft())
        let draft = try Self.draft(refusal.change)
        #expect(throws: refusal.error) { try rules.entry(updating: old, with: draft, mask: .all) }
    }

    struct Acceptance: CustomTestStringConvertible {
        let name: String
        let change: @Sendable (inout EntryDraft) throws -> Void
        var testDescription: String { name }
    }

    @Test(
        "what is at the edge of a rule is accepted",
        arguments: [
            Acceptance(name: "/spirea is not /spire") { $0.spiffeID = try identity("/spirea") },
            Acceptance(name: "parents may be reserved") { $0.parentID = try identity("/spire/server") },
            Acceptance(name: "an entry may be its own parent") { $0.parentID = $0.spiffeID },
            Acceptance(name: "256 selectors") {
                $0.selectors = try (1...256).map { try Selector(type: "t", value: String($0)) }
            },
            Acceptance(name: "a launch of one user") {
                $0.selectors = try ["launch:name:weather", "launch:uid:5"].map { try Selector(parsing: $0) }
            },
            Acceptance(name: "any user's launch, when that is said") {
                $0.selectors = [try Selector(parsing: "launch:name:weather")]
                $0.allowsAnyLauncher = true
            },
            Acceptance(name: "greatest ttl") { $0.x509SVIDTTL = .max },
            Acceptance(name: "dns") { $0.dnsNames = ["a", "xn--bcher-kva.example", "*.example.org", "example.org"] },
            Acceptance(name: "hint") { $0.hint = String(repeating: "h", count: 1024) },
            Acceptance(name: "other domain") { $0.federatesWith = [try TrustDomain("other.org")] },
            Acceptance(name: "expired") { $0.expiresAt = UnixTime(seconds: 0) },
        ])
    func accepts(acceptance: Acceptance) throws {
        let draft = try Self.draft(acceptance.change)
        #expect(try entry(draft).spiffeID == draft.spiffeID)
    }

    @Test("an update that leaves the selectors alone may leave a launch of any user")
    func updateOfAnyLauncher() throws {
        let old = try entry(
            Self.draft {
                $0.selectors = [try Selector(parsing: "launch:name:weather")]
                $0.allowsAnyLauncher = true
            })
        let draft = try Self.draft {
            $0.selectors = old.selectors
            $0.hint = "new"
        }
        #expect(try rules.entry(updating: old, with: draft, mask: .hint).hint == "new")
        #expect(throws: EntryError.launchOfAnyUser) {
            try rules.entry(updating: old, with: draft, mask: [.hint, .selectors])
        }
    }

    @Test("entry IDs: every ASCII byte, and the length")
    func entryIDs() throws {
        let allowed = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-".utf8)
        for byte in UInt8(0)...127 {
            let isAccepted = EntryRules.isEntryID("x" + String(decoding: [byte], as: UTF8.self))
            #expect(isAccepted == allowed.contains(byte), "\(byte)")
        }
        #expect(!EntryRules.isEntryID(""))
        #expect(!EntryRules.isEntryID("ä"))
        #expect(EntryRules.isEntryID(String(repeating: "a", count: 255)))
        #expect(!EntryRules.isEntryID(String(repeating: "a", count: 256)))
        #expect(throws: EntryError.badID) { try entry(Self.draft(), id: "a/b") }
    }

    @Test("an entry without a parent belongs to the built-in alias, unless a parent is required")
    func anyNode() throws {
        let draft = try Self.draft { $0.parentID = nil }
        #expect(try entry(draft).parentID.string == "spiffe://example.org/agentshield/any-node")
        let strict = EntryRules(trustDomain: TestBed.trustDomain, requireParent: true)
        #expect(throws: EntryError.missingParentID) {
            try strict.entry(from: draft, id: "a", createdAt: UnixTime(seconds: 1))
        }
    }

    @Test("selectors and trust domains are sorted and unique, DNS names keep their order")
    func normalizes() throws {
        let entry = try entry(
            Self.draft {
                $0.selectors = try ["b:1", "a:1", "b:1"].map { try Selector(parsing: $0) }
                $0.federatesWith = try ["b.org", "a.org", "b.org"].map { try TrustDomain($0) }
                $0.dnsNames = ["z", "a"]
            })
        #expect(entry.selectors.map(\.description) == ["a:1", "b:1"])
        #expect(entry.federatesWith.map(\.name) == ["a.org", "b.org"])
        #expect(entry.dnsNames == ["z", "a"])
    }

    // MARK: Masks

    /// Each bit and the one field it stands for.
    static let fields: [(EntryMask, String, @Sendable (RegistrationEntry) -> any Equatable & Sendable)] = [
        (.spiffeID, "spiffeID", { $0.spiffeID }), (.parentID, "parentID", { $0.parentID }),
        (.selectors, "selectors", { $0.selectors }), (.x509SVIDTTL, "x509SVIDTTL", { $0.x509SVIDTTL }),
        (.jwtSVIDTTL, "jwtSVIDTTL", { $0.jwtSVIDTTL }), (.federatesWith, "federatesWith", { $0.federatesWith }),
        (.isAdmin, "isAdmin", { $0.isAdmin }), (.isDownstream, "isDownstream", { $0.isDownstream }),
        (.expiresAt, "expiresAt", { $0.expiresAt }), (.dnsNames, "dnsNames", { $0.dnsNames }),
        (.hint, "hint", { $0.hint }), (.storeSVID, "storeSVID", { $0.storeSVID }),
        (.attributes, "attributes", { $0.attributes }),
    ]

    @Test("every mask bit writes exactly its own field", arguments: 0..<13)
    func masks(bit: Int) throws {
        let old = try entry(Self.draft())
        let draft = EntryDraft(
            spiffeID: try identity("/other"), parentID: try identity("/elsewhere"),
            selectors: [try Selector(parsing: "unix:uid:2")], x509SVIDTTL: 11, jwtSVIDTTL: 12,
            federatesWith: [try TrustDomain("b.org")], isAdmin: true, isDownstream: true,
            expiresAt: UnixTime(seconds: 99), dnsNames: ["d"], hint: "h", storeSVID: true,
            attributes: EntryAttributes(disableX509SVIDPrefetch: true, jwtSVIDIncludeJTI: true))
        let mask = EntryMask(rawValue: 1 << UInt16(bit))
        let new = try rules.entry(updating: old, with: draft, mask: mask)
        for (other, name, value) in Self.fields {
            #expect(isEqual(value(new), value(old)) == (other != mask), "\(name)")
        }
        #expect(new.id == old.id)
        #expect(new.createdAt == old.createdAt)
        #expect(new.revision == old.revision + 1)
    }

    @Test("the table of fields covers the whole mask, and the empty mask writes nothing but the revision")
    func wholeMask() throws {
        #expect(Self.fields.reduce(into: EntryMask()) { $0.formUnion($1.0) } == .all)
        let old = try entry(Self.draft())
        var expected = old
        expected.revision += 1
        #expect(try rules.entry(updating: old, with: EntryDraft(spiffeID: nil), mask: []) == expected)
    }

    private func isEqual(_ left: any Equatable, _ right: any Equatable) -> Bool {
        func compare<Value: Equatable>(_ left: Value) -> Bool { left == right as? Value }
        return compare(left)
    }
}

/// `id` is also a parameter name in the tables above.
private func identity(_ path: String) throws -> SPIFFEID { try SPIFFEID(trustDomain: TestBed.trustDomain, path: path) }
