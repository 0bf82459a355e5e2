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
        let rest = bytes.count % 3
        let start = output.count
        let count = bytes.count / 3 * 4 + (rest == 0 ? 0 : isPadded ? 4 : rest + 1)
        // Whatever is not written below is padding.
        output.append(contentsOf: repeatElement(padding, count: count))
        output.withUnsafeMutableBufferPointer { output in
            alphabet.characters.withUnsafeBufferPointer { characters in
                var (place, index) = (start, 0)
                while bytes.count - index >= 3 {
                    let group = UInt32(bytes[index]) << 16 | UInt32(bytes[index + 1]) << 8 | UInt32(bytes[index + 2])
                    output[place] = characters[Int(group >> 18)]
                    output[place + 1] = characters[Int(group >> 12 & 63)]
                    output[place + 2] = characters[Int(group >> 6 & 63)]
                    output[place + 3] = characters[Int(group & 63)]
                    place += 4
                    index += 3
                }
                guard rest > 0 else { return }
                let group = UInt32(bytes[index]) << 16 | (rest == 2 ? UInt32(bytes[index + 1]) << 8 : 0)
                output[place] = characters[Int(group >> 18)]
                output[place + 1] = characters[Int(group >> 12 & 63)]
                if rest == 2 { output[place + 2] = characters[Int(group >> 6 & 63)] }
            }
        }
    }

    static func decode(
        _ text: some Collection<UInt8>, alphabet: Alphabet, isPadded: Bool
    ) throws(Base64Error) -> [UInt8] {
        let direct = text.withContiguousStorageIfAvailable { decode($0, alphabet: alphabet, isPadded: isPadded) }
        let result =
            direct
            ?? [UInt8](text).withUnsafeBufferPointer { decode($0, alphabet: alphabet, isPadded: isPadded) }
        return try result.get()
    }

    private static func decode(
        _ text: UnsafeBufferPointer<UInt8>, alphabet: Alphabet, isPadded: Bool
    ) -> Result<[UInt8], Base64Error> {
        var count = text.count
        if isPadded {
            guard count % 4 == 0 else { return .failure(.invalidLength) }
            if count > 0, text[count - 1] == padding { count -= 1 }
            // A text of one character and three paddings keeps one of them, which is then no character.
            if count > 0, text[count - 1] == padding { count -= 1 }
        }
        guard count % 4 != 1 else { return .failure(.invalidLength) }
        var error: Base64Error?
        let output = [UInt8](unsafeUninitializedCapacity: count / 4 * 3 + 2) { output, written in
            alphabet.values.withUnsafeBufferPointer { values in
                var index = 0
                while count - index >= 4 {
                    let (a, b) = (values[Int(text[index])], values[Int(text[index + 1])])
                    let (c, d) = (values[Int(text[index + 2])], values[Int(text[index + 3])])
                    guard (a | b | c | d) != Alphabet.invalid else { break }
                    let group = UInt32(a) << 18 | UInt32(b) << 12 | UInt32(c) << 6 | UInt32(d)
                    output[written] = UInt8(truncatingIfNeeded: group >> 16)
                    output[written + 1] = UInt8(truncatingIfNeeded: group >> 8)
                    output[written + 2] = UInt8(truncatingIfNeeded: group)
                    written += 3
                    index += 4
                }
                // The last group if it is not whole, or the one with a character that is none.
                var (group, bits) = (UInt32(0), UInt32(0))
                while index < count {
                    let value = values[Int(text[index])]
                    guard value != Alphabet.invalid else {
                        error = .invalidCharacter(offset: index)
                        return
                    }
                    group = group << 6 | UInt32(value)
                    bits += 6
                    if bits >= 8 {
                        bits -= 8
                        output[written] = UInt8(truncatingIfNeeded: group >> bits)
                        written += 1
                        group &= (1 << bits) - 1
                    }
                    index += 1
                }
                if group != 0 { error = .nonCanonicalEnd }
            }
        }
        if let error { return .failure(error) }
        return .success(output)
    }
}
