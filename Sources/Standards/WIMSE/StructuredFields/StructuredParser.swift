import JOSE

extension StructuredDictionary {
    /// Longest field that is read, all of its lines together, in bytes.
    package static let maximumBytes = 16 * 1024
    /// The most members of a dictionary.
    package static let maximumMembers = 16
    /// The most items of a list.
    package static let maximumItems = 64
    /// The most parameters of one item or list.
    package static let maximumParameters = 32

    /// Reads the lines of a field (RFC 9651 §4.2) and nothing but a dictionary; stricter in one thing: no name may be there twice.
    package init(parsing lines: [String]) throws(StructuredFieldError) {
        var bytes: [UInt8] = []
        for (index, line) in lines.enumerated() {
            if index > 0 { bytes += [UInt8(ascii: ","), UInt8(ascii: " ")] }
            bytes += Array(line.utf8)
            guard bytes.count <= Self.maximumBytes else { throw .tooLong(limit: Self.maximumBytes) }
        }
        var parser = StructuredParser(bytes)
        entries = try parser.dictionary()
    }
}

/// Walks over the bytes of a field.
private struct StructuredParser {
    private let bytes: [UInt8]
    private var place = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    private var next: UInt8? { place < bytes.count ? bytes[place] : nil }
    private var malformed: StructuredFieldError { .malformed(offset: place) }

