import Crypto
import Testing

@testable import TransparencyLog

@Suite struct CheckpointTests {
    private static let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
    private static let body = "example.com/behind-the-sofa\n20852163\n\(root)\n"
    private static let empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

    @Test func `the example of the standard is read and written`() throws {
        let checkpoint = try Checkpoint(parsingBody: Array(Self.body.utf8))
        #expect(checkpoint.origin == "example.com/behind-the-sofa")
        #expect(checkpoint.size == 20_852_163)
        #expect(checkpoint.root.base64 == Self.root)
        #expect(checkpoint.extensions.isEmpty)
        #expect(checkpoint.body == Self.body)
        #expect(
            try Checkpoint(origin: checkpoint.origin, size: checkpoint.size, root: checkpoint.root) == checkpoint)
    }

    @Test func `the signatures of the example have key IDs and the cosignature its time`() throws {
        let note = try SignedNote(
            parsing: Array(
                """
                \(Self.body)
                — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo\
                +zyWE+xeMcTOAYQ8=
                — witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe\
                +mbIUBkBIfZ+qnA==

                """.utf8))
        #expect(note.signatures.map(\.keyID) == [0x033d_e0ae, 0x8d66_cf3f])
        let time = note.signatures[1].signature.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        #expect(time == 1_679_315_147)
        #expect(
            String(decoding: Cosignature.message(time: 1_679_315_147, checkpointBody: note.text), as: UTF8.self)
                == "cosignature/v1\ntime 1679315147\n\(Self.body)")
    }

    @Test func `extension lines are kept and signed`() throws {
        let text = Self.body + "one\ntwo words\n"
        let checkpoint = try Checkpoint(parsingBody: Array(text.utf8))
        #expect(checkpoint.extensions == ["one", "two words"])
        #expect(checkpoint.body == text)
    }

    @Test(arguments: [
        ("", Checkpoint.ParseError.missingLines), ("\n", .missingLines), ("o\n1\n", .missingLines),
        ("o\n1\n\(root)", .missingLines), ("\n1\n\(root)\n", .emptyOrigin), ("o\n\n\(root)\n", .malformedSize),
        ("o\n01\n\(root)\n", .malformedSize), ("o\n-1\n\(root)\n", .malformedSize),
        ("o\n+1\n\(root)\n", .malformedSize),
        ("o\n1 \n\(root)\n", .malformedSize), ("o\n0x1\n\(root)\n", .malformedSize),
        ("o\n9223372036854775808\n\(root)\n", .malformedSize), ("o\n1\n\n", .malformedRoot),
        ("o\n1\n\(root.dropLast())\n", .malformedRoot), ("o\n1\n\(root)=\n", .malformedRoot),
        ("o\n1\n\(root) \n", .malformedRoot), ("o\n1\nAAAA\n", .malformedRoot),
        ("o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n", .malformedRoot),
        ("o\n1\n\(root)\n\n", .emptyExtension), ("o\n1\n\(root)\na\n\nb\n", .emptyExtension),
        ("o\n0\n\(root)\n", .wrongEmptyRoot), ("o\r\n1\n\(root)\n", .forbiddenBytes),
        ("\t\n1\n\(root)\n", .forbiddenBytes),
    ])
    func `other texts are no checkpoints`(text: String, error: Checkpoint.ParseError) {
        #expect(throws: error) { try Checkpoint(parsingBody: Array(text.utf8)) }
    }

    @Test func `the largest size and the empty tree are read, and too much text is not`() throws {
        #expect(try Checkpoint(parsingBody: Array("o\n9223372036854775807\n\(Self.root)\n".utf8)).size == .max)
        #expect(try Checkpoint(parsingBody: Array("o\n0\n\(Self.empty)\n".utf8)).root == .emptyTree)
        let long = String(repeating: "o", count: Checkpoint.maximumBodyBytes)
        #expect(throws: Checkpoint.ParseError.tooLarge) { try Checkpoint(parsingBody: Array("\(long)\n".utf8)) }
    }

    @Test func `a checkpoint that would read back differently is not made`() {
        let root = Hash256.emptyTree
        #expect(throws: Checkpoint.ParseError.emptyOrigin) { try Checkpoint(origin: "", size: 1, root: root) }
        #expect(throws: Checkpoint.ParseError.self) { try Checkpoint(origin: "a\nb", size: 1, root: root) }
        #expect(throws: Checkpoint.ParseError.self) {
            try Checkpoint(origin: "a\n1\n\(root.base64)", size: 1, root: root)
        }
        #expect(throws: Checkpoint.ParseError.malformedSize) { try Checkpoint(origin: "a", size: -1, root: root) }
        #expect(throws: Checkpoint.ParseError.emptyExtension) {
            try Checkpoint(origin: "a", size: 1, root: root, extensions: [""])
        }
        #expect(throws: Checkpoint.ParseError.forbiddenBytes) {
            try Checkpoint(origin: "a", size: 1, root: root, extensions: ["b\nc"])
        }
        #expect(throws: Checkpoint.ParseError.wrongEmptyRoot) {
            try Checkpoint(origin: "a", size: 0, root: TreeHasher.leaf([]))
        }
    }
}

