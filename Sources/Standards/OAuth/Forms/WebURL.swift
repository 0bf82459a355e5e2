/// An absolute `http` or `https` URL (RFC 9110 §4.2) taken apart: an issuer, an endpoint, the target of a DPoP proof.
package struct WebURL: Sendable, Equatable {
    /// The URL as it was given.
    package let string: String
    package let isSecure: Bool
    /// The host in lower case; an IPv6 address in its brackets.
    package let host: String
    /// The port, the scheme's own where the URL has none.
    package let port: Int
    /// The path as given; may be empty.
    package let path: String
    /// What follows `?`, if there is one.
    package let query: String?
    /// Whether there is a `#`, whatever follows.
    package let hasFragment: Bool

    /// Longest URL that is read, in bytes.
    package static let maximumLength = 2048

    /// Reads a URL of the characters of RFC 3986; user information is refused.
    package init(_ text: String) throws(ParseError) {
        let bytes = Array(text.utf8)
        guard bytes.count <= Self.maximumLength else { throw .tooLong }
        guard URISyntax.hasValidCharacters(bytes) else { throw .badCharacter }
        let isSecure: Bool
        var rest: ArraySlice<UInt8>
        if ByteClass.equalsIgnoringCase(bytes.prefix(8), "https://") {
            (isSecure, rest) = (true, bytes.dropFirst(8))
        } else if ByteClass.equalsIgnoringCase(bytes.prefix(7), "http://") {
            (isSecure, rest) = (false, bytes.dropFirst(7))
        } else {
            throw .badScheme
        }
        let hash = rest.firstIndex(of: UInt8(ascii: "#"))
        hasFragment = hash != nil
        rest = rest[..<(hash ?? rest.endIndex)]
        let mark = rest.firstIndex(of: UInt8(ascii: "?"))
        query = mark.map { String(decoding: rest[($0 + 1)...], as: UTF8.self) }
        rest = rest[..<(mark ?? rest.endIndex)]
        let slash = rest.firstIndex(of: UInt8(ascii: "/")) ?? rest.endIndex
        path = String(decoding: rest[slash...], as: UTF8.self)
        (host, port) = try Self.authority(rest[..<slash], defaultPort: isSecure ? 443 : 80)
        self.isSecure = isSecure
        string = text
    }

    /// Scheme, host and port as one text; the scheme's own port is left out (RFC 3986 §6.2.3).
    package var origin: String {
        let scheme = isSecure ? "https" : "http"
        return port == (isSecure ? 443 : 80) ? "\(scheme)://\(host)" : "\(scheme)://\(host):\(port)"
    }

    /// Origin and path after the normalization of RFC 3986 §6.2.2 and §6.2.3, without query and fragment: what two
    /// spellings of one HTTP target have in common.
    package var normalizedTarget: String { origin + URISyntax.normalizedPath(path) }

    private static func authority(
        _ authority: ArraySlice<UInt8>, defaultPort: Int
    ) throws(ParseError) -> (host: String, port: Int) {
        guard !authority.contains(UInt8(ascii: "@")) else { throw .userInformation }
        let colon = UInt8(ascii: ":")
        let end: Int
        if authority.first == UInt8(ascii: "[") {
            guard let close = authority.firstIndex(of: UInt8(ascii: "]")) else { throw .badHost }
            let address = authority[(authority.startIndex + 1)..<close]
            guard !address.isEmpty,
                address.allSatisfy({ ByteClass.hexValue($0) != nil || $0 == colon || $0 == UInt8(ascii: ".") })
            else { throw .badHost }
            end = close + 1
            guard end == authority.endIndex || authority[end] == colon else { throw .badHost }
        } else {
            end = authority.firstIndex(of: colon) ?? authority.endIndex
            guard end > authority.startIndex,
                authority[..<end].allSatisfy({ ByteClass.isUnreserved($0) && $0 != UInt8(ascii: "~") })
            else { throw .badHost }
        }
        let host = String(decoding: authority[..<end].map(ByteClass.lowercased), as: UTF8.self)
        let digits = authority[end...].dropFirst()
        // RFC 3986 §3.2.3 allows a colon with nothing behind it.
        guard !digits.isEmpty else { return (host, defaultPort) }
        guard digits.count <= 5, digits.allSatisfy(ByteClass.isDigit),
            let port = Int(String(decoding: digits, as: UTF8.self)), (1...65535).contains(port)
        else { throw .badPort }
        return (host, port)
    }

    /// Why a text is no such URL.
    package enum ParseError: Error, Sendable, Equatable, CustomStringConvertible {
        case tooLong
        case badCharacter
        case badScheme
        case userInformation
        case badHost
        case badPort

        package var description: String {
            switch self {
            case .tooLong: "a url has at most \(WebURL.maximumLength) bytes"
            case .badCharacter: "the url has a character or an escape that urls do not have"
            case .badScheme: "the url begins neither with `https://` nor with `http://`"
            case .userInformation: "the url must not carry user information"
            case .badHost: "the url has no proper host"
            case .badPort: "the url's port is not between 1 and 65535"
            }
        }
    }
}

/// What RFC 3986 says about the characters and paths of URIs.
enum URISyntax {
    /// Whether there are only unreserved and reserved characters and whole escapes (§2).
    static func hasValidCharacters(_ bytes: [UInt8]) -> Bool {
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            if byte == UInt8(ascii: "%") {
                guard bytes.count - index > 2, ByteClass.hexValue(bytes[index + 1]) != nil,
                    ByteClass.hexValue(bytes[index + 2]) != nil
                else { return false }
                index += 3
                continue
            }
            guard ByteClass.isUnreserved(byte) || ":/?#[]@!$&'()*+,;=".utf8.contains(byte) else { return false }
            index += 1
        }
        return true
    }

    /// A path with upper-case escapes, none of them for an unreserved character, without dot segments, not empty
    /// (§6.2.2, §6.2.3). The escapes of the path have to be whole.
    static func normalizedPath(_ path: String) -> String {
        let bytes = Array(path.utf8)
        var output: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "%"), bytes.count - index > 2,
                let high = ByteClass.hexValue(bytes[index + 1]), let low = ByteClass.hexValue(bytes[index + 2])
            {
                let byte = high << 4 | low
                if ByteClass.isUnreserved(byte) {
                    output.append(byte)
                } else {
                    ByteClass.appendEscape(of: byte, to: &output)
                }
                index += 3
            } else {
                output.append(bytes[index])
                index += 1
            }
        }
        return removingDotSegments(output)
    }

    /// RFC 3986 §5.2.4 for an absolute path.
    private static func removingDotSegments(_ path: [UInt8]) -> String {
        let segments = path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).dropFirst()
        var kept: [ArraySlice<UInt8>] = []
        for (place, segment) in segments.enumerated() {
            let isLast = place == segments.count - 1
            if segment.elementsEqual(".".utf8) {
                if isLast { kept.append([]) }
            } else if segment.elementsEqual("..".utf8) {
                _ = kept.popLast()
                if isLast { kept.append([]) }
            } else {
                kept.append(segment)
            }
        }
        return "/" + kept.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "/")
    }
}
