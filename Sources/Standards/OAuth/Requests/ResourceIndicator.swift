/// Where a token is to be used (RFC 8707 §2): an absolute URI without a fragment, compared byte by byte.
package struct ResourceIndicator: Sendable, Hashable {
    package let string: String

    /// Longest indicator that is read, in bytes.
    package static let maximumLength = 2048

    /// Reads `scheme ":" hier-part [ "?" query ]` (RFC 3986 §4.3).
    package init(_ text: String) throws(ParseError) {
        let bytes = Array(text.utf8)
        guard bytes.count <= Self.maximumLength else { throw .tooLong }
        guard URISyntax.hasValidCharacters(bytes) else { throw .badCharacter }
        guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")), let first = bytes.first,
            ByteClass.isLetter(first), bytes[..<colon].allSatisfy(Self.isSchemeByte), colon + 1 < bytes.count
        else { throw .notAbsolute }
        guard !bytes.contains(UInt8(ascii: "#")) else { throw .fragment }
        string = text
    }

    private static func isSchemeByte(_ byte: UInt8) -> Bool {
        ByteClass.isLetter(byte) || ByteClass.isDigit(byte) || "+-.".utf8.contains(byte)
    }

    /// Why a text is no such URI.
    package enum ParseError: Error, Sendable, Equatable, CustomStringConvertible {
        case tooLong
        case badCharacter
        case notAbsolute
        case fragment

        package var description: String {
            switch self {
            case .tooLong: "a resource has at most \(ResourceIndicator.maximumLength) bytes"
            case .badCharacter: "the resource has a character or an escape that uris do not have"
            case .notAbsolute: "a resource is an absolute uri"
            case .fragment: "a resource has no fragment"
            }
        }
    }
}
