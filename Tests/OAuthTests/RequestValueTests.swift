import OAuth
import Testing

@Suite struct `Values of requests` {
    private static let scopes: [(String, [String])] = [
        ("a", ["a"]), ("a b", ["a", "b"]), ("b a b", ["b", "a"]), ("api://x/.default", ["api://x/.default"]),
        ("!#$%&'()*+,-./:;<=>?@[]^_`{|}~", ["!#$%&'()*+,-./:;<=>?@[]^_`{|}~"]), ("a A", ["a", "A"]),
    ]

    @Test(arguments: scopes)
    func `a scope is words in their order, each once`(text: String, tokens: [String]) throws {
        #expect(try Scope(text).tokens == tokens)
    }

    @Test(arguments: ["", " ", " a", "a ", "a  b", "a\tb", "a\"b", "a\\b", "é", "a\u{7F}", "a\0", "a\nb"])
    func `a scope of other characters is refused`(text: String) {
        #expect(throws: Scope.ParseError.badToken) { try Scope(text) }
    }

    @Test func `a scope has limits`() throws {
        let words = (0..<Scope.maximumCount).map { "w\($0)" }
        #expect(try Scope(tokens: words).tokens.count == Scope.maximumCount)
        #expect(throws: Scope.ParseError.tooManyTokens) { try Scope(tokens: words + ["x"]) }
        #expect(throws: Scope.ParseError.tooLong) { try Scope(String(repeating: "a", count: Scope.maximumBytes + 1)) }
        #expect(throws: Scope.ParseError.badToken) { try Scope(tokens: ["a", ""]) }
        #expect(try Scope(tokens: []) == .empty)
    }

    @Test func `narrowing keeps order and never adds`() throws {
        let (asked, allowed) = (try Scope("c a x"), try Scope("a b c"))
        #expect(asked.narrowed(to: allowed).tokens == ["c", "a"])
        #expect(asked.subtracting(allowed).string == "x")
        #expect(!asked.isSubset(of: allowed))
        #expect(asked.narrowed(to: allowed).isSubset(of: allowed))
        #expect(asked.narrowed(to: .empty).isEmpty)
        #expect(Scope.empty.isSubset(of: .empty))
        #expect(try Scope("a b") == Scope("b a"))
        #expect(try Scope("a b").hashValue == Scope("b a").hashValue)
        #expect(try Scope("a b") != Scope("a"))
        #expect(try Scope("a b").contains("b") && !Scope("a b").contains("B"))
    }

    @Test(arguments: [
        "https://a.example", "https://a.example/x?y=1", "api://agent-b", "urn:x:y", "spiffe://d/p", "a+b-c.1:x",
        "https://a/%2F",
    ])
    func `a resource is an absolute uri`(text: String) throws {
        #expect(try ResourceIndicator(text).string == text)
    }

    private static let resourceRefusals: [(String, ResourceIndicator.ParseError)] = [
        ("", ResourceIndicator.ParseError.notAbsolute), ("agent-b", .notAbsolute), ("/x", .notAbsolute),
        (":x", .notAbsolute), ("1a:x", .notAbsolute), ("https:", .notAbsolute), ("a_b:x", .notAbsolute),
        ("https://a#f", .fragment), ("https://a#", .fragment), ("https://a b", .badCharacter),
        ("https://é", .badCharacter), ("https://a/%", .badCharacter), ("https://a/%2", .badCharacter),
        ("https://a/%zz", .badCharacter), ("https://a\n", .badCharacter), ("https://a/<x>", .badCharacter),
        ("x:" + String(repeating: "a", count: 2047), .tooLong),
    ]

    @Test(arguments: resourceRefusals)
    func `anything else is no resource`(text: String, expected: ResourceIndicator.ParseError) {
        #expect(throws: expected) { try ResourceIndicator(text) }
    }

    private static let tokenTypes: [(String, TokenType)] = [
        ("access_token", TokenType.accessToken), ("refresh_token", .refreshToken), ("id_token", .idToken),
        ("jwt", .jwt),
        ("saml1", .saml1), ("saml2", .saml2), ("txn_token", .transactionToken), ("self_signed", .selfSigned),
        ("unsigned_json", .unsignedJSON), ("id-jag", .identityAssertionGrant),
    ]

    @Test(arguments: tokenTypes)
    func `types of tokens have their uris`(name: String, type: TokenType) throws {
        let uri = "urn:ietf:params:oauth:token-type:" + name
        #expect(try TokenType(uri) == type)
        #expect(type.uri == uri)
        #expect(try TokenType(uri.uppercased()) != type)
    }

    @Test func `unknown types of tokens are kept if they are uris`() throws {
        #expect(try TokenType("https://a/t").uri == "https://a/t")
        #expect(throws: ResourceIndicator.ParseError.notAbsolute) { try TokenType("access_token") }
    }

    private static let normalForms: [(String, String)] = [
        ("https://A.example", "https://a.example/"), ("HTTPS://a.example:443/x", "https://a.example/x"),
        ("http://a:80", "http://a/"), ("http://a:443", "http://a:443/"), ("https://a:8443/x?y#z", "https://a:8443/x"),
        ("https://a:/x", "https://a/x"), ("https://a/%7euser/%2f", "https://a/~user/%2F"),
        ("https://a/x/../y/./z", "https://a/y/z"),
        ("https://a/..", "https://a/"), ("https://a/x/..", "https://a/"), ("https://a/x/.", "https://a/x/"),
        ("https://a/x/%2e%2e/y", "https://a/y"), ("https://a//x", "https://a//x"), ("https://a/X", "https://a/X"),
        ("https://[::1]:8443", "https://[::1]:8443/"), ("https://[FE80::1]", "https://[fe80::1]/"),
        ("https://a/%252e", "https://a/%252e"), ("https://a?x", "https://a/"), ("https://a_b.x", "https://a_b.x/"),
    ]

    @Test(arguments: normalForms)
    func `a url has one normal form`(text: String, target: String) throws {
        let url = try WebURL(text)
        #expect(url.normalizedTarget == target)
        #expect(try WebURL(target).normalizedTarget == target)
    }

    private static let urlRefusals: [(String, WebURL.ParseError)] = [
        ("", WebURL.ParseError.badScheme), ("ftp://a", .badScheme), ("https:/a", .badScheme), ("a.example", .badScheme),
        ("https://", .badHost), ("https:///x", .badHost), ("https://:443", .badHost), ("https://a[", .badHost),
        ("https://[", .badHost), ("https://[]", .badHost), ("https://[::1]x", .badHost), ("https://[g]", .badHost),
        ("https://a%41", .badHost), ("https://u@a", .userInformation), ("https://u:p@a/", .userInformation),
        ("https://a:0", .badPort), ("https://a:65536", .badPort), ("https://a:1x", .badPort),
        ("https://a:999999", .badPort),
        ("https://a/%g0", .badCharacter), ("https://a/ ", .badCharacter), ("https://a/\u{7F}", .badCharacter),
        ("https://a/" + String(repeating: "x", count: 2039), .tooLong),
    ]

    @Test(arguments: urlRefusals)
    func `other urls are refused`(text: String, expected: WebURL.ParseError) {
        #expect(throws: expected) { try WebURL(text) }
    }
}
