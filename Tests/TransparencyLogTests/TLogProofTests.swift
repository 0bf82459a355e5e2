import Crypto
import Testing

@testable import TransparencyLog

@Suite struct TLogProofTests {
    private let log: NoteSigner
    private let store: TileStore
    private let checkpoint: SignedCheckpoint
    private let entry = Reference.entry(5)

    init() throws {
        log = try NoteSigner(name: "log.example", privateKey: .init())
        store = TileStore(leaves: Reference(count: 11).leaves)
        checkpoint = try SignedCheckpoint.sign(
            Checkpoint(origin: "log.example", size: 11, root: store.frontier.root), with: log)
    }

    private func proof(_ index: Int64 = 5, extra: [UInt8]? = nil) throws -> TLogProof {
        let inclusion = try InclusionProof.make(index: index, size: 11, tiles: store.tiles)
        return try TLogProof(extra: extra, proof: inclusion, checkpoint: checkpoint)
    }

    @Test func `a proof file has the lines of the standard and verifies for its entry only`() throws {
        let file = try proof(extra: Array("hello".utf8)).serialize()
        let lines = String(decoding: file, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.prefix(3) == ["c2sp.org/tlog-proof@v1", "extra aGVsbG8=", "index 5"])
        #expect(lines[3..<7].allSatisfy { $0.utf8.count == 44 })
        #expect(lines[7...9] == ["", "log.example", "11"])

        let parsed = try TLogProof(parsing: file)
        #expect(parsed.serialize() == file)
        #expect(parsed.extra == Array("hello".utf8))
        #expect(parsed.checkpoint == checkpoint.bytes)
        let verified = try parsed.verify(entry: entry, verifiers: [log.verifier], origin: "log.example")
        #expect(verified.checkpoint == checkpoint.checkpoint)
        #expect(throws: TLogProofError.inclusion(.rootMismatch)) {
            try parsed.verify(entry: Reference.entry(6), verifiers: [log.verifier], origin: "log.example")
        }
        #expect(throws: TLogProofError.checkpoint(.wrongOrigin("log.example"))) {
            try parsed.verify(entry: entry, verifiers: [log.verifier], origin: "other.example")
        }
        #expect(throws: TLogProofError.checkpoint(.note(.noKnownSignature))) {
            try parsed.verify(entry: entry, verifiers: [], origin: "log.example")
        }
        let witness = try Cosigner(name: "w.example").verifier
        #expect(throws: TLogProofError.checkpoint(.tooFewWitnesses(required: 1, found: 0))) {
            try parsed.verify(
                entry: entry, verifiers: [log.verifier], origin: "log.example",
                witnesses: WitnessQuorum(witnesses: [witness], required: 1))
        }
    }

    @Test func `every entry of the log has a proof file that reads back`() throws {
        for index in 0..<Int64(11) {
            let file = try proof(index).serialize()
            let parsed = try TLogProof(parsing: file)
            #expect(parsed.serialize() == file)
            try parsed.verify(entry: Reference.entry(Int(index)), verifiers: [log.verifier], origin: "log.example")
        }
    }

    @Test func `a tree of one entry has a proof without hashes`() throws {
        let signed = try SignedCheckpoint.sign(
            Checkpoint(origin: "log.example", size: 1, root: TreeHasher.leaf(entry)), with: log)
        let inclusion = InclusionProof(leafIndex: 0, treeSize: 1, hashes: [])
        let file = try TLogProof(proof: inclusion, checkpoint: signed).serialize()
        #expect(file.starts(with: Array("c2sp.org/tlog-proof@v1\nindex 0\n\nlog.example\n1\n".utf8)))
        try TLogProof(parsing: file).verify(entry: entry, verifiers: [log.verifier], origin: "log.example")
    }

    @Test func `proof and checkpoint must be of one tree, and extra data is bounded`() throws {
        let inclusion = try InclusionProof.make(index: 5, size: 10, tiles: store.tiles)
        #expect(throws: TLogProofError.sizeMismatch) { try TLogProof(proof: inclusion, checkpoint: checkpoint) }
        let most = [UInt8](repeating: 1, count: TLogProof.maximumExtraBytes)
        #expect(try TLogProof(parsing: proof(extra: most).serialize()).extra == most)
        #expect(throws: TLogProofError.tooLarge) { try proof(extra: most + [1]) }
        #expect(try proof(extra: []).extra == nil)
    }

    @Test func `malformed proof files are refused`() throws {
        let header = "c2sp.org/tlog-proof@v1\n"
        let hash = Hash256.emptyTree.base64
        let note = String(decoding: checkpoint.bytes, as: UTF8.self)
        let table: [(String, TLogProofError)] = [
            ("", .malformedHeader), ("c2sp.org/tlog-proof@v1", .malformedHeader),
            ("c2sp.org/tlog-proof@v2\nindex 0\n\n\(note)", .malformedHeader), ("\n\(header)", .malformedHeader),
            (header, .malformedIndex), (header + "index 0", .malformedIndex),
            (header + "index 00\n\n\(note)", .malformedIndex), (header + "index -1\n\n\(note)", .malformedIndex),
            (header + "index  1\n\n\(note)", .malformedIndex), (header + "index 1 \n\n\(note)", .malformedIndex),
            (header + "index 9223372036854775808\n\n\(note)", .malformedIndex),
            (header + "Index 1\n\n\(note)", .malformedIndex), (header + "\n\(note)", .malformedIndex),
            (header + "extra\nindex 1\n\n\(note)", .malformedIndex),
            (header + "extra \nindex 1\n\n\(note)", .malformedExtra),
            (header + "extra !\nindex 1\n\n\(note)", .malformedExtra), (header + "extra QQ==\n", .malformedIndex),
            (header + "extra QQ==\nextra QQ==\nindex 1\n\n\(note)", .malformedIndex),
            (header + "index 1\nextra QQ==\n\n\(note)", .malformedHash), (header + "index 1\n\(hash)", .malformedHash),
            (header + "index 1\n\(hash)\n", .malformedHash), (header + "index 1\nAAAA\n\n\(note)", .malformedHash),
            (header + "index 1\n \(hash)\n\n\(note)", .malformedHash), (header + "index 1\n\(note)", .malformedHash),
            (header + "index 1\r\n\n\(note)", .malformedIndex),
            (header + "index 1\n\n", .checkpoint(.note(.malformedNote))),
            (header + "index 1\n\n\(note)\n", .checkpoint(.note(.malformedNote))),
            (header + "index 1\n" + String(repeating: "\(hash)\n", count: 64) + "\n\(note)", .tooManyHashes),
            (String(repeating: "c", count: TLogProof.maximumBytes + 1), .tooLarge),
        ]
        for (text, error) in table {
            #expect(throws: error, "\(text.prefix(60))") { try TLogProof(parsing: Array(text.utf8)) }
        }
    }

    @Test func `a proof with any byte changed is refused or proves the same`() throws {
        let stranger = try NoteSigner(name: "other.example", privateKey: .init())
        let inclusion = try InclusionProof.make(index: 5, size: 11, tiles: store.tiles)
        let original = try TLogProof(extra: [1, 2, 3, 4], proof: inclusion, checkpoint: checkpoint).serialize()
        let strangersLine = try SignedCheckpoint.sign(checkpoint.checkpoint, with: stranger).note.signatures[0].line
        let file = original + Array("\(strangersLine)\n".utf8)
        try TLogProof(parsing: file).verify(entry: entry, verifiers: [log.verifier], origin: "log.example")
        var accepted = 0
        for position in file.indices {
            for mask: UInt8 in [0x01, 0x04, 0x20, 0x80, 0xff] {
                var changed = file
                changed[position] ^= mask
                do throws(TLogProofError) {
                    let proof = try TLogProof(parsing: changed)
                    #expect(proof.serialize() == changed)
                    let verified = try proof.verify(entry: entry, verifiers: [log.verifier], origin: "log.example")
                    #expect((proof.index, proof.hashes) == (5, inclusion.hashes))
                    #expect(verified.checkpoint == checkpoint.checkpoint)
                    // Only the extra data and the signature by an unknown key are free to change.
                    #expect(proof.extra != [1, 2, 3, 4] || position >= original.count)
                    accepted += 1
                } catch {}
            }
        }
        #expect(accepted > 0)
        for length in 0..<original.count {
            #expect(throws: TLogProofError.self) {
                try TLogProof(parsing: Array(original.prefix(length)))
                    .verify(entry: entry, verifiers: [log.verifier], origin: "log.example")
            }
        }
    }
}
