import SPIFFE
import Testing

@Suite("https URLs")
struct HTTPSURLTests {
    @Test(
        "are read into host, port and target",
        arguments: [
            ("https://a.example", "a.example", 443, "/", "a.example"),
            ("https://A.Example:8443/spiffe/bundle", "a.example", 8443, "/spiffe/bundle", "a.example:8443"),
            ("HTTPS://a/b?c=d", "a", 443, "/b?c=d", "a"),
            ("https://a?c=d", "a", 443, "/?c=d", "a"),
            ("https://127.0.0.1:1/", "127.0.0.1", 1, "/", "127.0.0.1:1"),
            ("https://[::1]:8443/x", "::1", 8443, "/x", "[::1]:8443"),
            ("https://[2001:db8::1]", "2001:db8::1", 443, "/", "[2001:db8::1]"),
        ])
    func accepted(_ text: String, _ host: String, _ port: Int, _ target: String, _ authority: String) throws {
        let url = try HTTPSURL(text)
        #expect(url.string == text)
        #expect(url.host == host)
        #expect(url.port == port)
        #expect(url.target == target)
        #expect(url.authority == authority)
    }

    @Test(
        "are refused for one reason each",
        arguments: [
            ("http://a/", HTTPSURL.ParseError.notHTTPS), ("", .notHTTPS), ("//a/", .notHTTPS), ("https:/a", .notHTTPS),
            ("https://", .badHost), ("https:///x", .badHost), ("https://:443/", .badHost), ("https://a%41/", .badHost),
            ("https://[::1/", .badHost), ("https://[::1]x/", .badHost), ("https://[g]/", .badHost),
            ("https://u@a/", .userInformation), ("https://u:p@a:1/", .userInformation), ("https://a/#f", .fragment),
            ("https://a:/", .badPort), ("https://a:0/", .badPort), ("https://a:65536/", .badPort),
            ("https://a:1x/", .badPort), ("https://a:123456/", .badPort), ("https://a /", .badCharacter),
            ("https://a/\n", .badCharacter), ("https://ä/", .badCharacter),
            ("https://a/" + String(repeating: "x", count: 2048), .tooLong),
        ])
    func refused(_ text: String, _ error: HTTPSURL.ParseError) {
        #expect(throws: error) { try HTTPSURL(text) }
    }

    @Test(
        "the host of a request is told apart from its port",
        arguments: [
            ("a.example", "a.example"), ("A.example:443", "a.example"), ("[::1]:8443", "::1"), ("", ""), ("a/b", ""),
        ])
    func hosts(_ authority: String, _ host: String) {
        #expect(HTTPSURL.host(ofAuthority: authority) == host)
    }
}
