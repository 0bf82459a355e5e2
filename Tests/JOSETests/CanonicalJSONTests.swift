import JOSE
import Testing

@Suite struct CanonicalJSONTests {
    @Test("writes doubles as RFC 8785 appendix B lists them", arguments: numberTable)
    func writesNumbers(bits: UInt64, expected: String) throws {
        let number = try #require(JSONNumber(Double(bitPattern: bits)))
        #expect(text(JSONValue.number(number).canonicalBytes) == expected)
    }

    static let numberTable: [(UInt64, String)] = [
        (0x0000_0000_0000_0000, "0"), (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"), (0x8000_0000_0000_0001, "-5e-324"),
        (0x7FEF_FFFF_FFFF_FFFF, "1.7976931348623157e+308"), (0xFFEF_FFFF_FFFF_FFFF, "-1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"), (0xC340_0000_0000_0000, "-9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44B5_2D02_C7E1_4AF5, "9.999999999999997e+22"), (0x44B5_2D02_C7E1_4AF6, "1e+23"),
        (0x44B5_2D02_C7E1_4AF7, "1.0000000000000001e+23"), (0x444B_1AE4_D6E2_EF4E, "999999999999999700000"),
        (0x444B_1AE4_D6E2_EF4F, "999999999999999900000"), (0x444B_1AE4_D6E2_EF50, "1e+21"),
        (0x3EB0_C6F7_A0B5_ED8C, "9.999999999999997e-7"), (0x3EB0_C6F7_A0B5_ED8D, "0.000001"),
        (0x41B3_DE43_5555_5553, "333333333.3333332"), (0x41B3_DE43_5555_5554, "333333333.33333325"),
        (0x41B3_DE43_5555_5555, "333333333.3333333"), (0x41B3_DE43_5555_5556, "333333333.3333334"),
        (0x41B3_DE43_5555_5557, "333333333.33333343"), (0xBECB_F647_612F_3696, "-0.0000033333333333333333"),
        (0x4314_3FF3_C1CB_0959, "1424953923781206.2"),
    ]

    @Test func `infinities and not-a-number have no JSON form`() {
        #expect(JSONNumber(Double(bitPattern: 0x7FFF_FFFF_FFFF_FFFF)) == nil)
        #expect(JSONNumber(Double(bitPattern: 0x7FF0_0000_0000_0000)) == nil)
        #expect(JSONNumber(-Double.infinity) == nil)
    }

    @Test func `the example of RFC 8785 section 3.2.2`() throws {
        let source = #"""
            {
              "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
              "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
              "literals": [null, true, false]
            }
            """#
        let expected =
            #"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"#
            + #""string":"€$\u000f\nA'B\"\\\\\"/"}"#
        #expect(text(try JSONValue(parsing: source).canonicalBytes) == expected)
    }

    @Test func `the sorting example of RFC 8785 section 3.2.3`() throws {
        let source = #"""
            {"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",
             "\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control",
             "\u00f6":"Latin Small Letter O With Diaeresis"}
            """#
        let canonical = try JSONObject(parsing: try JSONValue(parsing: source).canonicalBytes)
        #expect(
            canonical.members.map { $0.value.stringValue } == [
                "Carriage Return", "One", "Control", "Latin Small Letter O With Diaeresis", "Euro Sign",
                "Emoji: Grinning Face", "Hebrew Letter Dalet With Dagesh",
            ])
    }

    @Test func `names sort by UTF-16 code units for every pair of unusual characters`() throws {
        let scalars: [UInt32] = [
            0x00, 0x41, 0x7F, 0x80, 0x7FF, 0x800, 0xCFFF, 0xD7FF, 0xE000, 0xEFFF, 0xF000, 0xFFFF, 0x10000, 0x10FFFF,
        ]
        let names = try scalars.map { String(try #require(Unicode.Scalar($0))) }
        let all = names + names.map { "a" + $0 } + names.map { $0 + "a" } + ["", "\u{FFFF}\u{10000}"]
        let object = JSONObject(all.map { ($0, nil) })
        let canonical = try JSONObject(parsing: object.canonicalBytes)
        let sorted = all.sorted { $0.utf16.lexicographicallyPrecedes($1.utf16) }
        #expect(canonical.count == all.count)
        #expect(zip(canonical.members, sorted).allSatisfy { $0.name.hasSameBytes(as: $1) })
    }

    @Test(
        "writes numbers read from text",
        arguments: [
            ("-0.0", "0"), ("-0", "0"), ("1e21", "1e+21"), ("1e20", "100000000000000000000"), ("123.0", "123"),
            ("1E-7", "1e-7"), ("0.1e-6", "1e-7"), ("0.000001", "0.000001"), ("12.5e-1", "1.25"),
            ("9007199254740991", "9007199254740991"), ("9007199254740993", "9007199254740992"),
            ("9223372036854775807", "9223372036854776000"), ("-9223372036854775808", "-9223372036854776000"),
            ("18446744073709551616", "18446744073709552000"), ("1.1", "1.1"), ("100", "100"), ("-1.5e300", "-1.5e+300"),
        ])
    func writesNumbersFromText(source: String, expected: String) throws {
        let canonical = try JSONValue(parsing: source).canonicalBytes
        #expect(text(canonical) == expected)
        #expect(try JSONValue(parsing: canonical).canonicalBytes == canonical)
    }

    @Test func `the plain form keeps order and every digit`() throws {
        let source = #"{"b":9223372036854775807,"a":[-9223372036854775808,0.1,9007199254740993],"é/":"\u001f"}"#
        #expect(text(try JSONValue(parsing: source).serializedBytes) == source)
    }

    @Test func `only the prescribed characters are escaped`() {
        let all = String(String.UnicodeScalarView((0..<0x80).compactMap { Unicode.Scalar(UInt32($0)) })) + "\u{2028}😀"
        let written = text(JSONValue.string(all).canonicalBytes)
        #expect(
            written.hasPrefix(
                #""\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\u000b\f\r\u000e\u000f\u0010"#
                    + ##"\u0011\u0012\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f !\"#"##
            ))
        #expect(written.hasSuffix("[\\\\]^_`abcdefghijklmnopqrstuvwxyz{|}~\u{7F}\u{2028}😀\""))
        #expect(written.contains("-./0"))
    }

    @Test func `random values survive both forms`() throws {
        var generator = SeededGenerator(state: 8785)
        for _ in 0..<500 {
            let value = Self.randomValue(depth: 4, using: &generator)
            #expect(try JSONValue(parsing: value.serializedBytes) == value)
            let canonical = value.canonicalBytes
            #expect(try JSONValue(parsing: canonical).canonicalBytes == canonical)
        }
    }

    @Test func `random doubles survive the shortest form`() throws {
        var generator = SeededGenerator(state: 754)
        for _ in 0..<5000 {
            guard let number = JSONNumber(Double(bitPattern: generator.next())) else { continue }
            let canonical = JSONValue.number(number).canonicalBytes
            #expect(try JSONValue(parsing: canonical).numberValue?.double == number.double)
        }
    }

    static func randomValue(depth: Int, using generator: inout SeededGenerator) -> JSONValue {
        switch Int.random(in: 0..<(depth > 0 ? 8 : 6), using: &generator) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &generator))
        case 2:
            return .number(
                JSONNumber(Int64(bitPattern: generator.next()) >> Int64.random(in: 0..<64, using: &generator)))
        case 3: return JSONNumber(Double(bitPattern: generator.next())).map { .number($0) } ?? .null
        case 4, 5: return .string(randomString(using: &generator))
        case 6:
            return .array(
                (0..<Int.random(in: 0..<5, using: &generator)).map { _ in
                    randomValue(depth: depth - 1, using: &generator)
                })
        default:
            return .object(
                JSONObject(
                    (0..<Int.random(in: 0..<20, using: &generator)).map { _ in
                        (randomString(using: &generator), randomValue(depth: depth - 1, using: &generator))
                    }))
        }
    }

    static func randomString(using generator: inout SeededGenerator) -> String {
        let bounds: [UInt32] = [0x20, 0x80, 0x800, 0x10000, 0x110000]
        var string = ""
        for _ in 0..<Int.random(in: 0..<6, using: &generator) {
            let bound = bounds[Int.random(in: 0..<bounds.count, using: &generator)]
            if let scalar = Unicode.Scalar(UInt32.random(in: 0..<bound, using: &generator)) {
                string.unicodeScalars.append(scalar)
            }
        }
        return string
    }
}
