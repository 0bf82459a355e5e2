/// What a JSON text may cost its reader.
package struct JSONLimits: Sendable {
    /// The most bytes of a text.
    package let maximumBytes: Int

    /// The most arrays and objects that may stand inside each other.
    package let maximumDepth: Int

    /// No limit may allow deeper nesting, because reading, writing and freeing a value recurse.
    package static let deepestMaximumDepth = 256

    /// The most bytes of one number; the longest double that needs all its digits has fewer than 800.
    static let maximumNumberBytes = 1024

    /// 1 MiB and 64 levels.
    package static let `default` = JSONLimits(maximumBytes: 1 << 20, maximumDepth: 64)

    /// Limits; a depth above `deepestMaximumDepth` is lowered to it.
    package init(maximumBytes: Int = 1 << 20, maximumDepth: Int = 64) {
        self.maximumBytes = maximumBytes
        self.maximumDepth = min(maximumDepth, Self.deepestMaximumDepth)
    }
}

/// Why bytes are not acceptable JSON; offsets count bytes from the start of the text.
package enum JSONParseError: Error, Sendable, Equatable {
    /// The text is longer than the limit, in bytes.
    case tooLarge(limit: Int)
    /// Arrays and objects are nested deeper than the limit.
    case tooDeep(limit: Int)
    /// The text starts with a byte order mark (RFC 8259 §8.1).
    case byteOrderMark
    /// The text ends inside a value.
    case unexpectedEnd
    /// A byte that the grammar does not allow here.
    case unexpectedByte(offset: Int)
    /// More bytes follow the value.
    case trailingBytes(offset: Int)
    /// A control character stands unescaped in a string.
    case controlCharacter(offset: Int)
    /// A backslash is followed by something that is no escape.
    case invalidEscape(offset: Int)
    /// An escaped UTF-16 surrogate without its partner.
    case loneSurrogate(offset: Int)
    /// The string that starts here is not valid UTF-8.
    case invalidUTF8(offset: Int)
    /// A malformed number, such as one with a leading zero.
    case invalidNumber(offset: Int)
    /// A number of more bytes than anyone needs.
    case numberTooLong(offset: Int)
    /// A number too large for a double.
    case numberOutOfRange(offset: Int)
    /// Two members of one object have the same name once escapes are resolved.
    case duplicateMember(String)
}

extension JSONParseError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .tooLarge(let limit): "JSON text is larger than \(limit) bytes"
        case .tooDeep(let limit): "JSON text is nested deeper than \(limit) levels"
        case .byteOrderMark: "JSON text starts with a byte order mark"
        case .unexpectedEnd: "JSON text ends inside a value"
        case .unexpectedByte(let offset): "unexpected byte in JSON text at offset \(offset)"
        case .trailingBytes(let offset): "bytes follow the JSON value at offset \(offset)"
        case .controlCharacter(let offset): "unescaped control character in JSON string at offset \(offset)"
        case .invalidEscape(let offset): "invalid escape in JSON string at offset \(offset)"
        case .loneSurrogate(let offset): "lone surrogate in JSON string at offset \(offset)"
        case .invalidUTF8(let offset): "invalid UTF-8 in JSON string at offset \(offset)"
        case .invalidNumber(let offset): "invalid JSON number at offset \(offset)"
        case .numberTooLong(let offset): "JSON number at offset \(offset) is too long"
        case .numberOutOfRange(let offset): "JSON number at offset \(offset) is out of range"
        case .duplicateMember(let name): "JSON object has member `\(name.truncatedForMessage)` twice"
        }
    }
}
