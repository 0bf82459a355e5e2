import OAuth
import Testing

@Suite struct `Client authentication` {
    private static let bearer = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
    private static let spiffe = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"

    private func read(_ body: String, _ authorization: String? = nil) throws -> ClientAuthentication {
        try ClientAuthentication(form: form(body), authorization: authorization)
    }

    private func readings(_ authorization: String, _ body: String = "") throws -> [String] {
        guard case .basic(let basic) = try read(body, authorization).credential else { return [] }
        return basic.candidates.map { "\($0.clientID)|\($0.secret.text)" }
    }

    private static let basicReadings: [(String, [String])] = [
        ("agent-a:s3:c/ret", ["agent-a|s3:c/ret"]),
        ("a%3Ab:s%2Bx", ["a:b|s+x", "a%3Ab|s%2Bx"]),
        ("a+b:c+d", ["a b|c d", "a+b|c+d"]),
        ("a:100%", ["a|100%"]),
        ("a:%zz+", ["a|%zz+"]),
        ("a:%C3%A9", ["a|%C3%A9"]),
        ("a:%C3", ["a|%C3"]),
        ("a:%0a", ["a|%0a"]),
    ]

    @Test(arguments: basicReadings)
    func `basic credentials are read encoded and raw`(text: String, expected: [String]) throws {
        #expect(try readings(basic(text)) == expected)
    }

    @Test func `the scheme has any case and any number of spaces`() throws {
        let token = basic("a:b").dropFirst("Basic ".count)
        for scheme in ["basic ", "BASIC   "] { #expect(try readings(scheme + token) == ["a|b"]) }
    }

    private static let basicRefusals: [(String, ClientAuthenticationError)] = [
        ("Basic", ClientAuthenticationError.badBasicCredentials), ("Basic ", .badBasicCredentials),
        ("Basic !!!!", .badBasicCredentials), ("Basic YQ==", .badBasicCredentials), (basic(":b"), .badBasicCredentials),
        (basic("a:"), .badBasicCredentials), (basic("a:\n"), .badBasicCredentials),
        (basic("é:b"), .badBasicCredentials),
        ("Basic " + "/zpi", .badBasicCredentials), ("Basic YTpi x", .badBasicCredentials),
        ("Basic YTpi,", .badBasicCredentials),
        (basic("a:" + String(repeating: "b", count: 1025)), .badBasicCredentials),
        ("Basic " + String(repeating: "A", count: 8192), .badBasicCredentials),
        ("Bearer x", .unsupportedScheme), ("DPoP x", .unsupportedScheme), ("", .unsupportedScheme),
        ("Basicx YTpi", .unsupportedScheme),
    ]

    @Test(arguments: basicRefusals)
    func `other credentials are refused as those of no client`(header: String, expected: ClientAuthenticationError) {
        #expect(throws: expected) { try read("", header) }
        #expect(expected.code == .invalidClient)
    }

    @Test func `a secret in the body needs the client's name`() throws {
        guard case .post(let secret) = try read("client_id=a&client_secret=s%26x").credential else {
            Issue.record("not read as secret in the body")
            return
        }
        #expect(secret.text == "s&x")
        #expect(throws: ClientAuthenticationError.missingClientID) { try read("client_secret=x") }
        #expect(throws: ClientAuthenticationError.badSecret) { try read("client_id=a&client_secret=%C3%A9") }
        // Without a value as good as not there (RFC 6749 §3.2).
        guard case .none = try read("client_id=a&client_secret=").credential else {
            Issue.record("an empty secret counts")
            return
        }
    }

    @Test(arguments: [(bearer, ClientAuthentication.AssertionType.jwtBearer), (spiffe, .jwtSPIFFE)])
    func `an assertion is read without the line feed of its file`(
        name: String, type: ClientAuthentication.AssertionType
    ) throws {
        let client = try read("client_assertion_type=\(name)&client_assertion=%20a.b.c%0D%0A&client_id=spiffe://d/p")
        guard case .assertion(let found, let text) = client.credential else {
            Issue.record("not read as assertion")
            return
        }
        #expect(found == type)
        #expect(text.text == "a.b.c")
        #expect(client.clientID == "spiffe://d/p")
    }

    private static let bodyRefusals: [(String, ClientAuthenticationError)] = [
        ("client_assertion=x", ClientAuthenticationError.missingAssertionType),
        ("client_assertion_type=\(spiffe)", .missingAssertion),
        ("client_assertion_type=\(spiffe)&client_assertion=%0A", .missingAssertion),
        ("client_assertion_type=saml&client_assertion=x", .unsupportedAssertionType("saml")),
        (
            "client_assertion_type=\(spiffe.uppercased())&client_assertion=x",
            .unsupportedAssertionType(spiffe.uppercased())
        ),
        ("client_id=%C3%A9", .badClientID), ("client_id=a%0A", .badClientID),
        ("client_id=" + String(repeating: "a", count: 2049), .badClientID),
        ("client_id=a&client_secret=x&client_assertion_type=\(spiffe)&client_assertion=x", .severalMethods),
    ]

    @Test(arguments: bodyRefusals)
    func `half an assertion and strange names are refused`(body: String, expected: ClientAuthenticationError) {
        #expect(throws: expected) { try read(body) }
    }

    @Test func `there is one method in a request`() throws {
        for body in ["client_id=a&client_secret=b", "client_assertion_type=\(Self.spiffe)&client_assertion=x"] {
            #expect(throws: ClientAuthenticationError.severalMethods) { try read(body, basic("a:b")) }
            #expect(throws: ClientAuthenticationError.severalMethods) { try read(body, "Bearer x") }
        }
        #expect(ClientAuthenticationError.severalMethods.code == .invalidRequest)
    }

    @Test func `the name in the body repeats the one of the credentials`() throws {
        #expect(try readings(basic("a:b"), "client_id=a") == ["a|b"])
        #expect(try readings(basic("a%3Ab:c%2B"), "client_id=a%3Ab") == ["a:b|c+"])
        #expect(try readings(basic("a%3Ab:c%2B"), "client_id=a%253Ab") == ["a%3Ab|c%2B"])
        #expect(throws: ClientAuthenticationError.contradictingClientID) { try read("client_id=b", basic("a:b")) }
    }

    @Test func `nothing in the request is a method too`() throws {
        guard case .none = try read("").credential else {
            Issue.record("something was found")
            return
        }
        #expect(try read("client_id=spiffe%3A%2F%2Fd%2Fp").clientID == "spiffe://d/p")
    }
}
