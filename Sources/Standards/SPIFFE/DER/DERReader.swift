/// Reads DER elements one after the other out of a byte string (X.690 §8 to §10).
///
/// Strict: single-byte tags, definite minimal lengths, everything inside its container, a bounded depth. No input can
/// make it trap, and no check costs more than the bytes it looks at.
package struct DERReader: Sendable {
    private let bytes: [UInt8]
    private var position: Int
    private let end: Int
    private let depth: Int

    /// Deepest nesting of constructed elements that is followed.
    package static let maximumDepth = 16

    /// Starts at the first byte.
    package init(_ bytes: [UInt8]) {
        self.init(bytes: bytes, position: 0, end: bytes.count, depth: 0)
    }

    /// INVARIANT: `position <= end <= bytes.count`.
    fileprivate init(bytes: [UInt8], position: Int, end: Int, depth: Int) {
        self.bytes = bytes
        self.position = position
        self.end = end
        self.depth = depth
    }

    /// Whether everything was read.
    package var isAtEnd: Bool { position >= end }

    /// The tag of the next element, `nil` at the end.
    package var nextTag: UInt8? { position < end ? bytes[position] : nil }

    /// Reads the next element, whatever its tag.
    package mutating func element() throws(DERError) -> DERElement {
        let start = position
        let tag = try byte()
        guard tag & 0x1f != 0x1f else { throw .unsupportedTag }
        let length = try readLength()
        guard length <= end - position else { throw .truncated }
        let content = position
        position += length
        return DERElement(tag: tag, bytes: bytes, start: start, contentStart: content, end: position, depth: depth)
    }

    /// Reads the next element and insists on its tag.
    package mutating func element(_ tag: UInt8) throws(DERError) -> DERElement {
        let element = try element()
        guard element.tag == tag else { throw .unexpectedTag }
        return element
    }

    /// Reads the next element if it has this tag.
    package mutating func optionalElement(_ tag: UInt8) throws(DERError) -> DERElement? {
        guard nextTag == tag else { return nil }
        return try element()
    }

    /// Reads the next element, insists on its tag and opens it.
    package mutating func open(_ tag: UInt8) throws(DERError) -> DERReader {
        try element(tag).reader()
    }

    /// Insists that nothing is left.
    package func finish() throws(DERError) {
        guard isAtEnd else { throw .trailingBytes }
    }

    private mutating func byte() throws(DERError) -> UInt8 {
        guard position < end else { throw .truncated }
        defer { position += 1 }
        return bytes[position]
    }

    private mutating func readLength() throws(DERError) -> Int {
        let first = try byte()
        if first < 0x80 { return Int(first) }
        // Up to three bytes of length: no object here comes near 16 MiB.
        guard (0x81...0x83).contains(first) else { throw .badLength }
        var length = 0
        for index in 0..<Int(first & 0x7f) {
            let next = try byte()
            guard index > 0 || next != 0 else { throw .badLength }
            length = length << 8 | Int(next)
        }
        guard length >= 0x80 else { throw .badLength }
        return length
    }
}

/// One element that a `DERReader` found; it shares the reader's bytes.
package struct DERElement: Sendable {
    /// The identifier byte.
    package let tag: UInt8
    private let bytes: [UInt8]
    private let start: Int
    private let contentStart: Int
    private let end: Int
    private let depth: Int

    fileprivate init(tag: UInt8, bytes: [UInt8], start: Int, contentStart: Int, end: Int, depth: Int) {
        self.tag = tag
        self.bytes = bytes
        self.start = start
        self.contentStart = contentStart
        self.end = end
        self.depth = depth
    }

    /// What stands between the length and the end.
    package var content: ArraySlice<UInt8> { bytes[contentStart..<end] }

    /// The whole element with tag and length.
    package var encoded: ArraySlice<UInt8> { bytes[start..<end] }

    /// A reader over the elements inside; throws if the nesting is too deep or the element is primitive.
    package func reader() throws(DERError) -> DERReader {
        guard tag & 0x20 != 0 else { throw .unexpectedTag }
        return try readerOfPrimitive()
    }

    /// A reader over DER that a primitive element carries, as OCTET STRINGs of extensions do.
    package func readerOfPrimitive() throws(DERError) -> DERReader {
        guard depth < DERReader.maximumDepth else { throw .tooDeep }
        return DERReader(bytes: bytes, position: contentStart, end: end, depth: depth + 1)
    }
}

/// The rule of DER that some bytes break.
package enum DERError: Error, Equatable, Sendable, CustomStringConvertible {
    /// An element ends after its container.
    case truncated
    /// A length that is indefinite, not minimal or absurd.
    case badLength
    /// A multi-byte tag.
    case unsupportedTag
    /// Another tag than the structure has here.
    case unexpectedTag
    /// Bytes after the end of the structure.
    case trailingBytes
    /// Too many containers in each other.
    case tooDeep
    /// A value that its type does not allow: a padded INTEGER, a BOOLEAN of 0x01, a bad OID.
    case badValue

    package var description: String {
        switch self {
        case .truncated: "an element ends after its container"
        case .badLength: "a length is not in its shortest form"
        case .unsupportedTag: "a tag has more than one byte"
        case .unexpectedTag: "an element has another type than expected"
        case .trailingBytes: "bytes follow the end of the structure"
        case .tooDeep: "elements are nested too deeply"
        case .badValue: "a value breaks the rules of its type"
        }
    }
}
