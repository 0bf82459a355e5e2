extension JSONValue {
    /// Reads one JSON text strictly (RFC 8259): no duplicate member names, no invalid UTF-8, no lone surrogates, no
    /// byte order mark, nothing after the value.
    package init(
        parsing bytes: some Collection<UInt8>, limits: JSONLimits = .default
    ) throws(JSONParseError) {
        guard bytes.count <= limits.maximumBytes else { throw .tooLarge(limit: limits.maximumBytes) }
        var parser = JSONParser(bytes: [UInt8](bytes), limits: limits)
        self = try parser.parseText()
    }

    /// Reads one JSON text from the UTF-8 bytes of a string.
    package init(parsing text: String, limits: JSONLimits = .default) throws(JSONParseError) {
        try self.init(parsing: text.utf8, limits: limits)
    }
}

extension JSONObject {
    /// Reads one JSON text that must be an object; anything else is an unexpected byte at its start.
    package init(parsing bytes: some Collection<UInt8>, limits: JSONLimits = .default) throws(JSONParseError) {
        guard case .object(let object) = try JSONValue(parsing: bytes, limits: limits) else {
            throw .unexpectedByte(offset: 0)
        }
        self = object
    }
}

/// A recursive descent reader over bytes; the nesting limit bounds its recursion.
private struct JSONParser {
    let bytes: [UInt8]
    let limits: JSONLimits
    var position = 0
    var depth = 0

    init(bytes: [UInt8], limits: JSONLimits) {
        self.bytes = bytes
        self.limits = limits
    }

    mutating func parseText() throws(JSONParseError) -> JSONValue {
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { throw .byteOrderMark }
        skipWhitespace()
        let value = try parseValue()
        skipWhitespace()
        guard position == bytes.count else { throw .trailingBytes(offset: position) }
        return value
    }

    private mutating func parseValue() throws(JSONParseError) -> JSONValue {
        switch try peek() {
        case UInt8(ascii: "{"): return .object(try parseObject())
        case UInt8(ascii: "["): return .array(try parseArray())
        case UInt8(ascii: "\""): return .string(try parseString())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try parseNumber())
        case UInt8(ascii: "t"):
            try expect("true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try expect("false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try expect("null")
            return .null
        default: throw .unexpectedByte(offset: position)
        }
    }

    private mutating func parseObject() throws(JSONParseError) -> JSONObject {
        try enter()
        var members: [(name: String, value: JSONValue)] = []
        var places = NamePlaces()
        if try peek() == UInt8(ascii: "}") {
            leave()
            return JSONObject()
        }
        while true {
            guard try peek() == UInt8(ascii: "\"") else { throw .unexpectedByte(offset: position) }
            let name = try parseString()
            guard places.insert(name, at: members.count, among: members) == nil else { throw .duplicateMember(name) }
            skipWhitespace()
            guard try peek() == UInt8(ascii: ":") else { throw .unexpectedByte(offset: position) }
            position += 1
            skipWhitespace()
            members.append((name, try parseValue()))
            if try endsAfterElement(with: UInt8(ascii: "}")) { return JSONObject(distinct: members) }
        }
    }

    private mutating func parseArray() throws(JSONParseError) -> [JSONValue] {
        try enter()
        var elements: [JSONValue] = []
        if try peek() == UInt8(ascii: "]") {
            leave()
            return elements
        }
        while true {
            elements.append(try parseValue())
            if try endsAfterElement(with: UInt8(ascii: "]")) { return elements }
        }
    }

    /// Steps over an opening bracket and the white space behind it.
    private mutating func enter() throws(JSONParseError) {
        guard depth < limits.maximumDepth else { throw .tooDeep(limit: limits.maximumDepth) }
        depth += 1
        position += 1
        skipWhitespace()
    }

    /// Steps over a closing bracket.
    private mutating func leave() {
        depth -= 1
        position += 1
    }

    /// Steps over what follows an element: true after the closing bracket, false after a comma.
    private mutating func endsAfterElement(with closing: UInt8) throws(JSONParseError) -> Bool {
        skipWhitespace()
        let byte = try peek()
        if byte == closing {
            leave()
            return true
        }
        guard byte == UInt8(ascii: ",") else { throw .unexpectedByte(offset: position) }
        position += 1
        skipWhitespace()
        return false
    }

