/// Identifier bytes that occur in certificates and certificate requests.
package enum DERTag {
    package static let boolean: UInt8 = 0x01
    package static let integer: UInt8 = 0x02
    package static let bitString: UInt8 = 0x03
    package static let octetString: UInt8 = 0x04
    package static let null: UInt8 = 0x05
    package static let objectIdentifier: UInt8 = 0x06
    package static let utf8String: UInt8 = 0x0c
    package static let printableString: UInt8 = 0x13
    package static let ia5String: UInt8 = 0x16
    package static let utcTime: UInt8 = 0x17
    package static let generalizedTime: UInt8 = 0x18
    package static let sequence: UInt8 = 0x30
    package static let set: UInt8 = 0x31

    /// `[number]`, primitive; numbers up to 30.
    package static func context(_ number: UInt8) -> UInt8 { 0x80 | number }
    /// `[number]`, constructed; numbers up to 30.
    package static func constructedContext(_ number: UInt8) -> UInt8 { 0xa0 | number }
}

extension DERReader {
    /// Reads a BOOLEAN: 0x00 or 0xff.
    package mutating func boolean() throws(DERError) -> Bool {
        let content = try element(DERTag.boolean).content
        guard content.count == 1, let byte = content.first, byte == 0 || byte == 0xff else { throw .badValue }
        return byte == 0xff
    }

    /// Reads an INTEGER and gives its minimal two's complement content.
    package mutating func integer() throws(DERError) -> ArraySlice<UInt8> {
        let content = try element(DERTag.integer).content
        guard let first = content.first else { throw .badValue }
        if content.count > 1, let second = content.dropFirst().first {
            guard !(first == 0 && second < 0x80), !(first == 0xff && second >= 0x80) else { throw .badValue }
        }
        return content
    }

    /// Reads a non-negative INTEGER that fits 31 bits.
    package mutating func smallInteger() throws(DERError) -> Int {
        let content = try integer()
        guard content.count <= 4, let first = content.first, first < 0x80 else { throw .badValue }
        return content.reduce(0) { $0 << 8 | Int($1) }
    }

    /// Reads a BIT STRING of whole bytes and gives them.
    package mutating func wholeBitString() throws(DERError) -> ArraySlice<UInt8> {
        let content = try element(DERTag.bitString).content
        guard content.first == 0 else { throw .badValue }
        return content.dropFirst()
    }

    /// Reads a named bit list of up to 16 bits; bit 0 is the highest bit of the result. Trailing zero bits, which DER
    /// forbids in such lists (X.690 §11.2.2), are refused.
    package mutating func namedBits() throws(DERError) -> UInt16 {
        let content = try element(DERTag.bitString).content
        guard let unused = content.first, unused < 8, content.count <= 3 else { throw .badValue }
        let bytes = Array(content.dropFirst())
        guard let last = bytes.last else {
            guard unused == 0 else { throw .badValue }
            return 0
        }
        guard last.trailingZeroBitCount == Int(unused) else { throw .badValue }
        return UInt16(bytes[0]) << 8 | (bytes.count > 1 ? UInt16(bytes[1]) : 0)
    }

    /// Reads an OBJECT IDENTIFIER.
    package mutating func objectIdentifier() throws(DERError) -> ObjectIdentifierBytes {
        try ObjectIdentifierBytes(content: element(DERTag.objectIdentifier).content)
    }
}
