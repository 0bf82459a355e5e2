import SPIFFE
import Testing

@Suite struct `SPIFFE IDs` {
    static let lowerAndDigits = Set("abcdefghijklmnopqrstuvwxyz0123456789".utf8)
    static let upper = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)

    @Test func `a trust domain takes exactly its alphabet, byte by byte`() throws {
        let allowed = Self.lowerAndDigits.union("._-".utf8)
        // Bytes over 0x7f stand in two-byte sequences, since a String is always UTF-8.
        for value in 0...0xff as ClosedRange<UInt32> {
            let scalar = try #require(Unicode.Scalar(value))
            let text = "a" + String(Character(scalar)) + "b"
            if value < 0x80, allowed.contains(UInt8(value)) {
                #expect(try TrustDomain(text).name == text)
            } else {
                let byte = try #require(String(Character(scalar)).utf8.first)
                #expect(throws: SPIFFEIDError.badTrustDomainCharacter(byte)) { try TrustDomain(text) }
                if value != 0x2f {
                    #expect(throws: SPIFFEIDError.badTrustDomainCharacter(byte)) { try SPIFFEID("spiffe://\(text)/x") }
                }
            }
        }
    }

    @Test func `a path segment takes exactly its alphabet, byte by byte`() throws {
        let allowed = Self.lowerAndDigits.union(Self.upper).union("._-/".utf8)
        for value in 0...0xff as ClosedRange<UInt32> {
            let scalar = try #require(Unicode.Scalar(value))
            let text = "spiffe://td/a" + String(Character(scalar)) + "b"
            if value < 0x80, allowed.contains(UInt8(value)) {
                #expect(try SPIFFEID(text).string == text)
            } else {
                let byte = try #require(String(Character(scalar)).utf8.first)
                #expect(throws: SPIFFEIDError.badPathCharacter(byte)) { try SPIFFEID(text) }
            }
        }
    }

    @Test(arguments: [
        ("", SPIFFEIDError.empty), ("spiffe:", .wrongScheme), ("spiffe:/", .wrongScheme),
        ("spiffe//td", .wrongScheme), ("http://td/x", .wrongScheme), ("SPIFFE://td/x", .wrongScheme),
        ("Spiffe://td", .wrongScheme), (" spiffe://td/x", .wrongScheme), ("spiffe://", .missingTrustDomain),
        ("spiffe:///x", .missingTrustDomain), ("spiffe://td/", .trailingSlash), ("spiffe://td/x/", .trailingSlash),
        ("spiffe://td//x", .emptySegment), ("spiffe://td/a//b", .emptySegment), ("spiffe://td//", .emptySegment),
        ("spiffe://td/.", .dotSegment), ("spiffe://td/..", .dotSegment), ("spiffe://td/./a", .dotSegment),
        ("spiffe://td/a/../b", .dotSegment), ("spiffe://td:80/x", .badTrustDomainCharacter(0x3a)),
        ("spiffe://u@td/x", .badTrustDomainCharacter(0x40)), ("spiffe://td?q", .badTrustDomainCharacter(0x3f)),
        ("spiffe://td#f", .badTrustDomainCharacter(0x23)), ("spiffe://td/a?q", .badPathCharacter(0x3f)),
        ("spiffe://td/a#f", .badPathCharacter(0x23)), ("spiffe://td/a%2fb", .badPathCharacter(0x25)),
        ("spiffe://TD/x", .badTrustDomainCharacter(0x54)), ("spiffe://t\u{212a}", .badTrustDomainCharacter(0xe2)),
    ])
    func `each broken rule is named`(_ text: String, _ error: SPIFFEIDError) {
        #expect(throws: error) { try SPIFFEID(text) }
    }

    @Test(arguments: [
        "spiffe://td", "spiffe://1.2.3.4/x", "spiffe://..a/x", "spiffe://-x/y", "spiffe://_", "spiffe://td/...",
        "spiffe://td/.a/..b/c..", "spiffe://td/A/a", "spiffe://td/spire/server",
    ])
    func `legal IDs come back unchanged`(_ text: String) throws {
        let id = try SPIFFEID(text)
        #expect(id.string == text)
        #expect(id.description == text)
        #expect(try SPIFFEID(trustDomain: id.trustDomain, path: id.path) == id)
        #expect(id.isMember(of: id.trustDomain))
    }

    @Test func `lengths are counted in bytes, up to 255 and 2048`() throws {
        let name = String(repeating: "a", count: 255)
        #expect(try TrustDomain(name).name == name)
        #expect(throws: SPIFFEIDError.trustDomainTooLong) { try TrustDomain(name + "a") }
        #expect(throws: SPIFFEIDError.missingTrustDomain) { try TrustDomain("") }
        let longest = "spiffe://td/" + String(repeating: "b", count: 2048 - 12)
        let id = try SPIFFEID(longest)
        #expect(throws: SPIFFEIDError.tooLong) { try SPIFFEID(longest + "b") }
        #expect(throws: SPIFFEIDError.tooLong) { try SPIFFEID(trustDomain: id.trustDomain, path: id.path + "b") }
    }

    @Test func `IDs are joined only from legal parts`() throws {
        let domain = try TrustDomain("td")
        #expect(try SPIFFEID(trustDomain: domain, segments: ["a", "b"]).string == "spiffe://td/a/b")
        #expect(try SPIFFEID(trustDomain: domain, segments: []) == domain.id)
        #expect(throws: SPIFFEIDError.badPathCharacter(0x2f)) {
            try SPIFFEID(trustDomain: domain, segments: ["a/../b"])
        }
        #expect(throws: SPIFFEIDError.emptySegment) { try SPIFFEID(trustDomain: domain, segments: ["a", ""]) }
        #expect(throws: SPIFFEIDError.dotSegment) { try SPIFFEID(trustDomain: domain, segments: [".."]) }
        #expect(throws: SPIFFEIDError.pathWithoutLeadingSlash) { try SPIFFEID(trustDomain: domain, path: "a") }
        #expect(throws: SPIFFEIDError.trailingSlash) { try SPIFFEID(trustDomain: domain, path: "/") }
    }

    @Test func `a trust domain can be given as its ID but not as another`() throws {
        #expect(try TrustDomain(idOrName: "td") == TrustDomain("td"))
        #expect(try TrustDomain(idOrName: "spiffe://td") == TrustDomain("td"))
        #expect(throws: SPIFFEIDError.pathNotAllowed) { try TrustDomain(idOrName: "spiffe://td/x") }
        #expect(throws: SPIFFEIDError.badTrustDomainCharacter(0x3a)) { try TrustDomain("spiffe://td") }
        #expect(try TrustDomain("td").idString == "spiffe://td")
    }

    @Test(arguments: [
        ("/spire", true), ("/spire/agent/x", true), ("/spires", false), ("", false), ("/a/spire", false),
        ("/Spire", false),
    ])
    func `the provider's own paths are known`(_ path: String, _ isReserved: Bool) throws {
        #expect(try SPIFFEID(trustDomain: TrustDomain("td"), path: path).isReserved == isReserved)
    }

    @Test func `order is by trust domain, then path`() throws {
        let sorted = try ["spiffe://a", "spiffe://a/B", "spiffe://a/b", "spiffe://a/b/c", "spiffe://b/a"].map {
            try SPIFFEID($0)
        }
        #expect(sorted.reversed().sorted() == sorted)
        #expect(Set(sorted).count == sorted.count)
    }
}
