import JOSE
import Testing
import WIMSE

/// RFC 9651 as far as dictionaries go.
@Suite struct `Structured fields` {
    @Test(arguments: [
        ("", ""),
        ("a", "a"),
        ("a=?1", "a"),
        ("a=?0;b", "a=?0;b"),
        ("  a=1", "a=1"),
        ("a=1 ,\tb=2", "a=1, b=2"),
        ("a=-0", "a=0"),
        ("a=-999999999999999", "a=-999999999999999"),
        ("a=1.50", "a=1.5"),
        ("a=-0.050", "a=-0.05"),
        ("a=2.0", "a=2.0"),
        ("a=999999999999.999", "a=999999999999.999"),
        (#"a="x\"y\\z""#, #"a="x\"y\\z""#),
        ("a=*t/k:n", "a=*t/k:n"),
        ("a=:AQID:", "a=:AQID:"),
        ("a=::", "a=::"),
        ("a=@1659578233", "a=@1659578233"),
        ("a=@-1", "a=@-1"),
        (#"a=%"f%c3%bc%22""#, #"a=%"f%c3%bc%22""#),
        (#"sig=(  "@method"   "x";req;bs );created=1; nonce="n""#, #"sig=("@method" "x";req;bs);created=1;nonce="n""#),
        ("a=()", "a=()"),
        ("*k_-.9=1", "*k_-.9=1"),
    ])
    func `what is well-formed is read and written in its one form`(_ text: String, _ form: String) throws {
        let dictionary = try StructuredDictionary(parsing: [text])
        #expect(dictionary.serialized == form)
        #expect(try StructuredDictionary(parsing: [form]) == dictionary)
    }

    @Test(arguments: [
        "A=1", "=1", "a=", "a=1,", "a=1,,b=2", "a=1 b=2", "a=1;", "a=1;B", "a=(1", "a=(1,2)", "a=(1\"x\")", "a=1.",
        "a=1.2345", "a=1234567890123456", "a=1234567890123.1", "a=-", "a=\"x", "a=\"x\\y\"", "a=\"\u{7F}\"",
        "a=\"é\"", "a=:AQI:", "a=:AQ=A:", "a=:AQID", "a=?2", "a=?", "a=@1.0", "a=@", "a=%\"%C3%BC\"", "a=%\"%ff\"",
        "a=%\"%c\"", "a=%x", "a=1\u{0}", "a=\u{0}", "a\u{212A}=1", "a=((1))", "é", "a=1\r\nb=2",
    ])
    func `what is malformed is refused`(_ text: String) {
        let error = #expect(throws: StructuredFieldError.self) { try StructuredDictionary(parsing: [text]) }
        guard case .malformed? = error else {
            Issue.record("\(text): \(String(describing: error))")
            return
        }
    }

    @Test func `no name is there twice, whichever would win`() {
        #expect(throws: StructuredFieldError.repeatedKey("a")) { try StructuredDictionary(parsing: ["a=1, a=2"]) }
        #expect(throws: StructuredFieldError.repeatedKey("a")) { try StructuredDictionary(parsing: ["a=1", "a=2"]) }
        #expect(throws: StructuredFieldError.repeatedKey("b")) { try StructuredDictionary(parsing: ["a;b;b"]) }
    }

    @Test func `several lines are one field`() throws {
        #expect(try StructuredDictionary(parsing: ["a=1", "b=2, c"]).entries.map(\.key) == ["a", "b", "c"])
        #expect(throws: StructuredFieldError.malformed(offset: 5)) {
            try StructuredDictionary(parsing: ["a=1", ""])
        }
    }

    @Test func `a field has an end to its length and its parts`() {
        func refusal(_ text: String) -> StructuredFieldError? {
            do throws(StructuredFieldError) {
                _ = try StructuredDictionary(parsing: [text])
                return nil
            } catch {
                return error
            }
        }
        let members = (0..<17).map { "k\($0)" }
        #expect(refusal(members.prefix(16).joined(separator: ",")) == nil)
        #expect(refusal(members.joined(separator: ",")) == .tooMany(limit: 16))
        #expect(refusal("a=(" + String(repeating: "1 ", count: 64) + ")") == nil)
        #expect(refusal("a=(" + String(repeating: "1 ", count: 65) + ")") == .tooMany(limit: 64))
        #expect(refusal("a" + (0..<32).map { ";p\($0)" }.joined()) == nil)
        #expect(refusal("a" + (0..<33).map { ";p\($0)" }.joined()) == .tooMany(limit: 32))
        let most = StructuredDictionary.maximumBytes
        #expect(refusal("a=" + String(repeating: "t", count: most - 2)) == nil)
        #expect(refusal("a=" + String(repeating: "t", count: most - 1)) == .tooLong(limit: most))
    }
}

/// RFC 9530.
@Suite struct `Digests of bodies` {
    private let body = Array(#"{"hello": "world"}"#.utf8)
    private let sha256 = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"
    private let sha512 =
        "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"

    private func refusal(_ lines: [String], body: [UInt8]? = nil) -> ContentDigestError? {
        do throws(ContentDigestError) {
            try ContentDigest.verify(lines, body: body ?? self.body)
            return nil
        } catch {
            return error
        }
    }

    @Test func `the examples of RFC 9421 and RFC 9530 are right, one by one and together`() {
        #expect(ContentDigest.value(body) == sha256)
        #expect(refusal([sha256]) == nil)
        #expect(refusal([sha512]) == nil)
        #expect(refusal([sha256, sha512]) == nil)
        #expect(refusal(["md5=:AAAA:, \(sha512)"]) == nil)
        #expect(refusal([ContentDigest.value([])], body: []) == nil)
    }

    @Test func `one wrong digest is enough, and one of a known kind is needed`() {
        #expect(refusal([sha256], body: []) == .mismatch)
        #expect(refusal([sha256, "sha-512=:AAAA:"]) == .mismatch)
        #expect(refusal(["sha-256=:AAAA:, \(sha512)"]) == .mismatch)
        #expect(refusal(["md5=:AAAA:"]) == .unknownKind)
        #expect(refusal([]) == .unknownKind)
        #expect(refusal(["sha-256=AAAA"]) == .badDigest)
        #expect(refusal(["sha-256=(:AAAA:)"]) == .badDigest)
        #expect(refusal(["sha-256"]) == .badDigest)
        #expect(refusal(["sha-256=:A:"]) == .malformed(.malformed(offset: 11)))
    }
}
