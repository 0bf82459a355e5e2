import ArgumentParser
import JOSE
import TransparencyLog

extension Log {
    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Verifies the log, or one proof file.",
            discussion: """
                Without -proof: every entry is hashed again and compared with every tile and with the signed checkpoint; \
                the first bad entry is named. With -proof FILE -entry FILE -vkey KEY nothing else is needed: no log, no \
                network.
                """)

        @Option(name: .flag("vkey"), help: "The log's key as you know it (default: what the log says of itself).")
        var vkey: String?
        @Option(name: .flag("origin"), help: "The log's name as you know it (default: what the log says of itself).")
        var origin: String?
        @Option(name: .flag("proof"), help: "A .tlog-proof file to verify offline.")
        var proof: String?
        @Option(name: .flag("entry"), help: "The entry that the proof is about.")
        var entry: String?
        @OptionGroup var log: LogOptions
        @OptionGroup var format: OutputOptions

        func run() async throws {
            if let proof {
                try verifyProof(proof)
            } else {
                try await verifyLog()
            }
        }

        private func verifyProof(_ file: String) throws {
            guard let entry else { throw CommandFailure("-entry is needed with -proof") }
            guard let vkey else {
                throw CommandFailure("-vkey is needed with -proof: the proof must not vouch for itself")
            }
            let proofBytes = try LocalFile.read(file, limit: TLogProof.maximumBytes)
            let entryBytes = try LocalFile.read(entry, limit: EntryBundle.maximumEntryBytes)
            do {
                let verifier = try NoteVerifier(vkey: vkey)
                let proof = try TLogProof(parsing: proofBytes)
                let checkpoint = try proof.verify(
                    entry: entryBytes, verifiers: [verifier], origin: origin ?? verifier.name
                ).checkpoint
                format.write(
                    json: [
                        "verified": true, "index": .number(JSONNumber(proof.index)),
                        "origin": .string(checkpoint.origin),
                    ]
                ) {
                    "Entry \(proof.index) is in the log `\(checkpoint.origin)` of \(checkpoint.size) entries."
                }
            } catch {
                throw CommandFailure("the proof does not hold: \(error)")
            }
        }

        private func verifyLog() async throws {
            let vkey = vkey
            let origin = origin
            let size = try await log.withLog { log in
                let info = try await log.info()
                return try await LogAudit(
                    log: log, vkey: vkey ?? info.vkey, origin: origin ?? info.origin
                ).run()
            }
            format.write(json: ["verified": true, "size": .number(JSONNumber(size))]) {
                "Verified \(counted(Int(size), "entry", "entries")): every record, every tile and the signed checkpoint agree."
            }
        }
    }
}

/// Verifies a whole log against its own records.
struct LogAudit {
    let log: any LogSource
    let vkey: String
    let origin: String

    /// - Returns: how many entries the verified checkpoint covers.
    /// - Throws: `CommandFailure` naming the first bad entry.
    func run() async throws -> Int64 {
        let signed: SignedCheckpoint
        do {
            signed = try SignedCheckpoint.open(
                try await log.checkpoint(), verifiers: [NoteVerifier(vkey: vkey)], origin: origin)
        } catch let error as CheckpointError {
            throw CommandFailure("the checkpoint does not hold: \(error)")
        } catch let error as NoteError {
            throw CommandFailure("the checkpoint does not hold: \(error)")
        }
        let size = signed.checkpoint.size
        let tiles = try await readTiles(size: size)
        var verification = TreeVerification(size: size, tiles: tiles)
        do {
            while verification.nextIndex < size {
                let entries = try await log.entries(
                    from: verification.nextIndex, count: min(256, Int(clamping: size - verification.nextIndex)))
                guard !entries.isEmpty else {
                    throw CommandFailure("entry \(verification.nextIndex) is missing")
                }
                for entry in entries { try verification.add(entry) }
            }
            try verification.finish(root: signed.checkpoint.root)
        } catch let error as TreeVerificationError {
            throw CommandFailure("the log does not hold: \(error)")
        }
        return size
    }

    /// Every tile of the tree.
    private func readTiles(size: Int64) async throws -> TileSet {
        var tiles: [Tile] = []
        var level = 0
        while level < 8, TileCoordinate.width(level: level, index: 0, treeSize: size) > 0 {
            var index: Int64 = 0
            while true {
                let width = TileCoordinate.width(level: level, index: index, treeSize: size)
                guard width > 0 else { break }
                tiles.append(try await log.tile(TileCoordinate(level: level, index: index, width: width)))
                index += 1
            }
            level += 1
        }
        return TileSet(tiles)
    }
}
