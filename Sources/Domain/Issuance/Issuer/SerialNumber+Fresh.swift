import SPIFFE

extension SerialNumber {
    /// A serial from handed-in randomness: 126 random bits, always 16 bytes. Throws when the source gives too few.
    static func fresh(randomBytes: RandomBytes) throws(SerialNumberError) -> SerialNumber {
        var bytes = randomBytes(16)
        guard bytes.count == 16, let first = bytes.first else { throw .malformed }
        bytes[0] = first & 0x7f | 0x40
        return try SerialNumber(bytes)
    }
}
