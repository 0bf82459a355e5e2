/// An absolute `https` URL without user information and fragment: a bundle endpoint (SPIFFE Federation §5.2.1), or the
/// issuer of tokens (OpenID Connect Discovery 1.0 §3).
package struct HTTPSURL: Hashable, Sendable {
    /// The URL as it was given.
    package let string: String
    /// The host in lower case; an IPv6 address without its brackets.
    package let host: String
    /// The port; 443 where the URL has none.
    package let port: Int
    /// Path and query as a request has them; at least `/`.
    package let target: String

    /// Longest URL that is read, in bytes.
    package static let maximumLength = 2048

    private static let scheme = "https://"

    /// Reads a URL of printable ASCII; anything else has to come percent-encoded.
    package init(_ text: String) throws(ParseError) {
        let bytes = Array(text.utf8)
        guard bytes.count <= Self.maximumLength else { throw .tooLong }
        guard bytes.allSatisfy({ (0x21...0x7e).contains($0) }) else { throw .badCharacter }
        guard text.lowercased().hasPrefix(Self.scheme) else { throw .notHTTPS }
        let rest = bytes.dropFirst(Self.scheme.utf8.count)
        guard !rest.contains(UInt8(ascii: "#")) else { throw .fragment }
        let end = rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? rest.endIndex
        let authority = rest[..<end]
        guard !authority.contains(UInt8(ascii: "@")) else { throw .userInformation }
        let (name, digits) = try Self.split(authority)
        guard !name.isEmpty else { throw .badHost }
        port = try Self.port(digits)
        host = String(decoding: name, as: UTF8.self).lowercased()
        let target = String(decoding: rest[end...], as: UTF8.self)
        self.target = target.hasPrefix("/") ? target : "/" + target
        string = text
    }

    /// What a request's `Host` header says, apart from the port.
    package static func host(ofAuthority authority: String) -> String {
        guard let (name, _) = try? split(Array(authority.utf8)[...]) else { return "" }
        return String(decoding: name, as: UTF8.self).lowercased()
    }

    /// The `Host` header of a request for it (RFC 9110 §7.2).
    package var authority: String {
        let name = host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host
        return port == 443 ? name : "\(name):\(port)"
    }

    /// Host and port of an authority; the host of `[::1]:8443` is `::1`.
    private static func split(
        _ authority: ArraySlice<UInt8>
    ) throws(ParseError) -> (host: ArraySlice<UInt8>, port: ArraySlice<UInt8>?) {
        let colon = UInt8(ascii: ":")
        if authority.first == UInt8(ascii: "[") {
            guard let close = authority.firstIndex(of: UInt8(ascii: "]")) else { throw .badHost }
            let host = authority[authority.index(after: authority.startIndex)..<close]
            let rest = authority[authority.index(after: close)...]
            guard host.allSatisfy({ isHexadecimal($0) || $0 == colon || $0 == UInt8(ascii: ".") }) else {
                throw .badHost
            }
            guard let first = rest.first else { return (host, nil) }
            guard first == colon else { throw .badHost }
            return (host, rest.dropFirst())
        }
        let cut = authority.firstIndex(of: colon) ?? authority.endIndex
        let host = authority[..<cut]
        guard
            host.allSatisfy({
                isAlphanumeric($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "_")
            })
        else { throw .badHost }
        return (host, cut < authority.endIndex ? authority[authority.index(after: cut)...] : nil)
    }

    private static func port(_ digits: ArraySlice<UInt8>?) throws(ParseError) -> Int {
        guard let digits else { return 443 }
        guard (1...5).contains(digits.count), digits.allSatisfy({ (0x30...0x39).contains($0) }),
            let port = Int(String(decoding: digits, as: UTF8.self)), (1...65535).contains(port)
        else { throw .badPort }
        return port
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), 0x30...0x39: true
        default: false
        }
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"), 0x30...0x39: true
        default: false
        }
    }

    /// Why a text is no such URL.
    package enum ParseError: Error, Hashable, Sendable, CustomStringConvertible {
        case tooLong
        case badCharacter
        case notHTTPS
        case userInformation
        case fragment
        case badHost
        case badPort

        package var description: String {
            switch self {
            case .tooLong: "a url has at most \(HTTPSURL.maximumLength) bytes"
            case .badCharacter: "a url consists of printable ascii characters"
            case .notHTTPS: "the url does not begin with `https://`"
            case .userInformation: "the url must not carry user information"
            case .fragment: "the url must not have a fragment"
            case .badHost: "the url has no proper host"
            case .badPort: "the url's port is not between 1 and 65535"
            }
        }
    }
}
