extension UnixTime {
    /// RFC 3339 in UTC with milliseconds, `2026-11-23T19:14:00.123Z`; years are clamped to 0000 to 9999.
    package var rfc3339: String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(24)
        appendRFC3339(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Appends the ASCII bytes of `rfc3339`.
    package func appendRFC3339(to bytes: inout [UInt8]) {
        let wholeSeconds = seconds
        let civil = CivilTime(epochSeconds: wholeSeconds)
        let fraction = CivilTime.writableSeconds.contains(wholeSeconds) ? milliseconds - wholeSeconds * 1000 : 0
        DigitReader.append(civil.year, digits: 4, to: &bytes)
        bytes.append(UInt8(ascii: "-"))
        DigitReader.append(civil.month, digits: 2, to: &bytes)
        bytes.append(UInt8(ascii: "-"))
        DigitReader.append(civil.day, digits: 2, to: &bytes)
        bytes.append(UInt8(ascii: "T"))
        DigitReader.append(civil.hour, digits: 2, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        DigitReader.append(civil.minute, digits: 2, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        DigitReader.append(civil.second, digits: 2, to: &bytes)
        bytes.append(UInt8(ascii: "."))
        DigitReader.append(fraction, digits: 3, to: &bytes)
        bytes.append(UInt8(ascii: "Z"))
    }

    /// Reads RFC 3339: upper case `T` and `Z` (or an offset), up to nine digits of fraction (cut to milliseconds),
    /// no leap second; `nil` for anything else.
    package init?(rfc3339 text: String) {
        guard text.utf8.count <= 35 else { return nil }
        var reader = DigitReader(text.utf8)
        guard let year = reader.number(digits: 4), reader.take("-"),
            let month = reader.number(digits: 2), reader.take("-"),
            let day = reader.number(digits: 2), reader.take("T"),
            let hour = reader.number(digits: 2), reader.take(":"),
            let minute = reader.number(digits: 2), reader.take(":"),
            let second = reader.number(digits: 2),
            let civil = CivilTime(
                year: year, month: month, day: day, hour: hour, minute: minute, second: second)
        else { return nil }
        var fraction: Int64 = 0
        var zone: UInt8? = reader.next()
        if zone == UInt8(ascii: ".") {
            var digits = 0
            zone = reader.next()
            while let byte = zone, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
                digits += 1
                if digits <= 3 { fraction = fraction * 10 + Int64(byte - UInt8(ascii: "0")) }
                zone = reader.next()
            }
            guard (1...9).contains(digits) else { return nil }
            for _ in digits..<max(3, digits) { fraction *= 10 }
        }
        var offset: Int64 = 0
        if zone == UInt8(ascii: "+") || zone == UInt8(ascii: "-") {
            guard let hours = reader.number(digits: 2), reader.take(":"), let minutes = reader.number(digits: 2),
                hours <= 23, minutes <= 59
            else { return nil }
            offset = (hours * 60 + minutes) * (zone == UInt8(ascii: "-") ? -60 : 60)
        } else if zone != UInt8(ascii: "Z") {
            return nil
        }
        guard reader.isAtEnd else { return nil }
        self.init(milliseconds: (civil.epochSeconds - offset) * 1000 + fraction)
    }
}
