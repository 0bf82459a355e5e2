/// Decimal numbers as the log formats write them: ASCII digits, no sign, no leading zeros.
enum Decimal {
    /// Nil for anything but the one spelling of a number from 0 to `Int64.max`.
    static func parse(_ text: some Collection<UInt8>) -> Int64? {
        guard let first = text.first, text.count <= 19 else { return nil }
        guard first != UInt8(ascii: "0") || text.count == 1 else { return nil }
        var value: Int64 = 0
        for character in text {
            guard let digit = digit(character) else { return nil }
            let (product, overflowed) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflowedAgain) = product.addingReportingOverflow(digit)
            guard !overflowed, !overflowedAgain else { return nil }
            value = sum
        }
        return value
    }

    /// The value of an ASCII digit.
    static func digit(_ character: UInt8) -> Int64? {
        switch character {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): Int64(character - UInt8(ascii: "0"))
        default: nil
        }
    }
}
