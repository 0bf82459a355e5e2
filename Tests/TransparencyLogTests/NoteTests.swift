import Crypto
import Testing

@testable import TransparencyLog

@Suite struct NoteTests {
    /// The example of signed-note, "Verifier keys".
    private static let exampleKey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
    private static let exampleNote =
        "This is an example message.\n\n\u{2014} example.com/foo "
        + "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"

    /// The key and note of the tests of the Go package golang.org/x/mod/sumdb/note.
    private static let goKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    private static let goSeed = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
    private static let goText =
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    private static let goLine =
        "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="

    @Test(arguments: [(exampleKey, exampleNote, "example.com/foo"), (goKey, "\(goText)\n\(goLine)\n", "PeterNeumann")])
    func `published notes verify`(vkey: String, text: String, name: String) throws {
        let verifier = try NoteVerifier(vkey: vkey)
        #expect(verifier.vkey == vkey)
        #expect(verifier.type == .ed25519)
        let note = try SignedNote(parsing: Array(text.utf8))
        #expect(note.serialized == Array(text.utf8))
        #expect(try note.verify(with: [verifier]) == [name])
    }

    @Test func `a published key signs the published note`() throws {
        let seed = try #require(Base64.decode(Array(Self.goSeed.utf8))).dropFirst()
        let signer = try NoteSigner(name: "PeterNeumann", privateKey: .init(rawRepresentation: seed))
        #expect(signer.vkey == Self.goKey)
        let note = try signer.note(Array(Self.goText.utf8))
        #expect(try note.verify(with: [NoteVerifier(vkey: Self.goKey)]) == ["PeterNeumann"])
        #if os(Linux)
            // Other platforms add randomness to Ed25519 signatures.
            #expect(note.signatures[0].line == Self.goLine)
        #endif
    }

