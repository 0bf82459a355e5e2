import JOSE
import SPIFFE

/// Appends the parts of a leaf; the caller knows the canonical order of its members.
struct LeafWriter {
    private(set) var bytes: [UInt8] = []

    init() { bytes.reserveCapacity(1024) }

    mutating func raw(_ text: StaticString) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func integer(_ value: Int64) { JSONWriter.append(value, to: &bytes) }

    mutating func word(_ text: String) { string(text, limit: AuditLimits.wordBytes) }

    mutating func optional(_ name: StaticString, _ text: String?, limit: Int) {
        guard let text else { return }
        raw(name)
        string(text, limit: limit)
    }

    mutating func optional(_ name: StaticString, _ value: Int64?) {
        guard let value else { return }
        raw(name)
        integer(value)
    }

    mutating func time(_ time: UnixTime) {
        bytes.append(UInt8(ascii: "\""))
        time.appendRFC3339(to: &bytes)
        bytes.append(UInt8(ascii: "\""))
    }

    /// A quoted string of at most `limit` bytes of JSON text between the quotes.
    mutating func string(_ text: String, limit: Int) {
        // A text that is longer before escaping need not be escaped to know that it is too long.
        guard text.utf8.count <= limit else { return truncated(text, limit: limit) }
        let start = bytes.count
        JSONWriter.append(text, to: &bytes)
        guard bytes.count - start - 2 > limit else { return }
        bytes.removeSubrange(start...)
        truncated(text, limit: limit)
    }

    private mutating func truncated(_ text: String, limit: Int) {
        let room = limit - 32
        var kept = String.UnicodeScalarView()
        var used = 0
        var keptBytes = 0
        for scalar in text.unicodeScalars {
            let cost = Self.encodedLength(scalar)
            guard used + cost <= room else { break }
            used += cost
            keptBytes += UTF8.width(scalar)
            kept.append(scalar)
        }
        let marker = "…[\(text.utf8.count - keptBytes) bytes cut]"
        JSONWriter.append(String(kept) + marker, to: &bytes)
    }

    /// Bytes of a scalar in canonical JSON.
    private static func encodedLength(_ scalar: Unicode.Scalar) -> Int {
        switch scalar.value {
        case 0x08, 0x09, 0x0A, 0x0C, 0x0D, 0x22, 0x5C: 2
        case 0..<0x20: 6
        default: UTF8.width(scalar)
        }
    }
}
