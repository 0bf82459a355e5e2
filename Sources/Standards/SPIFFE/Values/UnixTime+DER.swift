extension UnixTime {
    /// The content of a UTCTime, `YYMMDDhhmmssZ`; `nil` outside 1950 to 2049 (RFC 5280 §4.1.2.5.1).
    package var utcTime: [UInt8]? {
        let civil = CivilTime(epochSeconds: seconds)
        guard (1950...2049).contains(civil.year) else { return nil }
        return Self.content(civil, year: civil.year % 100, digits: 2)
    }

    /// The content of a GeneralizedTime, `YYYYMMDDhhmmssZ`, clamped to years 0000 to 9999 (RFC 5280 §4.1.2.5.2).
    package var generalizedTime: [UInt8] {
        let civil = CivilTime(epochSeconds: seconds)
        return Self.content(civil, year: civil.year, digits: 4)
    }

    /// Reads the content of a UTCTime in the one form that RFC 5280 allows.
    package init?(utcTime content: some Sequence<UInt8>) {
        var reader = DigitReader(content)
        guard let short = reader.number(digits: 2) else { return nil }
        self.init(reader, year: short < 50 ? 2000 + short : 1900 + short)
    }

    /// Reads the content of a GeneralizedTime in the one form that RFC 5280 allows: no fraction, always `Z`.
    package init?(generalizedTime content: some Sequence<UInt8>) {
        var reader = DigitReader(content)
        guard let year = reader.number(digits: 4) else { return nil }
        self.init(reader, year: year)
    }

    private init?(_ start: DigitReader, year: Int64) {
        var reader = start
        guard let month = reader.number(digits: 2), let day = reader.number(digits: 2),
            let hour = reader.number(digits: 2), let minute = reader.number(digits: 2),
            let second = reader.number(digits: 2), reader.take("Z"), reader.isAtEnd,
            let civil = CivilTime(
                year: year, month: month, day: day, hour: hour, minute: minute, second: second)
        else { return nil }
        self.init(seconds: civil.epochSeconds)
    }

    private static func content(_ civil: CivilTime, year: Int64, digits: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digits + 11)
        DigitReader.append(year, digits: digits, to: &bytes)
        for field in [civil.month, civil.day, civil.hour, civil.minute, civil.second] {
            DigitReader.append(field, digits: 2, to: &bytes)
        }
        bytes.append(UInt8(ascii: "Z"))
        return bytes
    }
}
