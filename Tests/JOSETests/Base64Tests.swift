import Foundation
import JOSE
import Testing

@Suite struct Base64Tests {
    @Test(
        "encodes as RFC 4648 section 10 lists",
        arguments: [
            ("", "", ""), ("f", "Zg", "Zg=="), ("fo", "Zm8", "Zm8="), ("foo", "Zm9v", "Zm9v"),
            ("foob", "Zm9vYg", "Zm9vYg=="), ("fooba", "Zm9vYmE", "Zm9vYmE="), ("foobar", "Zm9vYmFy", "Zm9vYmFy"),
        ])
    func encodes(source: String, url: String, standard: String) throws {
        #expect(Base64URL.encode(bytes(source)) == url)
        #expect(Base64.encode(bytes(source)) == standard)
        #expect(text(Base64URL.encodeBytes(bytes(source)[...])) == url)
        #expect(text(Base64.encodeBytes(AnyCollection(bytes(source)))) == standard)
        #expect(try Base64URL.decode(url) == bytes(source))
        #expect(try Base64.decode(standard) == bytes(source))
    }

    @Test func `the alphabets differ in two characters`() throws {
        let source: [UInt8] = [0xFB, 0xFF, 0xFE]
        #expect(Base64URL.encode(source) == "-__-")
        #expect(Base64.encode(source) == "+//+")
        #expect(throws: Base64Error.invalidCharacter(offset: 0)) { try Base64URL.decode("+//+") }
        #expect(throws: Base64Error.invalidCharacter(offset: 0)) { try Base64.decode("-__-") }
    }

    @Test(
        "refuses base64url that is not the one form of its bytes",
        arguments: [
            ("A", .invalidLength), ("AAAAA", .invalidLength), ("Zg==", .invalidCharacter(offset: 2)),
            ("Zm8=", .invalidCharacter(offset: 3)), ("Zh", .nonCanonicalEnd), ("Zm9", .nonCanonicalEnd),
            ("AB", .nonCanonicalEnd), ("AAB", .nonCanonicalEnd), ("Z g", .invalidCharacter(offset: 1)),
            ("Zm9v\n", .invalidLength), ("Zm9vYg\n", .invalidCharacter(offset: 6)), ("é", .invalidCharacter(offset: 0)),
            ("Zm9v.", .invalidLength), ("\u{0}\u{0}", .invalidCharacter(offset: 0)),
        ] as [(String, Base64Error)])
    func refusesURL(source: String, error: Base64Error) {
        #expect(throws: error) { try Base64URL.decode(source) }
    }

    @Test(
        "refuses padded base64 that is not the one form of its bytes",
        arguments: [
            ("Zg", .invalidLength), ("Zg=", .invalidLength), ("Zg===", .invalidLength),
            ("Z===", .invalidCharacter(offset: 1)), ("====", .invalidCharacter(offset: 0)),
            ("=", .invalidLength), ("Zh==", .nonCanonicalEnd), ("Zm9=", .nonCanonicalEnd),
            ("Zg==Zg==", .invalidCharacter(offset: 2)), ("Zm=v", .invalidCharacter(offset: 2)),
            ("Zm8\n", .invalidCharacter(offset: 3)),
        ] as [(String, Base64Error)])
    func refusesStandard(source: String, error: Base64Error) {
        #expect(throws: error) { try Base64.decode(source) }
    }

    @Test func `every byte outside the alphabet is refused`() {
        let alphabet = Set(bytes("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"))
        for byte in UInt8.min...UInt8.max {
            let isAccepted = (try? Base64URL.decode([byte, UInt8(ascii: "A")] as [UInt8])) != nil
            #expect(isAccepted == alphabet.contains(byte))
        }
    }

    @Test func `of all texts of two and three characters exactly one stands for each value`() throws {
        let alphabet = bytes("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        var accepted = 0
        for first in alphabet {
            for second in alphabet where (try? Base64URL.decode([first, second])) != nil { accepted += 1 }
        }
        #expect(accepted == 256)
    }

    @Test func `agrees with another implementation on random bytes`() throws {
        var generator = SeededGenerator(state: 4648)
        for length in 0..<200 {
            let source = (0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) }
            #expect(Base64.encode(source) == Data(source).base64EncodedString())
            #expect(try Base64URL.decode(Base64URL.encodeBytes(source)) == source)
            #expect(try Base64.decode(Base64.encodeBytes(source)) == source)
        }
    }
}
