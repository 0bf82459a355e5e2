/// A certificate serial number: positive, up to 20 bytes as DER content (RFC 5280 §4.1.2.2).
package struct SerialNumber: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Big-endian, without leading zero bytes, never empty.
    package let bytes: [UInt8]

    /// Makes a serial of 126 random bits and always 16 bytes, so that its length says nothing.
    package init(random generator: inout some RandomNumberGenerator) {
        let high = generator.next() & 0x7fff_ffff_ffff_ffff | 0x4000_0000_0000_0000
        let low = generator.next()
        var bytes: [UInt8] = []
        bytes.reserveCapacity(16)
        for half in [high, low] {
            for shift in stride(from: 56, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: half >> shift)) }
        }
        self.bytes = bytes
    }

    /// Takes a big-endian number; leading zero bytes are dropped, zero is refused, and so is what would not fit.
    package init(_ bytes: [UInt8]) throws(SerialNumberError) {
        let significant = bytes.first == 0 ? Array(bytes.drop { $0 == 0 }) : bytes
        guard let first = significant.first else { throw .notPositive }
        guard significant.count + (first >= 0x80 ? 1 : 0) <= Self.maximumLength else { throw .tooLong }
        self.bytes = significant
    }

    /// Takes a big-endian number out of a larger buffer.
    package init(_ bytes: ArraySlice<UInt8>) throws(SerialNumberError) { try self.init(Array(bytes)) }

    /// Reads hexadecimal digits of either case, an even number of them, without prefix or separators.
    package init(hex text: String) throws(SerialNumberError) {
        let digits = Array(text.utf8)
        guard !digits.isEmpty, digits.count <= 2 * Self.maximumLength + 2, digits.count.isMultiple(of: 2) else {
            throw .malformed
        }
        var bytes: [UInt8] = []
        var high: UInt8?
        for digit in digits {
            guard let value = Self.hexValue(digit) else { throw .malformed }
            if let upper = high {
                bytes.append(upper << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        try self.init(bytes)
    }

    /// Reads a decimal number without sign or leading zeros, the form that SPIRE prints.
    package init(decimal text: String) throws(SerialNumberError) {
        let digits = Array(text.utf8)
        guard let first = digits.first, digits.count <= Self.maximumDecimalDigits else { throw .malformed }
        guard first != UInt8(ascii: "0") || digits.count == 1 else { throw .malformed }
        var bytes: [UInt8] = []
        for digit in digits {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { throw .malformed }
            var carry = Int(digit - UInt8(ascii: "0"))
            for index in bytes.indices.reversed() {
                let value = Int(bytes[index]) * 10 + carry
                bytes[index] = UInt8(value & 0xff)
                carry = value >> 8
            }
            if carry > 0 { bytes.insert(UInt8(carry), at: 0) }
        }
        try self.init(bytes)
    }

    /// Lower-case hexadecimal, two digits a byte.
    package var hex: String { HexText.encode(bytes) }

    /// The number in decimal.
    package var decimal: String {
        var remaining = bytes
        var digits: [UInt8] = []
        while !remaining.isEmpty {
            var remainder = 0
            var quotient: [UInt8] = []
            for byte in remaining {
                let value = remainder << 8 | Int(byte)
                let digit = UInt8(value / 10)
                if !quotient.isEmpty || digit > 0 { quotient.append(digit) }
                remainder = value % 10
            }
            digits.append(UInt8(ascii: "0") + UInt8(remainder))
            remaining = quotient
        }
        return String(decoding: digits.reversed(), as: UTF8.self)
    }

    /// The hexadecimal form.
    package var description: String { hex }

    /// Numeric order.
    package static func < (left: SerialNumber, right: SerialNumber) -> Bool {
        left.bytes.count != right.bytes.count
            ? left.bytes.count < right.bytes.count : left.bytes.lexicographicallyPrecedes(right.bytes)
    }

    /// Longest DER content, in bytes (RFC 5280 §4.1.2.2).
    package static let maximumLength = 20
    /// Digits of 2^159.
    private static let maximumDecimalDigits = 48

    private static func hexValue(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}

/// Why a serial number was refused.
package enum SerialNumberError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Zero, or negative as a DER INTEGER.
    case notPositive
    /// More than 20 bytes.
    case tooLong
    /// Not a number in the expected notation.
    case malformed

    package var description: String {
        switch self {
        case .notPositive: "a serial number is positive"
        case .tooLong: "a serial number has at most \(SerialNumber.maximumLength) bytes"
        case .malformed: "the serial number is not a number in the expected notation"
        }
    }
}
