import SPIFFE
import Testing

@Suite struct `Unix times` {
    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000Z"), (1, "1970-01-01T00:00:00.001Z"), (-1, "1969-12-31T23:59:59.999Z"),
        (1_795_461_240_123, "2026-11-23T19:14:00.123Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"), (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
    ])
    func `RFC 3339 both ways`(_ milliseconds: Int64, _ text: String) {
        #expect(UnixTime(milliseconds: milliseconds).rfc3339 == text)
        #expect(UnixTime(rfc3339: text)?.milliseconds == milliseconds)
    }

    @Test(arguments: [
        ("2026-11-23T19:14:00Z", 1_795_461_240_000), ("2026-11-23T19:14:00.5Z", 1_795_461_240_500),
        ("2026-11-23T19:14:00.12Z", 1_795_461_240_120), ("2026-11-23T19:14:00.123999999Z", 1_795_461_240_123),
        ("2026-11-23T20:14:00+01:00", 1_795_461_240_000), ("2026-11-23T13:44:00.001-05:30", 1_795_461_240_001),
    ])
    func `other legal spellings are read`(_ text: String, _ milliseconds: Int64) {
        #expect(UnixTime(rfc3339: text)?.milliseconds == milliseconds)
    }

    @Test(arguments: [
        "", "2026", "2026-11-23", "2026-11-23T19:14Z", "2026-11-23T19:14:00", "2026-11-23t19:14:00Z",
        "2026-11-23T19:14:00z", "2026-11-23 19:14:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
        "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-01-00T00:00:00Z",
        "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:60Z", "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00.1234567890Z", "2026-01-01T00:00:00ZZ", "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+0100", "+026-01-01T00:00:00Z", "2026-1-01T00:00:00Z",
        "2026-01-01T00:00:00.00000000000000000000000000000Z",
    ])
    func `anything else is refused`(_ text: String) {
        #expect(UnixTime(rfc3339: text) == nil)
    }

    @Test func `every day of eight centuries is read back`() {
        var day: Int64 = -150_000
        while day < 150_000 {
            let time = UnixTime(seconds: day * 86_400 + 86_399)
            #expect(UnixTime(rfc3339: time.rfc3339) == time)
            #expect(UnixTime(generalizedTime: time.generalizedTime) == time)
            day += 97
        }
    }

    @Test func `DER times change form in 1950 and 2050`() throws {
        let last = try #require(UnixTime(rfc3339: "2049-12-31T23:59:59Z"))
        #expect(last.utcTime == Array("491231235959Z".utf8))
        #expect((last + 1).utcTime == nil)
        #expect((last + 1).generalizedTime == Array("20500101000000Z".utf8))
        let first = try #require(UnixTime(rfc3339: "1950-01-01T00:00:00Z"))
        #expect(UnixTime(utcTime: Array("500101000000Z".utf8)) == first)
        #expect((first - 1).utcTime == nil)
    }

    @Test(arguments: [
        "4912312359Z", "491231235959", "491231235959+0000", "491331235959Z", "4912312359590Z", "", "49123123595Z",
    ])
    func `other UTCTimes are refused`(_ text: String) {
        #expect(UnixTime(utcTime: text.utf8) == nil)
    }

    @Test(arguments: ["20500101000000", "20500101000000.1Z", "205001010000Z", "20500101000000+0100", "20501301000000Z"])
    func `other GeneralizedTimes are refused`(_ text: String) {
        #expect(UnixTime(generalizedTime: text.utf8) == nil)
    }

    @Test func `arithmetic rounds down and saturates`() {
        #expect(UnixTime(milliseconds: -1).seconds == -1)
        #expect(UnixTime(milliseconds: 1999).seconds == 1)
        #expect(UnixTime(seconds: .max).milliseconds == .max)
        #expect(UnixTime(seconds: .min).milliseconds == .min)
        #expect((UnixTime(milliseconds: .max) + 1).milliseconds == .max)
        #expect((UnixTime(milliseconds: .min) - 1).milliseconds == .min)
        #expect((UnixTime(milliseconds: 0) - .min).milliseconds == .max)
        #expect((UnixTime(seconds: 10) + 5) == UnixTime(seconds: 15))
        #expect((UnixTime(seconds: 10) - 5) == UnixTime(seconds: 5))
        #expect(UnixTime(milliseconds: .max).milliseconds(since: UnixTime(milliseconds: .min)) == .max)
        #expect(UnixTime(seconds: 10).seconds(since: UnixTime(milliseconds: 10_001)) == -1)
        #expect(UnixTime(milliseconds: .max).rfc3339 == "9999-12-31T23:59:59.000Z")
        #expect(UnixTime(milliseconds: .min).rfc3339 == "0000-01-01T00:00:00.000Z")
    }
}

@Suite struct `Serial numbers` {
    @Test(arguments: [
        ("01", "1"), ("ff", "255"), ("0100", "256"), ("0123456789abcdef", "81985529216486895"),
        ("7fffffffffffffffffffffffffffffffffffffff", "730750818665451459101842416358141509827966271487"),
    ])
    func `hexadecimal and decimal both ways`(_ hex: String, _ decimal: String) throws {
        let serial = try SerialNumber(hex: hex)
        #expect(serial.hex == hex)
        #expect(serial.decimal == decimal)
        #expect(try SerialNumber(decimal: decimal) == serial)
        #expect(try SerialNumber(hex: hex.uppercased()) == serial)
    }

    @Test func `zero, long ones and other text are refused`() {
        #expect(throws: SerialNumberError.notPositive) { try SerialNumber([0, 0]) }
        #expect(throws: SerialNumberError.notPositive) { try SerialNumber(decimal: "0") }
        #expect(throws: SerialNumberError.tooLong) { try SerialNumber([UInt8](repeating: 0x80, count: 20)) }
        #expect(throws: SerialNumberError.tooLong) { try SerialNumber([UInt8](repeating: 1, count: 21)) }
        #expect(throws: SerialNumberError.tooLong) {
            try SerialNumber(decimal: "730750818665451459101842416358141509827966271488")
        }
        for text in ["", "1", "0g", "0x01", "-1", "01 ", String(repeating: "00", count: 60)] {
            #expect(throws: SerialNumberError.malformed) { try SerialNumber(hex: text) }
        }
        for text in ["", "01", "-1", "1a", " 1", String(repeating: "9", count: 60)] {
            #expect(throws: SerialNumberError.malformed) { try SerialNumber(decimal: text) }
        }
    }

    @Test func `random ones are positive, 16 bytes long and differ`() {
        var generator = SequenceGenerator()
        let serials = (0..<200).map { _ in SerialNumber(random: &generator) }
        #expect(Set(serials).count == 200)
        #expect(serials.allSatisfy { $0.bytes.count == 16 && (0x40..<0x80).contains($0.bytes[0]) })
        for serial in serials { #expect((try? SerialNumber(decimal: serial.decimal)) == serial) }
        #expect(serials.sorted().first == serials.min())
    }
}