@Suite struct SignedCheckpointTests {
    private let log: NoteSigner
    private let checkpoint: Checkpoint
    private let signed: SignedCheckpoint

    init() throws {
        log = try NoteSigner(name: "log.example/audit", privateKey: .init())
        checkpoint = try Checkpoint(origin: "log.example/audit", size: 3, root: TreeHasher.leaf([3]))
        signed = try SignedCheckpoint.sign(checkpoint, with: log)
    }

    @Test func `a signed checkpoint opens with the log's key and origin only`() throws {
        let opened = try SignedCheckpoint.open(signed.bytes, verifiers: [log.verifier], origin: "log.example/audit")
        #expect(opened.checkpoint == checkpoint)
        #expect(opened.bytes == signed.bytes)
        #expect(throws: CheckpointError.wrongOrigin("log.example/audit")) {
            try SignedCheckpoint.open(signed.bytes, verifiers: [log.verifier], origin: "log.example/other")
        }
        let other = try NoteSigner(name: "log.example/audit", privateKey: .init())
        #expect(throws: CheckpointError.note(.noKnownSignature)) {
            try SignedCheckpoint.open(signed.bytes, verifiers: [other.verifier], origin: "log.example/audit")
        }
        #expect(throws: CheckpointError.malformed(.missingLines)) {
            try SignedCheckpoint.open(
                log.note(Array("text\n".utf8)).serialized, verifiers: [log.verifier], origin: "log.example/audit")
        }
    }

    @Test func `an origin in another Unicode form is another log`() throws {
        let composed = try Checkpoint(origin: "caf\u{e9}.example", size: 1, root: .emptyTree)
        let bytes = try SignedCheckpoint.sign(composed, with: log).bytes
        #expect("caf\u{e9}.example" == "cafe\u{301}.example")
        #expect(throws: CheckpointError.self) {
            try SignedCheckpoint.open(bytes, verifiers: [log.verifier], origin: "cafe\u{301}.example")
        }
        #expect(throws: Never.self) {
            try SignedCheckpoint.open(bytes, verifiers: [log.verifier], origin: "caf\u{e9}.example")
        }
    }

    @Test func `witnesses cosign and a quorum counts different keys`() throws {
        let first = try Cosigner(name: "w1.example")
        let second = try Cosigner(name: "w2.example")
        let key = Curve25519.Signing.PrivateKey()
        let twins = [try Cosigner(name: "w3.example", key: key), try Cosigner(name: "w4.example", key: key)]
        let body = checkpoint.bodyBytes
        let cosigned = try signed.adding(first.sign(body, time: 1_700_000_000), by: first.verifier)
        #expect(cosigned.cosignatures.map(\.timestamp) == [1_700_000_000])
        #expect(cosigned.note.signatures.count == 2)

        let open = { (bytes: [UInt8], witnesses: [Cosigner], required: Int) in
            try SignedCheckpoint.open(
                bytes, verifiers: [log.verifier], origin: "log.example/audit",
                witnesses: WitnessQuorum(witnesses: witnesses.map(\.verifier), required: required))
        }
        #expect(try open(cosigned.bytes, [first, second], 1).cosignatures.map(\.verifier.name) == ["w1.example"])
        #expect(throws: CheckpointError.tooFewWitnesses(required: 2, found: 1)) {
            try open(cosigned.bytes, [first, second], 2)
        }
        #expect(throws: CheckpointError.tooFewWitnesses(required: 1, found: 0)) { try open(signed.bytes, [first], 1) }
        #expect(throws: CheckpointError.tooFewWitnesses(required: 1, found: 0)) { try open(cosigned.bytes, [], 1) }
        let both = try cosigned.adding(second.sign(body, time: 5), by: second.verifier)
        #expect(try open(both.bytes, [first, second], 2).cosignatures.count == 2)

        var twice = signed
        for twin in twins { twice = try twice.adding(twin.sign(body, time: 9), by: twin.verifier) }
        #expect(throws: CheckpointError.tooFewWitnesses(required: 2, found: 1)) { try open(twice.bytes, twins, 2) }
    }

    @Test func `a cosignature must fit its time, its checkpoint and its key`() throws {
        let witness = try Cosigner(name: "w.example")
        let body = checkpoint.bodyBytes
        let good = try witness.sign(body, time: 77)
        var changed: [[UInt8]] = good.signature.indices.map { position in
            var bytes = good.signature
            bytes[position] ^= 1
            return bytes
        }
        changed += [Array(good.signature.dropLast()), good.signature + [0], Array(good.signature.dropFirst(8)), [0]]
        for bytes in changed {
            let signature = try NoteSignature(name: good.name, keyID: good.keyID, signature: bytes)
            #expect(throws: NoteError.badSignature(name: "w.example")) {
                try signed.adding(signature, by: witness.verifier)
            }
        }
        let other = try Checkpoint(origin: "log.example/audit", size: 4, root: checkpoint.root)
        #expect(throws: NoteError.badSignature(name: "w.example")) {
            try signed.adding(witness.sign(other.bodyBytes, time: 77), by: witness.verifier)
        }
        #expect(throws: NoteError.badSignature(name: "w.example")) {
            try signed.adding(witness.sign(body, time: UInt64(Int64.max) + 1), by: witness.verifier)
        }
        #expect(
            try signed.adding(witness.sign(body, time: UInt64(Int64.max)), by: witness.verifier).cosignatures.count == 1
        )
        #expect(throws: NoteError.noKnownSignature) {
            try signed.adding(good, by: Cosigner(name: "w.example").verifier)
        }
    }

    @Test func `one key under two signature types has two key IDs, and neither signature passes for the other`() throws
    {
        let key = Curve25519.Signing.PrivateKey()
        let plain = try NoteSigner(name: "same.example", privateKey: key)
        let cosigner = try Cosigner(name: "same.example", key: key)
        #expect(plain.verifier.keyID != cosigner.verifier.keyID)
        #expect(cosigner.verifier.vkey.hasSuffix(Base64.encode([0x04] + cosigner.verifier.publicKey)))
        #expect(try NoteVerifier(vkey: cosigner.verifier.vkey) == cosigner.verifier)
        let body = checkpoint.bodyBytes
        let asCosignature = try NoteSignature(
            name: "same.example", keyID: cosigner.verifier.keyID, signature: plain.sign(body).signature)
        #expect(throws: NoteError.self) { try signed.adding(asCosignature, by: cosigner.verifier) }
        let asPlain = try NoteSignature(
            name: "same.example", keyID: plain.verifier.keyID, signature: cosigner.sign(body, time: 1).signature)
        #expect(throws: NoteError.self) { try signed.adding(asPlain, by: plain.verifier) }
    }
}
