/// Identifiers that are never used twice.
package enum RandomIdentifier {
    /// A random UUID (RFC 9562 §5.4, version 4) in lower case.
    package static func make(_ randomBytes: (Int) -> [UInt8]) -> String {
        var bytes = randomBytes(16)
        guard bytes.count == 16 else { return Hexadecimal.encode(bytes) }
        bytes[6] = bytes[6] & 0x0f | 0x40
        bytes[8] = bytes[8] & 0x3f | 0x80
        let digits = Hexadecimal.encode(bytes)
        var text = ""
        for (index, digit) in digits.enumerated() {
            if [8, 12, 16, 20].contains(index) { text.append("-") }
            text.append(digit)
        }
        return text
    }
}

/// Lower-case hexadecimal text.
enum Hexadecimal {
    static func encode(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
