extension JSONValue {
    /// The canonical form of RFC 8785: members sorted by the UTF-16 code units of their names, numbers as ECMAScript
    /// writes them, no white space.
    ///
    /// Integers beyond 2^53 are written as the nearest double, as the standard requires; write such values as strings
    /// where two neighbours must not look the same.
    package var canonicalBytes: [UInt8] {
        var bytes: [UInt8] = []
        JSONWriter.append(self, canonically: true, to: &bytes)
        return bytes
    }

    /// The shortest form that keeps the order of members and every digit of integers.
    package var serializedBytes: [UInt8] {
        var bytes: [UInt8] = []
        JSONWriter.append(self, canonically: false, to: &bytes)
        return bytes
    }
}

extension JSONObject {
    /// The canonical form of RFC 8785, as ``JSONValue/canonicalBytes``.
    package var canonicalBytes: [UInt8] { JSONValue.object(self).canonicalBytes }

    /// The shortest form that keeps the order of members, as ``JSONValue/serializedBytes``.
    package var serializedBytes: [UInt8] { JSONValue.object(self).serializedBytes }

    /// The members in the order of RFC 8785 §3.2.3.
    var canonicallyOrdered: [(name: String, value: JSONValue)] {
        members.sorted { JSONWriter.precedes($0.name, $1.name) }
    }
}

/// Appends JSON texts to a growing array of bytes; hot paths that know their shape use the parts.
package enum JSONWriter {
    /// Appends a value in canonical or in plain form.
    package static func append(_ value: JSONValue, canonically: Bool = false, to bytes: inout [UInt8]) {
        switch value {
        case .null: bytes.append(contentsOf: "null".utf8)
        case .bool(true): bytes.append(contentsOf: "true".utf8)
        case .bool(false): bytes.append(contentsOf: "false".utf8)
        case .number(let number):
            canonically ? number.appendCanonical(to: &bytes) : number.append(to: &bytes)
        case .string(let string): append(string, to: &bytes)
        case .array(let elements):
            bytes.append(UInt8(ascii: "["))
            var isFirst = true
            for element in elements {
                if !isFirst { bytes.append(UInt8(ascii: ",")) }
                isFirst = false
                append(element, canonically: canonically, to: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let object):
            bytes.append(UInt8(ascii: "{"))
            var isFirst = true
            for (name, value) in canonically ? object.canonicallyOrdered : object.members {
                if !isFirst { bytes.append(UInt8(ascii: ",")) }
                isFirst = false
                append(name, to: &bytes)
                bytes.append(UInt8(ascii: ":"))
                append(value, canonically: canonically, to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }

    /// Appends a quoted string with the escapes of RFC 8785 §3.2.2.2 and no others.
    package static func append(_ string: String, to bytes: inout [UInt8]) {
        var string = string
        bytes.append(UInt8(ascii: "\""))
        string.withUTF8 { text in
            // Rebased slices are copied as memory; plain ones byte by byte.
            var plainStart = 0
            for index in 0..<text.count where needsEscape(text[index]) {
                bytes.append(contentsOf: UnsafeBufferPointer(rebasing: text[plainStart..<index]))
                appendEscape(text[index], to: &bytes)
                plainStart = index + 1
            }
            bytes.append(contentsOf: UnsafeBufferPointer(rebasing: text[plainStart...]))
        }
        bytes.append(UInt8(ascii: "\""))
    }

    /// Appends the decimal digits of an integer.
    package static func append(_ value: Int64, to bytes: inout [UInt8]) {
        ECMAScriptNumber.append(value, to: &bytes)
    }

    /// Whether a name sorts before another by UTF-16 code units (RFC 8785 §3.2.3).
    ///
    /// UTF-8 order differs from it in one point: U+E000 to U+FFFF (lead bytes EE and EF) come after the surrogate
    /// pairs of everything above (lead bytes F0 to F4). Ranking the lead bytes so avoids transcoding.
    static func precedes(_ left: String, _ right: String) -> Bool {
        left.utf8.lexicographicallyPrecedes(right.utf8) { rank($0) < rank($1) }
    }

    private static func rank(_ byte: UInt8) -> UInt8 {
        byte == 0xEE || byte == 0xEF ? byte + 0x10 : byte
    }

    private static func needsEscape(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
    }

    private static func appendEscape(_ byte: UInt8, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\\"))
        switch byte {
        case 0x08: bytes.append(UInt8(ascii: "b"))
        case 0x09: bytes.append(UInt8(ascii: "t"))
        case 0x0A: bytes.append(UInt8(ascii: "n"))
        case 0x0C: bytes.append(UInt8(ascii: "f"))
        case 0x0D: bytes.append(UInt8(ascii: "r"))
        case 0..<0x20:
            bytes.append(contentsOf: "u00".utf8)
            bytes.append(UInt8(ascii: "0") + byte >> 4)
            let low = byte & 0x0F
            bytes.append(low < 10 ? UInt8(ascii: "0") + low : UInt8(ascii: "a") + low - 10)
        default: bytes.append(byte)
        }
    }
}