    private mutating func parseString() throws(JSONParseError) -> String {
        let start = position
        position += 1
        let contentStart = position
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "\"") {
                let content = bytes[contentStart..<position]
                position += 1
                return try validate(content, startingAt: start)
            }
            if byte == UInt8(ascii: "\\") { return try parseEscapedString(from: contentStart, startingAt: start) }
            if byte < 0x20 { throw .controlCharacter(offset: position) }
            position += 1
        }
        throw .unexpectedEnd
    }

    /// Reads on at the first backslash of a string, collecting its bytes.
    private mutating func parseEscapedString(
        from contentStart: Int, startingAt start: Int
    ) throws(JSONParseError) -> String {
        var content = [UInt8](bytes[contentStart..<position])
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "\"") {
                position += 1
                return try validate(content[...], startingAt: start)
            }
            if byte == UInt8(ascii: "\\") {
                try parseEscape(into: &content)
                continue
            }
            if byte < 0x20 { throw .controlCharacter(offset: position) }
            content.append(byte)
            position += 1
        }
        throw .unexpectedEnd
    }

    private func validate(
        _ content: ArraySlice<UInt8>, startingAt start: Int
    ) throws(JSONParseError) -> String {
        guard let string = String(validating: content, as: UTF8.self) else { throw .invalidUTF8(offset: start) }
        return string
    }

    private mutating func parseEscape(into content: inout [UInt8]) throws(JSONParseError) {
        let start = position
        position += 1
        switch try peek() {
        case UInt8(ascii: "\""): content.append(UInt8(ascii: "\""))
        case UInt8(ascii: "\\"): content.append(UInt8(ascii: "\\"))
        case UInt8(ascii: "/"): content.append(UInt8(ascii: "/"))
        case UInt8(ascii: "b"): content.append(0x08)
        case UInt8(ascii: "f"): content.append(0x0C)
        case UInt8(ascii: "n"): content.append(0x0A)
        case UInt8(ascii: "r"): content.append(0x0D)
        case UInt8(ascii: "t"): content.append(0x09)
        case UInt8(ascii: "u"):
            position += 1
            let scalar = try parseEscapedScalar(startingAt: start)
            content.append(contentsOf: Character(scalar).utf8)
            return
        default: throw .invalidEscape(offset: start)
        }
        position += 1
    }

    /// Reads four hexadecimal digits, and the second half if they are a high surrogate.
    private mutating func parseEscapedScalar(startingAt start: Int) throws(JSONParseError) -> Unicode.Scalar {
        let first = try parseCodeUnit(startingAt: start)
        if let scalar = Unicode.Scalar(UInt32(first)) { return scalar }
        guard (0xD800..<0xDC00).contains(first) else { throw .loneSurrogate(offset: start) }
        guard position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
            bytes[position + 1] == UInt8(ascii: "u")
        else { throw .loneSurrogate(offset: start) }
        let secondStart = position
        position += 2
        let second = try parseCodeUnit(startingAt: secondStart)
        guard (0xDC00..<0xE000).contains(second) else { throw .loneSurrogate(offset: start) }
        let value = 0x10000 + ((UInt32(first) - 0xD800) << 10) + (UInt32(second) - 0xDC00)
        guard let scalar = Unicode.Scalar(value) else { throw .loneSurrogate(offset: start) }
        return scalar
    }

    private mutating func parseCodeUnit(startingAt start: Int) throws(JSONParseError) -> UInt16 {
        var unit: UInt16 = 0
        for _ in 0..<4 {
            let byte = try peek()
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            default: throw .invalidEscape(offset: start)
            }
            unit = unit << 4 | UInt16(digit)
            position += 1
        }
        return unit
    }

    private mutating func parseNumber() throws(JSONParseError) -> JSONNumber {
        let start = position
        var isInteger = true
        if bytes[position] == UInt8(ascii: "-") { position += 1 }
        let firstDigit = try peek()
        let integerDigits = skipDigits()
        guard integerDigits > 0 else { throw .invalidNumber(offset: start) }
        if firstDigit == UInt8(ascii: "0"), integerDigits > 1 { throw .invalidNumber(offset: start) }
        if position < bytes.count, bytes[position] == UInt8(ascii: ".") {
            isInteger = false
            position += 1
            guard skipDigits() > 0 else { throw .invalidNumber(offset: start) }
        }
        if position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") {
            isInteger = false
            position += 1
            if position < bytes.count, bytes[position] == UInt8(ascii: "+") || bytes[position] == UInt8(ascii: "-") {
                position += 1
            }
            guard skipDigits() > 0 else { throw .invalidNumber(offset: start) }
        }
        guard position - start <= JSONLimits.maximumNumberBytes else { throw .numberTooLong(offset: start) }
        let text = bytes[start..<position]
        if isInteger, let integer = int64(text) { return JSONNumber(integer) }
        guard let value = Double(String(decoding: text, as: UTF8.self)), let number = JSONNumber(value) else {
            throw .numberOutOfRange(offset: start)
        }
        return number
    }

    /// The value of an optional minus and digits, or nil if `Int64` cannot hold it.
    private func int64(_ text: ArraySlice<UInt8>) -> Int64? {
        let isNegative = text.first == UInt8(ascii: "-")
        var value: Int64 = 0
        for byte in isNegative ? text.dropFirst() : text {
            let (product, tooLarge) = value.multipliedReportingOverflow(by: 10)
            let digit = Int64(byte &- UInt8(ascii: "0"))
            let (sum, overflow) =
                isNegative ? product.subtractingReportingOverflow(digit) : product.addingReportingOverflow(digit)
            if tooLarge || overflow { return nil }
            value = sum
        }
        return value
    }

    private mutating func skipDigits() -> Int {
        let start = position
        while position < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[position]) {
            position += 1
        }
        return position - start
    }

    private mutating func expect(_ literal: StaticString) throws(JSONParseError) {
        for index in 0..<literal.utf8CodeUnitCount {
            guard try peek() == literal.utf8Start[index] else { throw .unexpectedByte(offset: position) }
            position += 1
        }
    }

    private func peek() throws(JSONParseError) -> UInt8 {
        guard position < bytes.count else { throw .unexpectedEnd }
        return bytes[position]
    }

    private mutating func skipWhitespace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }
}