    private mutating func consume(_ character: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: character) else { return false }
        place += 1
        return true
    }

    private mutating func skip(_ isSkipped: (UInt8) -> Bool) {
        while let byte = next, isSkipped(byte) { place += 1 }
    }

    private mutating func skipSpaces() { skip { $0 == 0x20 } }

    /// The bytes from here on that are of a kind.
    private mutating func run(_ belongs: (UInt8) -> Bool) -> ArraySlice<UInt8> {
        let start = place
        skip(belongs)
        return bytes[start..<place]
    }

    mutating func dictionary() throws(StructuredFieldError) -> [StructuredDictionary.Entry] {
        var entries: [StructuredDictionary.Entry] = []
        skipSpaces()
        while next != nil {
            guard entries.count < StructuredDictionary.maximumMembers else {
                throw .tooMany(limit: StructuredDictionary.maximumMembers)
            }
            let key = try key()
            guard !entries.contains(where: { $0.key == key }) else { throw .repeatedKey(key) }
            entries.append(.init(key: key, value: try member()))
            skip(ByteClass.isBlank)
            guard next != nil else { return entries }
            guard consume(",") else { throw malformed }
            skip(ByteClass.isBlank)
            // A comma with nothing behind it.
            guard next != nil else { throw malformed }
        }
        return entries
    }

    private mutating func member() throws(StructuredFieldError) -> StructuredDictionary.Value {
        guard consume("=") else { return .item(StructuredItem(.boolean(true), try parameters())) }
        return next == UInt8(ascii: "(") ? .innerList(try innerList()) : .item(try item())
    }

    private mutating func innerList() throws(StructuredFieldError) -> InnerList {
        guard consume("(") else { throw malformed }
        var items: [StructuredItem] = []
        while true {
            skipSpaces()
            if consume(")") { return InnerList(items, try parameters()) }
            guard items.count < StructuredDictionary.maximumItems else {
                throw .tooMany(limit: StructuredDictionary.maximumItems)
            }
            items.append(try item())
            guard next == 0x20 || next == UInt8(ascii: ")") else { throw malformed }
        }
    }

    private mutating func item() throws(StructuredFieldError) -> StructuredItem {
        StructuredItem(try bareItem(), try parameters())
    }

    private mutating func parameters() throws(StructuredFieldError) -> StructuredParameters {
        var parameters = StructuredParameters()
        while consume(";") {
            guard parameters.entries.count < StructuredDictionary.maximumParameters else {
                throw .tooMany(limit: StructuredDictionary.maximumParameters)
            }
            skipSpaces()
            let key = try key()
            guard parameters[key] == nil else { throw .repeatedKey(key) }
            parameters.append(key, consume("=") ? try bareItem() : .boolean(true))
        }
        return parameters
    }

    private mutating func key() throws(StructuredFieldError) -> String {
        guard let first = next, ByteClass.isLower(first) || first == UInt8(ascii: "*") else { throw malformed }
        return String(
            decoding: run { ByteClass.isLower($0) || ByteClass.isDigit($0) || "_-.*".utf8.contains($0) }, as: UTF8.self)
    }

    private mutating func bareItem() throws(StructuredFieldError) -> BareItem {
        guard let first = next else { throw malformed }
        switch first {
        case UInt8(ascii: "-"): return try number()
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: ":"): return .bytes(try byteSequence())
        case UInt8(ascii: "?"): return .boolean(try boolean())
        case UInt8(ascii: "@"): return .date(try date())
        case UInt8(ascii: "%"): return .displayString(try displayString())
        default:
            if ByteClass.isDigit(first) { return try number() }
            guard ByteClass.isLetter(first) || first == UInt8(ascii: "*") else { throw malformed }
            return .token(
                String(
                    decoding: run { ByteClass.isTokenByte($0) || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "/") },
                    as: UTF8.self))
        }
    }

    /// RFC 9651 §4.2.4: at most 15 digits, or 12 before and 3 behind the point.
    private mutating func number() throws(StructuredFieldError) -> BareItem {
        let sign: Int64 = consume("-") ? -1 : 1
        let whole = run(ByteClass.isDigit)
        guard !whole.isEmpty, whole.count <= 15, let units = Int64(String(decoding: whole, as: UTF8.self)) else {
            throw malformed
        }
        guard consume(".") else { return .integer(sign * units) }
        let digits = run(ByteClass.isDigit)
        guard whole.count <= 12, (1...3).contains(digits.count),
            let part = Int64((String(decoding: digits, as: UTF8.self) + "00").prefix(3))
        else { throw malformed }
        return .decimal(thousandths: sign * (units * 1000 + part))
    }

    private mutating func date() throws(StructuredFieldError) -> Int64 {
        guard consume("@"), case .integer(let seconds) = try number() else { throw malformed }
        return seconds
    }

    private mutating func boolean() throws(StructuredFieldError) -> Bool {
        guard consume("?") else { throw malformed }
        if consume("1") { return true }
        guard consume("0") else { throw malformed }
        return false
    }

    private mutating func string() throws(StructuredFieldError) -> String {
        guard consume("\"") else { throw malformed }
        var text: [UInt8] = []
        while let byte = next {
            place += 1
            if byte == UInt8(ascii: "\"") { return String(decoding: text, as: UTF8.self) }
            if byte == UInt8(ascii: "\\") {
                guard let escaped = next, escaped == UInt8(ascii: "\"") || escaped == UInt8(ascii: "\\") else {
                    throw malformed
                }
                place += 1
                text.append(escaped)
                continue
            }
            guard (0x20...0x7E).contains(byte) else { throw malformed }
            text.append(byte)
        }
        throw malformed
    }

    private mutating func byteSequence() throws(StructuredFieldError) -> [UInt8] {
        guard consume(":") else { throw malformed }
        let text = run { $0 != UInt8(ascii: ":") }
        guard consume(":"), let decoded = try? Base64.decode(text) else { throw malformed }
        return decoded
    }

    /// RFC 9651 §4.2.10: percent-encoded UTF-8 with lower-case digits.
    private mutating func displayString() throws(StructuredFieldError) -> String {
        guard consume("%"), consume("\"") else { throw malformed }
        var text: [UInt8] = []
        while let byte = next {
            place += 1
            if byte == UInt8(ascii: "\"") {
                guard let decoded = String(validating: text, as: UTF8.self) else { throw malformed }
                return decoded
            }
            guard (0x20...0x7E).contains(byte) else { throw malformed }
            guard byte == UInt8(ascii: "%") else {
                text.append(byte)
                continue
            }
            guard bytes.count - place >= 2, let high = ByteClass.lowerHexValue(bytes[place]),
                let low = ByteClass.lowerHexValue(bytes[place + 1])
            else { throw malformed }
            place += 2
            text.append(high << 4 | low)
        }
        throw malformed
    }
}

/// Classes of ASCII bytes.
enum ByteClass {
    static func isLower(_ byte: UInt8) -> Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) }

    static func isLetter(_ byte: UInt8) -> Bool { isLower(byte | 0x20) }

    static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    /// Optional white space of RFC 9110 §5.6.3.
    static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    /// `tchar` of RFC 9110 §5.6.2.
    static func isTokenByte(_ byte: UInt8) -> Bool {
        isLetter(byte) || isDigit(byte) || "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }

    static func lowercased(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }

    static func lowerHexValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        default: nil
        }
    }

    /// Whether a header's `typ` is this media type, written short (RFC 7515 §4.1.9) or in full.
    static func namesType(_ found: String, _ type: String) -> Bool {
        found.hasSameBytes(as: type) || found.hasSameBytes(as: "application/" + type)
    }
}
