import Testing

@testable import TransparencyLog

@Suite struct HashTests {
    @Test func `the empty tree has the hash of nothing and the empty leaf has that of a zero byte`() {
        #expect(hex(Hash256.emptyTree.bytes) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(hex(TreeHasher.leaf([]).bytes) == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d")
    }

    @Test func `a hash takes exactly 32 bytes and gives them back`() {
        let bytes = (0..<32).map { UInt8($0 * 7) }
        #expect(Hash256(bytes)?.bytes == bytes)
        #expect(Hash256(bytes[...])?.bytes == bytes)
        #expect(Hash256(AnyCollection(bytes))?.bytes == bytes)
        for count in [0, 1, 31, 33, 64] {
            #expect(Hash256([UInt8](repeating: 0, count: count)) == nil)
        }
    }

    @Test func `a leaf hash is the same for an array and for a part of a buffer`() {
        let buffer = [UInt8](0...255)
        #expect(TreeHasher.leaf(Array(buffer[3..<90])) == TreeHasher.leaf(buffer[3..<90]))
        #expect(TreeHasher.leaf([0]) != TreeHasher.leaf([]))
    }

    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ])
    func `base64 is that of RFC 4648`(plain: String, encoded: String) {
        #expect(Base64.encode(Array(plain.utf8)) == encoded)
        #expect(Base64.decode(Array(encoded.utf8)) == Array(plain.utf8))
    }

    @Test(arguments: [
        "Z", "Zg", "Zg=", "Zm8", "Zg===", "=", "==", "====", "Z===", "Zm9v====", "Zm9v=", "Zh==", "Zm9=", "Zm-_",
        "Zm 9",
        "Zm9\n", "Zm9v\n", "Z=9v", "Zm=v", "\u{e9}9v",
    ])
    func `base64 that encoding does not give is refused`(text: String) {
        #expect(Base64.decode(Array(text.utf8)) == nil)
    }

    @Test func `base64 round trips every length`() {
        for count in 0..<200 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 151 &+ count) }
            #expect(Base64.decode(Base64.encoded(bytes)) == bytes)
        }
    }

    @Test func `decimal numbers have one spelling`() {
        for number in [0, 1, 9, 10, 255, 1_000_000, Int64.max] {
            #expect(Decimal.parse(Array(String(number).utf8)) == number)
        }
        for text in [
            "", "00", "01", "-1", "+1", " 1", "1 ", "1_0", "0x1", "1.0", "9223372036854775808", "99999999999999999999",
            "18446744073709551616", "١",
        ] {
            #expect(Decimal.parse(Array(text.utf8)) == nil)
        }
    }
}
