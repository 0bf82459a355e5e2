/// Base64url without padding (RFC 4648 §5, RFC 7515 §2).
package enum Base64URL {
    /// Encodes as text.
    package static func encode(_ bytes: some Collection<UInt8>) -> String {
        String(decoding: encodeBytes(bytes), as: UTF8.self)
    }

    /// Encodes as ASCII bytes.
    package static func encodeBytes(_ bytes: some Collection<UInt8>) -> [UInt8] {
        var output: [UInt8] = []
        append(bytes, to: &output)
        return output
    }

    /// Appends the ASCII bytes of the encoded form.
    package static func append(_ bytes: some Collection<UInt8>, to output: inout [UInt8]) {
        Base64Codec.append(bytes, alphabet: .url, isPadded: false, to: &output)
    }

    /// Decodes; refuses padding, other alphabets, white space and unused bits that are not zero.
    package static func decode(_ text: some Collection<UInt8>) throws(Base64Error) -> [UInt8] {
        try Base64Codec.decode(text, alphabet: .url, isPadded: false)
    }

    /// Decodes the UTF-8 bytes of a string.
    package static func decode(_ text: String) throws(Base64Error) -> [UInt8] {
        try decode(text.utf8)
    }
}

/// Base64 with padding (RFC 4648 §4), as X.509 chains in JWKs have it.
package enum Base64 {
    /// Encodes as text.
    package static func encode(_ bytes: some Collection<UInt8>) -> String {
        String(decoding: encodeBytes(bytes), as: UTF8.self)
    }

    /// Encodes as ASCII bytes.
    package static func encodeBytes(_ bytes: some Collection<UInt8>) -> [UInt8] {
        var output: [UInt8] = []
        Base64Codec.append(bytes, alphabet: .standard, isPadded: true, to: &output)
        return output
    }

    /// Decodes; refuses missing padding, other alphabets, white space and unused bits that are not zero.
    package static func decode(_ text: some Collection<UInt8>) throws(Base64Error) -> [UInt8] {
        try Base64Codec.decode(text, alphabet: .standard, isPadded: true)
    }

    /// Decodes the UTF-8 bytes of a string.
    package static func decode(_ text: String) throws(Base64Error) -> [UInt8] {
        try decode(text.utf8)
    }
}

/// Why a text is not the one base64 form of its bytes.
package enum Base64Error: Error, Sendable, Equatable {
    /// The number of characters cannot occur, or padding is missing.
    case invalidLength
    /// A byte outside the alphabet, padding where none may be included.
    case invalidCharacter(offset: Int)
    /// The unused bits of the last character are not zero (RFC 4648 §3.5).
    case nonCanonicalEnd
}

extension Base64Error: CustomStringConvertible {
    package var description: String {
        switch self {
        case .invalidLength: "base64 text has an impossible length"
        case .invalidCharacter(let offset): "invalid base64 character at offset \(offset)"
        case .nonCanonicalEnd: "unused bits at the end of base64 text are not zero"
        }
    }
}
