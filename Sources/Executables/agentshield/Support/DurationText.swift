/// Durations as Go writes them: `90s`, `1h30m`, `720h`; a bare number counts seconds.
enum DurationText {
    /// - Returns: whole seconds.
    static func seconds(_ text: String, flag: String) throws -> Int64 {
        let malformed = CommandFailure("\(flag): `\(text)` is not a duration such as 90s, 5m or 1h30m")
        if let bare = Int64(text) {
            guard bare >= 0 else { throw malformed }
            return bare
        }
        var total: Int64 = 0
        var digits: Int64?
        for byte in text.utf8 {
            if byte >= 0x30, byte <= 0x39 {
                let (product, first) = (digits ?? 0).multipliedReportingOverflow(by: 10)
                let (sum, second) = product.addingReportingOverflow(Int64(byte - 0x30))
                guard !first, !second else { throw malformed }
                digits = sum
                continue
            }
            let unit: Int64? =
                switch byte {
                case UInt8(ascii: "s"): 1
                case UInt8(ascii: "m"): 60
                case UInt8(ascii: "h"): 3600
                case UInt8(ascii: "d"): 86400
                default: nil
                }
            guard let unit, let count = digits else { throw malformed }
            let (product, first) = count.multipliedReportingOverflow(by: unit)
            let (sum, second) = total.addingReportingOverflow(product)
            guard !first, !second else { throw malformed }
            total = sum
            digits = nil
        }
        guard digits == nil, !text.isEmpty else { throw malformed }
        return total
    }
}
