/// Writes numbers as ECMAScript's `Number::toString` does (ECMA-262 §6.1.6.1.20), as RFC 8785 §3.2.2.3 requires.
enum ECMAScriptNumber {
    /// Appends the decimal digits of an integer.
    static func append(_ value: Int64, to bytes: inout [UInt8]) {
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        var rest = value.magnitude
        let start = bytes.count
        repeat {
            bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10))
            rest /= 10
        } while rest > 0
        bytes[start...].reverse()
    }

    /// Appends the shortest digits that read back as the same double; `value` must be finite.
    static func append(_ value: Double, to bytes: inout [UInt8]) {
        if value == 0 { return bytes.append(UInt8(ascii: "0")) }
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        let (digits, point) = decimal(value.magnitude)
        let count = digits.count
        let zero = UInt8(ascii: "0")
        let dot = UInt8(ascii: ".")
        if count <= point && point <= 21 {
            bytes.append(contentsOf: digits)
            bytes.append(contentsOf: repeatElement(zero, count: point - count))
        } else if 0 < point && point <= 21 {
            bytes.append(contentsOf: digits.prefix(point))
            bytes.append(dot)
            bytes.append(contentsOf: digits.dropFirst(point))
        } else if -6 < point && point <= 0 {
            bytes.append(zero)
            bytes.append(dot)
            bytes.append(contentsOf: repeatElement(zero, count: -point))
            bytes.append(contentsOf: digits)
        } else {
            bytes.append(contentsOf: digits.prefix(1))
            if count > 1 {
                bytes.append(dot)
                bytes.append(contentsOf: digits.dropFirst(1))
            }
            bytes.append(UInt8(ascii: "e"))
            if point > 0 { bytes.append(UInt8(ascii: "+")) }
            append(Int64(point - 1), to: &bytes)
        }
    }

    /// The digits without zeros at either end, and where the decimal point stands: 0.d1d2d3… × 10^point.
    ///
    /// The standard library's description already has the shortest digits, and the closest of the shortest, which is
    /// what ECMAScript's note 2 asks for; only the layout differs.
    private static func decimal(_ value: Double) -> (digits: [UInt8], point: Int) {
        var digits: [UInt8] = []
        var point = 0
        var seenPoint = false
        var exponent = 0
        var exponentIsNegative = false
        var inExponent = false
        for byte in value.description.utf8 {
            switch byte {
            case UInt8(ascii: "."): seenPoint = true
            case UInt8(ascii: "e"), UInt8(ascii: "E"): inExponent = true
            case UInt8(ascii: "-"): exponentIsNegative = true
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                if inExponent {
                    exponent = exponent * 10 + Int(byte - UInt8(ascii: "0"))
                } else {
                    digits.append(byte)
                    if !seenPoint { point += 1 }
                }
            default: break
            }
        }
        let leadingZeros = digits.prefix { $0 == UInt8(ascii: "0") }.count
        digits.removeFirst(leadingZeros)
        while digits.last == UInt8(ascii: "0") { digits.removeLast() }
        return (digits, point - leadingZeros + (exponentIsNegative ? -exponent : exponent))
    }
}
