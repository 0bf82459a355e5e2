/// Standard base64 with padding (RFC 4648 §4), canonical only: a text decodes only if encoding gives it back.
enum Base64 {
    static func encode(_ bytes: some Collection<UInt8>) -> String {
        String(decoding: encoded(bytes), as: UTF8.self)
    }

    static func encoded(_ bytes: some Collection<UInt8>) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity((bytes.count + 2) / 3 * 4)
        var pending: UInt32 = 0
        var pendingBits: UInt32 = 0
        for byte in bytes {
            pending = (pending << 8 | UInt32(byte)) & 0xffff
            pendingBits += 8
            while pendingBits >= 6 {
                pendingBits -= 6
                output.append(alphabet[Int(pending >> pendingBits & 0x3f)])
            }
        }
        if pendingBits > 0 {
            output.append(alphabet[Int(pending << (6 - pendingBits) & 0x3f)])
        }
        while !output.count.isMultiple(of: 4) { output.append(padding) }
        return output
    }

    /// Nil for a foreign character, white space, missing or superfluous padding, or unused bits that are not zero.
    static func decode(_ text: some BidirectionalCollection<UInt8>) -> [UInt8]? {
        guard text.count.isMultiple(of: 4) else { return nil }
        var digits = text[...]
        for _ in 0..<2 where digits.last == padding { digits.removeLast() }
        var output: [UInt8] = []
        output.reserveCapacity(text.count / 4 * 3)
        var pending: UInt32 = 0
        var pendingBits: UInt32 = 0
        for character in digits {
            let value = values[Int(character)]
            guard value < 64 else { return nil }
            pending = (pending << 6 | UInt32(value)) & 0xffff
            pendingBits += 6
            if pendingBits >= 8 {
                pendingBits -= 8
                output.append(UInt8(truncatingIfNeeded: pending >> pendingBits))
            }
        }
        let unusedBits = pending & ((1 << pendingBits) - 1)
        guard pendingBits < 6, unusedBits == 0 else { return nil }
        return output
    }

    private static let padding = UInt8(ascii: "=")

    private static let alphabet: [UInt8] = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// The value of each character, 64 for characters outside the alphabet.
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 64, count: 256)
        for (value, character) in alphabet.enumerated() { values[Int(character)] = UInt8(value) }
        return values
    }()
}