    @Test func `the text may have blank lines and ends at the last one`() throws {
        let text = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n"
        let line =
            "\u{2014} quasimodo.example/salvatore "
            + "NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc="
        let note = try SignedNote(parsing: Array("\(text)\n\(line)\n".utf8))
        #expect(note.text == Array(text.utf8))
        #expect(note.signatures.map(\.name) == ["quasimodo.example/salvatore"])
        #expect(note.signatures.map(\.keyID) == [0x367b_a04b])
        #expect(note.signatures.map(\.signature.count) == [64])
        #expect(throws: NoteError.noKnownSignature) {
            try note.verify(with: [NoteVerifier(vkey: Self.exampleKey)])
        }
    }

    @Test(arguments: [
        ("", NoteError.malformedNote), ("\n", .malformedNote), ("\n\n", .malformedNote), ("text\n", .malformedNote),
        ("text\n\n", .malformedNote), ("text\n\n\n", .malformedNote), ("text\n— n AAAAAAE=\n", .malformedNote),
        ("text\n\n— n AAAAAAE=", .malformedNote), ("text\n\n— n AAAAAAE=\n\n", .malformedNote),
        ("\n— n AAAAAAE=\n", .malformedNote), ("text\n\n— n AAAAAAE=\nnext\n", .malformedSignature),
        ("text\n\nx— n AAAAAAE=\n", .malformedSignature), ("text\n\n- n AAAAAAE=\n", .malformedSignature),
        ("text\n\n—  n AAAAAAE=\n", .malformedSignature), ("text\n\n— n  AAAAAAE=\n", .malformedSignature),
        ("text\n\n— n AAAAAAE= \n", .malformedSignature), ("text\n\n—n AAAAAAE=\n", .malformedSignature),
        ("text\n\n— n\n", .malformedSignature), ("text\n\n— n \n", .malformedSignature),
        ("text\n\n— n AAAAAA==\n", .malformedSignature), ("text\n\n— n AAAA\n", .malformedSignature),
        ("text\n\n— n AAAAAAE\n", .malformedSignature), ("text\n\n— n AAAAAAF=\n", .malformedSignature),
        ("text\n\n—  AAAAAAE=\n", .malformedKeyName), ("text\n\n— a+b AAAAAAE=\n", .malformedKeyName),
        ("text\n\n— a\u{a0}b AAAAAAE=\n", .malformedKeyName), ("text\n\n— a\u{2003}b AAAAAAE=\n", .malformedKeyName),
        ("text\n\n— a\u{85}b AAAAAAE=\n", .malformedKeyName), ("te\txt\n\n— n AAAAAAE=\n", .forbiddenBytes),
        ("text\r\n\r\n— n AAAAAAE=\n", .forbiddenBytes), ("te\0xt\n\n— n AAAAAAE=\n", .forbiddenBytes),
        ("text\n\n— \u{1f}n AAAAAAE=\n", .forbiddenBytes),
    ])
    func `malformed notes are refused`(text: String, error: NoteError) {
        #expect(throws: error) { try SignedNote(parsing: Array(text.utf8)) }
    }

    @Test func `bytes that are not UTF-8 are refused`() {
        let line = Array("\n\u{2014} n AAAAAAE=\n".utf8)
        for bytes: [UInt8] in [[0xff], [0xc0, 0x80], [0xe2, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80]] {
            #expect(throws: NoteError.forbiddenBytes) { try SignedNote(parsing: bytes + [0x0a] + line) }
        }
        #expect(throws: Never.self) { try SignedNote(parsing: [0x7f, 0x0a] + line) }
    }

    @Test func `size and number of signatures are bounded`() throws {
        let signature = "\u{2014} n AAAAAAE=\n"
        let note = { (count: Int) in Array(("text\n\n" + String(repeating: signature, count: count)).utf8) }
        for count in [1, 16, 64] { #expect(try SignedNote(parsing: note(count)).signatures.count == count) }
        #expect(throws: NoteError.tooManySignatures(limit: 64)) { try SignedNote(parsing: note(65)) }
        #expect(throws: NoteError.tooManySignatures(limit: 16)) {
            try SignedNote(parsing: note(17), limits: .init(maximumSignatures: 16))
        }
        let small = note(1)
        #expect(throws: Never.self) { try SignedNote(parsing: small, limits: .init(maximumBytes: small.count)) }
        #expect(throws: NoteError.tooLarge(limit: small.count - 1)) {
            try SignedNote(parsing: small, limits: .init(maximumBytes: small.count - 1))
        }
        let full = try SignedNote(parsing: note(64))
        let longest = [UInt8](repeating: 1, count: NoteSignature.maximumSignatureBytes)
        let another = try NoteSignature(name: "m", keyID: 1, signature: longest)
        #expect(throws: NoteError.tooManySignatures(limit: 64)) { try full.adding(another) }
        #expect(throws: NoteError.tooLarge(limit: 1000)) {
            try SignedNote(parsing: small).adding(another, limits: .init(maximumBytes: 1000))
        }
        #expect(throws: NoteError.malformedSignature) {
            try NoteSignature(name: "m", keyID: 1, signature: longest + [1])
        }
    }

    @Test(arguments: [
        ("", NoteError.malformedVerifierKey), ("PeterNeumann", .malformedVerifierKey),
        ("PeterNeumann+c74f20a3", .malformedVerifierKey), ("PeterNeumann+c74f20a3+", .malformedVerifierKey),
        ("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", .keyIDMismatch),
        ("PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", .keyIDMismatch),
        ("PeterNeumann+c74f20a+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", .keyIDMismatch),
        ("PeterNeumann+0c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", .keyIDMismatch),
        ("PeterNeuman+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", .keyIDMismatch),
        ("+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", .malformedKeyName),
        ("Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", .malformedKeyName),
        ("PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==", .malformedVerifierKey),
        ("PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", .unsupportedSignatureType(0x65)),
        ("PeterNeumann+c74f20a3+AhpcWQ==", .unsupportedSignatureType(2)),
        ("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n", .malformedVerifierKey),
    ])
    func `malformed verifier keys are refused`(vkey: String, error: NoteError) {
        #expect(throws: error) { try NoteVerifier(vkey: vkey) }
    }

    @Test func `a verifier key with any byte changed is refused or is another key`() throws {
        let vkey = Array(Self.exampleKey.utf8)
        for position in vkey.indices {
            for mask: UInt8 in [0x01, 0x02, 0x20, 0x40] {
                var changed = vkey
                changed[position] ^= mask
                guard let text = String(validating: changed, as: UTF8.self) else { continue }
                #expect(throws: NoteError.self) { try NoteVerifier(vkey: text) }
            }
        }
    }

    @Test(arguments: ["", "a b", "a+b", "a\nb", "a\u{2028}b", "\u{3000}", String(repeating: "n", count: 1025)])
    func `names that no signature line can carry are refused for signers`(name: String) {
        #expect(throws: NoteError.malformedKeyName) { try NoteSigner(name: name, privateKey: .init()) }
    }

    @Test(arguments: ["", "no newline", "tab\t\n", "return\r\n", "\n\0\n"])
    func `texts that no note can carry are not signed`(text: String) throws {
        let signer = try NoteSigner(name: "log.example", privateKey: .init())
        #expect(throws: NoteError.malformedText) { try signer.sign(Array(text.utf8)) }
        #expect(throws: NoteError.malformedText) { try signer.note(Array(text.utf8)) }
    }

    @Test func `unknown keys are ignored but a failing known key rejects the note`() throws {
        let known = try NoteSigner(name: "known.example", privateKey: .init())
        let second = try NoteSigner(name: "second.example", privateKey: .init())
        let stranger = try NoteSigner(name: "known.example", privateKey: .init())
        let text = Array("text\n".utf8)
        let good = try known.note(text)
        let bad = try known.sign(Array("another text\n".utf8))

        #expect(try good.adding(stranger.sign(text)).verify(with: [known.verifier]) == ["known.example"])
        #expect(try good.adding(second.sign(text)).verify(with: [known.verifier, second.verifier]).count == 2)
        #expect(throws: NoteError.noKnownSignature) { try good.verify(with: [second.verifier]) }
        #expect(throws: NoteError.noKnownSignature) { try good.verify(with: []) }
        #expect(throws: NoteError.badSignature(name: "known.example")) {
            try good.adding(bad).verify(with: [known.verifier])
        }
        #expect(throws: NoteError.badSignature(name: "known.example")) {
            try second.note(text).adding(bad).verify(with: [known.verifier, second.verifier])
        }
        #expect(try good.adding(good.signatures[0]).signatures.count == 1)
    }

    @Test func `a key that signs twice counts once, and a key known twice is not ambiguous`() throws {
        let cosigner = try Cosigner(name: "witness.example")
        let text = Array("log.example\n0\n\(Hash256.emptyTree.base64)\n".utf8)
        let log = try NoteSigner(name: "log.example", privateKey: .init())
        let note = try log.note(text).adding(cosigner.sign(text, time: 1)).adding(cosigner.sign(text, time: 2))
        #expect(try note.verify(with: [cosigner.verifier, cosigner.verifier]) == ["witness.example"])
        #expect(try note.verifiedSignatures(by: [cosigner.verifier]).map(\.timestamp) == [1, 2])
    }

    @Test func `a note with any byte changed is refused or keeps its text`() throws {
        let signer = try NoteSigner(name: "log.example/ä", privateKey: .init())
        let stranger = try NoteSigner(name: "other.example", privateKey: .init())
        let text = Array("first\n\nsécond\n".utf8)
        let original = try signer.note(text).adding(stranger.sign(text)).serialized
        let strangersLine = original.count - stranger.verifier.name.utf8.count - 98
        for position in original.indices {
            for mask: UInt8 in [0x01, 0x04, 0x20, 0x80, 0x2a, 0xff] {
                var changed = original
                changed[position] ^= mask
                do throws(NoteError) {
                    let note = try SignedNote(parsing: changed)
                    #expect(note.serialized == changed)
                    _ = try note.verify(with: [signer.verifier])
                    #expect(note.text == text)
                    #expect(position >= strangersLine)
                } catch {}
            }
        }
        for length in 0..<original.count {
            let beginning = Array(original.prefix(length))
            // Only the whole first signature line makes a note again.
            #expect(
                (try? SignedNote(parsing: beginning).verify(with: [signer.verifier])) == nil || beginning.last == 10)
        }
    }
}

/// A witness: makes timestamped cosignatures (tlog-cosignature).
struct Cosigner {
    let verifier: NoteVerifier
    private let key: Curve25519.Signing.PrivateKey

    init(name: String, key: Curve25519.Signing.PrivateKey = .init()) throws {
        self.key = key
        verifier = try NoteVerifier(name: name, publicKey: Array(key.publicKey.rawRepresentation), type: .cosignature)
    }

    func sign(_ body: [UInt8], time: UInt64) throws -> NoteSignature {
        let message = Array("cosignature/v1\ntime \(time)\n".utf8) + body
        let timeBytes = stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: time >> UInt64($0)) }
        return try NoteSignature(
            name: verifier.name, keyID: verifier.keyID, signature: timeBytes + key.signature(for: message))
    }
}
