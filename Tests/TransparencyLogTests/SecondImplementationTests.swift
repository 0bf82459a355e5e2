import Crypto
import Testing

@testable import TransparencyLog

/// A proof file made by the builder of `Tests/Interop/c2sp/test_verify.py`, which was written from the C2SP texts alone.
@Suite struct SecondImplementationTests {
    private static let file = """
        c2sp.org/tlog-proof@v1
        extra aGVsbG8=
        index 5
        SFM123z+yWXxX/dF/GJcQdXqJkaTaTAWWCj3PdS2iFQ=
        /w4ywg/2W5esELOyZ3uHKqPVoCh9lFesukflfPSkpz8=
        l5nzB1F+9RfCIF35tndivzR1ayAJn7ffzOdrzr0nOy4=
        Gg7P34r3oeK3sD6u30u69aQetycGEXXjRiBCvpuP4wA=

        log.example/audit
        11
        MpIghwdLQvu/Ojo2cjqyeCX9m62x4pvd68P+qD6ewE0=

        — log.example/audit YDOvd1pavNl7aLRyHQsv430prXzNfm9YUKerJp8vX1pL/papKWiNnReEags/ZGBja4b/9W45SW3g6KjDBvK2yUAzMgA=
        — w1.example Ecj0yAAAAABlU/EA2gFpN96B463wujaRofS0Dq9BWQs6/mN2KUbGETCZwBhX3zxf1kbZ4Lx6Sa7xyECjeycxuIqjJaGtDTs1j4RpDw==

        """
    private static let logKey = "log.example/audit+6033af77+Aaf7fqKImSEK4l8XZE0VqnJFPL04ciy0saFO5K7P9UB2"
    private static let witnessKey = "w1.example+11c8f4c8+BEtCePP28bkSi/ZxLF65+cydHDRh+AhwUc5Okowfb9iu"

    @Test func `its proof with a cosignature verifies here`() throws {
        let proof = try TLogProof(parsing: Array(Self.file.utf8))
        let witnesses = WitnessQuorum(witnesses: [try NoteVerifier(vkey: Self.witnessKey)], required: 1)
        let verified = try proof.verify(
            entry: Reference.entry(5), verifiers: [NoteVerifier(vkey: Self.logKey)], origin: "log.example/audit",
            witnesses: witnesses)
        #expect(verified.checkpoint.size == 11)
        #expect(verified.cosignatures.map(\.timestamp) == [1_700_000_000])
        #expect(proof.extra == Array("hello".utf8))
    }

    #if os(Linux)  // Other platforms add randomness to Ed25519 signatures.
        @Test func `the same keys and entries make the same file here`() throws {
            // The private keys are the hashes of the names.
            let key = { (name: String) in
                try Curve25519.Signing.PrivateKey(rawRepresentation: SHA256.hash(data: Array(name.utf8)))
            }
            let log = try NoteSigner(name: "log.example/audit", privateKey: key("log.example/audit"))
            let witness = try Cosigner(name: "w1.example", key: key("w1.example"))
            #expect(log.vkey == Self.logKey)
            #expect(witness.verifier.vkey == Self.witnessKey)

            let store = TileStore(leaves: Reference(count: 11).leaves)
            let checkpoint = try Checkpoint(origin: "log.example/audit", size: 11, root: store.frontier.root)
            let cosignature = try witness.sign(checkpoint.bodyBytes, time: 1_700_000_000)
            let signed = try SignedCheckpoint.sign(checkpoint, with: log).adding(cosignature, by: witness.verifier)
            let proof = try InclusionProof.make(index: 5, size: 11, tiles: store.tiles)
            let file = try TLogProof(extra: Array("hello".utf8), proof: proof, checkpoint: signed).serialize()
            #expect(String(decoding: file, as: UTF8.self) == Self.file)
        }
    #endif
}
