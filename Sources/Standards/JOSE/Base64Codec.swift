/// The common part of both base64 alphabets.
enum Base64Codec {
    /// The 64 characters in the order of their values, and the value of every byte.
    struct Alphabet: Sendable {
        let characters: [UInt8]
        let values: [UInt8]

        /// Marks a byte outside the alphabet.
        static let invalid: UInt8 = 0xFF

        static let standard = Alphabet("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        static let url = Alphabet("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")

        private init(_ text: String) {
            characters = [UInt8](text.utf8)
            var values = [UInt8](repeating: Self.invalid, count: 256)
            for (value, character) in characters.enumerated() { values[Int(character)] = UInt8(value) }
            self.values = values
        }
    }

    private static let padding = UInt8(ascii: "=")

    static func append(
        _ bytes: some Collection<UInt8>, alphabet: Alphabet, isPadded: Bool, to output: inout [UInt8]
    ) {
        let direct: Void? = bytes.withContiguousStorageIfAvailable {
            append($0, alphabet: alphabet, isPadded: isPadded, to: &output)
        }
        if direct == nil {
            [UInt8](bytes).withUnsafeBufferPointer {
                append($0, alphabet: alphabet, isPadded: isPadded, to: &output)
            }
        }
    }

    private static func append(
        _ bytes: UnsafeBufferPointer<UInt8>, alphabet: Alphabet, isPadded: Bool, to output: inout [UInt8]
    ) {
        let characters = alphabet.characters
        output.reserveCapacity(output.count + (bytes.count / 3 + 1) * 4)
        var index = 0
        while bytes.count - index >= 3 {
            let group = UInt32(bytes[index]) << 16 | UInt32(bytes[index + 1]) << 8 | UInt32(bytes[index + 2])
            output.append(characters[Int(group >> 18)])
            output.append(characters[Int(group >> 12 & 63)])
            output.append(characters[Int(group >> 6 & 63)])
            output.append(characters[Int(group & 63)])
            index += 3
        }
        switch bytes.count - index {
        case 1:
            let group = UInt32(bytes[index]) << 16
            output.append(characters[Int(group >> 18)])
            output.append(characters[Int(group >> 12 & 63)])
            if isPadded { output.append(contentsOf: [padding, padding]) }
        case 2:
            let group = UInt32(bytes[index]) << 16 | UInt32(bytes[index + 1]) << 8
            output.append(characters[Int(group >> 18)])
            output.append(characters[Int(group >> 12 & 63)])
            output.append(characters[Int(group >> 6 & 63)])
            if isPadded { output.append(padding) }
        default: break
        }
    }

    static func decode(
        _ text: some Collection<UInt8>, alphabet: Alphabet, isPadded: Bool
    ) throws(Base64Error) -> [UInt8] {
        var input = [UInt8](text)[...]
        if isPadded {
            guard input.count % 4 == 0 else { throw .invalidLength }
            if input.last == padding { input.removeLast() }
            // A text of one character and three paddings keeps one of them, which is then no character.
            if input.last == padding { input.removeLast() }
        }
        guard input.count % 4 != 1 else { throw .invalidLength }
        var output: [UInt8] = []
        output.reserveCapacity(input.count / 4 * 3 + 2)
        let values = alphabet.values
        var group: UInt32 = 0
        var bits = 0
        for (offset, character) in input.enumerated() {
            let value = values[Int(character)]
            guard value != Alphabet.invalid else { throw .invalidCharacter(offset: offset) }
            group = group << 6 | UInt32(value)
            bits += 6
            if bits >= 8 {
                bits -= 8
                output.append(UInt8(truncatingIfNeeded: group >> UInt32(bits)))
                group &= (1 << UInt32(bits)) - 1
            }
        }
        guard group == 0 else { throw .nonCanonicalEnd }
        return output
    }
}
