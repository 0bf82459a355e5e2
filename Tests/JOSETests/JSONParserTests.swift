import JOSE
import Testing

@Suite struct JSONParserTests {
    @Test(
        "accepts the grammar of RFC 8259",
        arguments: [
            ("null", .null), ("true", true), ("false", false), (" \t\r\n1 \n", 1), ("-0", 0), ("0", 0), ("-12", -12),
            ("9223372036854775807", .number(JSONNumber(.max))), ("-9223372036854775808", .number(JSONNumber(.min))),
            ("[]", []), ("[ ]", []), ("{ }", [:]), ("[1,2 , 3]", [1, 2, 3]), ("\"\"", ""), (#""\"\\\/""#, #""\/"#),
            (#""\b\f\n\r\t""#, "\u{8}\u{C}\n\r\t"), (#""\u0041\u00e9\u20AC""#, "Aé€"), (#""\ud83d\uDE00""#, "😀"),
            ("\"😀é\u{7F}\"", "😀é\u{7F}"), (#""\u0000""#, "\u{0}"), ("\"\u{FFFE}\"", "\u{FFFE}"),
            (#"{"a":{"b":[null]},"":0}"#, ["a": ["b": [nil]], "": 0]), ("1.0", 1), ("10E-1", 1), ("1e2", 100),
            ("0e9", 0), ("1e-400", 0), (#""\ud7ff\ue000""#, "\u{D7FF}\u{E000}"), (#""\uDBFF\uDFFF""#, "\u{10FFFF}"),
        ] as [(String, JSONValue)])
    func acceptsGrammar(source: String, value: JSONValue) throws {
        #expect(try JSONValue(parsing: source) == value)
    }

    @Test(
        "refuses what is not JSON",
        arguments: [
            ("", .unexpectedEnd), (" ", .unexpectedEnd), ("nul", .unexpectedEnd), ("nulL", .unexpectedByte(offset: 3)),
            ("True", .unexpectedByte(offset: 0)), ("NaN", .unexpectedByte(offset: 0)),
            ("-Infinity", .invalidNumber(offset: 0)), ("+1", .unexpectedByte(offset: 0)),
            ("01", .invalidNumber(offset: 0)), ("-01", .invalidNumber(offset: 0)), ("00", .invalidNumber(offset: 0)),
            ("1.", .invalidNumber(offset: 0)), (".5", .unexpectedByte(offset: 0)), ("1e", .invalidNumber(offset: 0)),
            ("1e+", .invalidNumber(offset: 0)), ("-", .unexpectedEnd), ("0x10", .trailingBytes(offset: 1)),
            ("1e400", .numberOutOfRange(offset: 0)), ("-1e400", .numberOutOfRange(offset: 0)),
            ("1 2", .trailingBytes(offset: 2)), ("{}x", .trailingBytes(offset: 2)),
            ("[1,]", .unexpectedByte(offset: 3)),
            ("[1 2]", .unexpectedByte(offset: 3)), ("[,1]", .unexpectedByte(offset: 1)), ("[1", .unexpectedEnd),
            ("{\"a\":1,}", .unexpectedByte(offset: 7)), ("{a:1}", .unexpectedByte(offset: 1)),
            ("{\"a\" 1}", .unexpectedByte(offset: 5)), ("{\"a\":}", .unexpectedByte(offset: 5)),
            ("{\"a\":1", .unexpectedEnd), ("{\"a\"", .unexpectedEnd), ("{1:1}", .unexpectedByte(offset: 1)),
            ("[1}", .unexpectedByte(offset: 2)), ("{\"a\":1]", .unexpectedByte(offset: 6)),
            ("'a'", .unexpectedByte(offset: 0)), ("\"a", .unexpectedEnd), ("\"a\n\"", .controlCharacter(offset: 2)),
            ("\"\\n\u{1F}\"", .controlCharacter(offset: 3)), (#""\x41""#, .invalidEscape(offset: 1)),
            (#""\u12G4""#, .invalidEscape(offset: 1)), (#""\u12"#, .unexpectedEnd), (#""\"#, .unexpectedEnd),
            (#""\ud800""#, .loneSurrogate(offset: 1)), (#""\udc00""#, .loneSurrogate(offset: 1)),
            (#""\ud800\u0041""#, .loneSurrogate(offset: 1)), (#""\ud800\ud800""#, .loneSurrogate(offset: 1)),
            (#""\ud800x""#, .loneSurrogate(offset: 1)), (#""\ud83d\"#, .loneSurrogate(offset: 1)),
            ("// c\n1", .unexpectedByte(offset: 0)), ("\u{FEFF}1", .byteOrderMark),
            ("\u{A0}1", .unexpectedByte(offset: 0)),
            ("1\u{0}", .trailingBytes(offset: 1)),
        ] as [(String, JSONParseError)])
    func refusesMalformed(source: String, error: JSONParseError) {
        #expect(throws: error) { try JSONValue(parsing: source) }
    }

    @Test(
        "refuses invalid UTF-8 in strings",
        arguments: [
            [0x80], [0xC0, 0xAF], [0xC1, 0xBF], [0xE0, 0x80, 0xAF], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF],
            [0xF0, 0x80, 0x80, 0xAF], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFF], [0xE2, 0x82],
            [0xC3], [0x5C, 0x6E, 0xFF],
        ] as [[UInt8]])
    func refusesInvalidUTF8(content: [UInt8]) {
        #expect(throws: JSONParseError.invalidUTF8(offset: 1)) {
            try JSONValue(parsing: [0x5B, 0x22] + content + [0x22, 0x5D])
        }
    }

    @Test(
        "refuses a member name twice, after unescaping and by bytes",
        arguments: [
            #"{"a":1,"a":1}"#, #"{"a":1,"b":2,"\u0061":3}"#, #"{"x":{"é":1,"\u00e9":2}}"#, #"[{"":0,"":0}]"#,
            #"{"0":0,"1":0,"2":0,"3":0,"4":0,"5":0,"6":0,"7":0,"8":0,"9":0,"10":0,"11":0,"12":0,"13":0,"\u0033":0}"#,
            #"{"0":0,"1":0,"2":0,"3":0,"4":0,"5":0,"6":0,"7":0,"8":0,"9":0,"10":0,"11":0,"12":0,"13":0,"13":0}"#,
        ])
    func refusesDuplicates(source: String) throws {
        let error = try #require(throws: JSONParseError.self) { try JSONValue(parsing: source) }
        guard case .duplicateMember = error else {
            Issue.record("unexpected error \(error)")
            return
        }
    }

    @Test func `canonically equivalent names are different names`() throws {
        let object = try JSONObject(parsing: bytes(#"{"\u00e9":1,"e\u0301":2}"#))
        #expect(object.count == 2)
        #expect(object["\u{E9}"] == 1)
        #expect(object["e\u{301}"] == 2)
        #expect(JSONValue.string("\u{E9}") != JSONValue.string("e\u{301}"))
        #expect(JSONObject([("K", 1)])["\u{212A}"] == nil)
    }

    @Test func `nesting is limited for arrays and objects`() throws {
        let limits = JSONLimits(maximumBytes: 4096, maximumDepth: 3)
        #expect(try JSONValue(parsing: "[[[1]]]", limits: limits) == [[[1]]])
        #expect(throws: JSONParseError.tooDeep(limit: 3)) { try JSONValue(parsing: "[[[[", limits: limits) }
        #expect(throws: JSONParseError.tooDeep(limit: 3)) {
            try JSONValue(parsing: #"{"a":[{"b":{}}]}"#, limits: limits)
        }
        #expect(try JSONValue(parsing: "[[],[],[[]],{}]", limits: limits).arrayValue?.count == 4)
        let deep = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
        #expect(throws: Never.self) { try JSONValue(parsing: deep) }
        #expect(throws: JSONParseError.tooDeep(limit: 64)) { try JSONValue(parsing: "[" + deep + "]") }
        #expect(JSONLimits(maximumDepth: 1_000_000).maximumDepth == JSONLimits.deepestMaximumDepth)
    }

    @Test func `size and number length are limited`() {
        let limits = JSONLimits(maximumBytes: 4)
        #expect(throws: Never.self) { try JSONValue(parsing: "1234", limits: limits) }
        #expect(throws: JSONParseError.tooLarge(limit: 4)) { try JSONValue(parsing: "12345", limits: limits) }
        let digits = String(repeating: "9", count: 300)
        #expect(throws: Never.self) { try JSONValue(parsing: digits) }
        #expect(throws: JSONParseError.numberTooLong(offset: 0)) {
            try JSONValue(parsing: "0." + String(repeating: "0", count: 2000))
        }
    }

    @Test func `an object with very many members is read in linear time`() throws {
        let count = 60_000
        let source = "{" + (0..<count).map { "\"n\($0)\":0" }.joined(separator: ",") + "}"
        #expect(try JSONObject(parsing: bytes(source)).count == count)
        #expect(throws: JSONParseError.duplicateMember("n7")) {
            try JSONValue(parsing: String(source.dropLast()) + ",\"n7\":1}")
        }
    }

    @Test func `an object text must be an object`() {
        #expect(throws: JSONParseError.unexpectedByte(offset: 0)) { try JSONObject(parsing: bytes("[]")) }
    }

    @Test func `every prefix of a text is refused`() {
        let source = bytes(#"{"a":[1.5e3,"\ud83d\ude00é",true,null],"b":{"c":false}}"#)
        for length in 0..<source.count {
            #expect(throws: JSONParseError.self) { try JSONValue(parsing: source[..<length]) }
        }
    }

    @Test func `the deepest nesting allowed can be read, compared and written`() throws {
        let depth = JSONLimits.deepestMaximumDepth
        let source = String(repeating: #"{"a":["#, count: depth / 2) + String(repeating: "]}", count: depth / 2)
        let limits = JSONLimits(maximumDepth: .max)
        let value = try JSONValue(parsing: source, limits: limits)
        #expect(text(value.canonicalBytes) == source)
        #expect(try JSONValue(parsing: value.serializedBytes, limits: limits) == value)
        #expect(throws: JSONParseError.tooDeep(limit: depth)) {
            try JSONValue(parsing: "[" + source + "]", limits: limits)
        }
    }

    @Test func `messages are short and cannot forge a line`() {
        let name = "a\r\nlevel=info \u{202E}" + String(repeating: "x", count: 1000)
        let message = JSONParseError.duplicateMember(name).description
        #expect(message.unicodeScalars.count < 120)
        #expect(!message.unicodeScalars.contains { $0 == "\n" || $0 == "\r" || $0 == "\u{202E}" })
    }
}
