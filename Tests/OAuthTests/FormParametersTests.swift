import OAuth
import Testing

@Suite struct `Forms` {
    private static let readings: [(String, [(String, String)])] = [
        ("", []), ("a=1", [("a", "1")]), ("a=1&b=2", [("a", "1"), ("b", "2")]),
        ("&a=1&&b=2&", [("a", "1"), ("b", "2")]),
        ("a=b=c", [("a", "b=c")]), ("a=x+y%20z", [("a", "x y z")]), ("a=%2B%26%3d", [("a", "+&=")]),
        ("%61=%C3%A9", [("a", "é")]), ("a=é", [("a", "é")]), ("a=", []), ("a", []), ("a=%00", [("a", "\0")]),
        ("a=api://b/.default", [("a", "api://b/.default")]), ("a=x%0A", [("a", "x\n")]),
        ("A=1&a=2", [("A", "1"), ("a", "2")]),
        (
            "resource=x&resource=y&audience=1&audience=2",
            [("resource", "x"), ("resource", "y"), ("audience", "1"), ("audience", "2")]
        ),
    ]

    @Test(arguments: readings)
    func `are read byte by byte`(body: String, expected: [(String, String)]) throws {
        let read = try form(body)
        #expect(read.fields.map(\.name) == expected.map(\.0))
        #expect(read.fields.map(\.value) == expected.map(\.1))
    }

    private static let refusals: [(String, FormError)] = [
        ("a=%", FormError.invalidEscape(offset: 2)), ("a=%1", .invalidEscape(offset: 2)),
        ("a=%zz", .invalidEscape(offset: 2)), ("b=1&a=%4", .invalidEscape(offset: 6)),
        ("%=1", .invalidEscape(offset: 0)),
        ("a=%4&1=x", .invalidEscape(offset: 2)), ("a=%+1", .invalidEscape(offset: 2)),
        ("a=%FF", .invalidUTF8), ("a=%C0%80", .invalidUTF8), ("a=%ED%A0%80", .invalidUTF8), ("%FF=1", .invalidUTF8),
        ("=1", .emptyName), ("=", .emptyName), ("a=1&=", .emptyName),
        ("a=1\n", .controlCharacter(offset: 3)), ("a=\0", .controlCharacter(offset: 2)),
        ("a=1&a=1", .duplicateParameter("a")), ("a=1&b=2&%61=3", .duplicateParameter("a")),
        ("a=&a=1", .duplicateParameter("a")), ("a=1&a", .duplicateParameter("a")),
        ("scope=x&scope=y", .duplicateParameter("scope")), ("Resource=1&Resource=1", .duplicateParameter("Resource")),
    ]

    @Test(arguments: refusals)
    func `are refused for one wrong byte or a name said twice`(body: String, expected: FormError) {
        #expect(throws: expected) { try form(body) }
        #expect(expected.code == .invalidRequest)
    }

    @Test func `repeat no name where nothing may be repeated`() {
        #expect(throws: FormError.duplicateParameter("resource")) {
            try FormParameters(parsing: bytes("resource=a&resource=b"))
        }
    }

    @Test func `have limits, and those are exact`() throws {
        let limits = FormLimits(maximumBytes: 16, maximumCount: 2, maximumNameBytes: 3, maximumValueBytes: 4)
        func read(_ body: String) throws(FormError) -> FormParameters {
            try FormParameters(parsing: bytes(body), limits: limits)
        }
        _ = try read("abc=1234&d=1&&&&")
        #expect(throws: FormError.tooLarge(limit: 16)) { try read("abc=1234&d=1&&&&&") }
        #expect(throws: FormError.tooManyParameters(limit: 2)) { try read("a=1&b=&c=2") }
        #expect(throws: FormError.nameTooLong(limit: 3)) { try read("abcd=1") }
        #expect(throws: FormError.valueTooLong(name: "a")) { try read("a=12345") }
        #expect(try read("a=%41%42%43%44")["a"] == "ABCD")
        #expect(FormLimits.default.maximumBytes == 65536)
    }

    @Test func `are written as they are read, with every character`() throws {
        let all = String(String.UnicodeScalarView((1..<0x300).compactMap(Unicode.Scalar.init)))
        let written = FormParameters([("a b", all), ("resource", "1"), ("resource", "2"), ("empty", "")])
        #expect(try form(String(decoding: written.serializedBytes, as: UTF8.self)) == written)
        #expect(
            FormParameters([("k", "A-z_0.*~ +&=%/é")]).serializedBytes == bytes("k=A-z_0.*%7E+%2B%26%3D%25%2F%C3%A9"))
        #expect(written.fields.count == 3)
    }

    @Test func `tell names and no values`() {
        let form = FormParameters([("client_secret", "hush"), ("client_id", "a")])
        var dumped = ""
        dump(form, to: &dumped)
        for text in ["\(form)", "\(String(reflecting: form))", dumped] {
            #expect(text.contains("client_secret"))
            #expect(!text.contains("hush"))
        }
    }

    private static let mediaTypes: [(String, Bool)] = [
        ("application/x-www-form-urlencoded", true), ("Application/X-WWW-Form-URLencoded", true),
        ("application/x-www-form-urlencoded;charset=UTF-8", true),
        ("application/x-www-form-urlencoded ; charset=\"utf-8\"", true),
        ("application/x-www-form-urlencoded; charset=latin1", false), ("application/json", false), ("", false),
        ("application/x-www-form-urlencodedx", false), ("text/plain;application/x-www-form-urlencoded", false),
    ]

    @Test(arguments: mediaTypes)
    func `are told by their media type`(contentType: String, isForm: Bool) {
        #expect(FormParameters.isForm(contentType: contentType) == isForm)
    }

    @Test func `hide secrets, which match by digest alone`() {
        let secret = SecretText("hush")
        var dumped = ""
        dump(secret, to: &dumped)
        #expect(!"\(secret) \(String(reflecting: secret)) \(dumped)".contains("hush"))
        #expect(secret.matches(digest: SecretText("hush").digest))
        for wrong in [SecretText("husH").digest, [], Array(secret.digest.dropLast()), secret.digest + [0]] {
            #expect(!secret.matches(digest: wrong))
        }
    }
}
