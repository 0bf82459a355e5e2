/// Identifiers of tasks, conversations and messages.
enum Identifier {
    /// The longest identifier of somebody else that is taken on, in bytes.
    static let maximumLength = 256

    /// 122 random bits in the form of RFC 9562 §5.4.
    static func fresh() -> String {
        var generator = SystemRandomNumberGenerator()
        let high = generator.next() & 0xffff_ffff_ffff_0fff | 0x4000
        let low = generator.next() & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000
        return [UInt8](unsafeUninitializedCapacity: 36) { bytes, count in
            var place = 0
            for (word, nibbles) in [(high, 16), (low, 16)] {
                for nibble in 0..<nibbles {
                    if place == 8 || place == 13 || place == 18 || place == 23 {
                        bytes[place] = UInt8(ascii: "-")
                        place += 1
                    }
                    let digit = UInt8(word >> UInt64(60 - nibble * 4) & 0xf)
                    bytes[place] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
                    place += 1
                }
            }
            count = place
        }.asText
    }

    /// Whether an identifier that a client chose can be taken on: not empty, not too long, without control characters.
    static func isAcceptable(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= maximumLength && text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f }
    }
}

extension [UInt8] {
    fileprivate var asText: String { String(decoding: self, as: UTF8.self) }
}
