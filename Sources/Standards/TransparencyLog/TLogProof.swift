/// A proof that an entry is in a log, in one file that is verified offline (C2SP tlog-proof).
package struct TLogProof: Sendable, Hashable {
    /// The first line of the file.
    package static let header = "c2sp.org/tlog-proof@v1"

    /// The name extension of the file.
    package static let fileExtension = "tlog-proof"

    /// The largest file that is read, in bytes.
    package static let maximumBytes = 1_048_576

    /// The most extra data that is read or written, in bytes before base64.
    package static let maximumExtraBytes = 65_536

    /// The longest possible path in a tree whose size is an `Int64`.
    package static let maximumHashes = 63

    /// Opaque data of the application, never empty. Nothing authenticates it.
    package let extra: [UInt8]?

    /// The index of the entry in the log.
    package let index: Int64

    /// From the leaf's sibling up to the root's child.
    package let hashes: [Hash256]

    private let note: SignedNote

    /// The checkpoint verbatim, with its signatures.
    package var checkpoint: [UInt8] { note.serialized }

    /// The file for an entry; throws if proof and checkpoint are not of the same tree size. Empty extra data is left
    /// out.
    package init(
        extra: [UInt8]? = nil, proof: InclusionProof, checkpoint: SignedCheckpoint
    ) throws(TLogProofError) {
        guard proof.treeSize == checkpoint.checkpoint.size else { throw .sizeMismatch }
        guard (extra ?? []).count <= Self.maximumExtraBytes else { throw .tooLarge }
        self.extra = extra?.isEmpty == true ? nil : extra
        index = proof.leafIndex
        hashes = proof.hashes
        note = checkpoint.note
    }

    /// Reads a file, in its one spelling only: `serialize` gives the same bytes back.
    package init(parsing bytes: [UInt8]) throws(TLogProofError) {
        guard bytes.count <= Self.maximumBytes else { throw .tooLarge }
        var rest = bytes[...]
        guard Self.nextLine(&rest)?.elementsEqual(Self.header.utf8) == true else { throw .malformedHeader }

        guard var line = Self.nextLine(&rest) else { throw .malformedIndex }
        if line.starts(with: "extra ".utf8) {
            guard let data = Base64.decode(line.dropFirst(6)), !data.isEmpty else { throw .malformedExtra }
            guard data.count <= Self.maximumExtraBytes else { throw .tooLarge }
            extra = data
            guard let next = Self.nextLine(&rest) else { throw .malformedIndex }
            line = next
        } else {
            extra = nil
        }

        guard line.starts(with: "index ".utf8), let index = Decimal.parse(line.dropFirst(6)) else {
            throw .malformedIndex
        }
        self.index = index

        var hashes: [Hash256] = []
        while true {
            guard let line = Self.nextLine(&rest) else { throw .malformedHash }
            if line.isEmpty { break }
            guard hashes.count < Self.maximumHashes else { throw .tooManyHashes }
            guard let hash = Hash256(base64: line) else { throw .malformedHash }
            hashes.append(hash)
        }
        self.hashes = hashes
        do { note = try SignedNote(parsing: Array(rest)) } catch { throw .checkpoint(.note(error)) }
    }

    /// The bytes of the file.
    package func serialize() -> [UInt8] {
        var lines = [Self.header]
        if let extra { lines.append("extra \(Base64.encode(extra))") }
        lines.append("index \(index)")
        lines.append(contentsOf: hashes.map(\.base64))
        return Array(lines.map { $0 + "\n" }.joined().utf8) + [LogText.newline] + checkpoint
    }

    private static func nextLine(_ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard let end = rest.firstIndex(of: LogText.newline) else { return nil }
        defer { rest = rest[(end + 1)...] }
        return rest[..<end]
    }
}

extension TLogProof {
    /// Verifies that the log of this origin signed a tree that has the entry at `index`, and returns that checkpoint.
    ///
    /// `verifiers` are keys of the log; see `SignedCheckpoint.open`.
    @discardableResult
    package func verify(
        entry: [UInt8], verifiers: [NoteVerifier], origin: String, witnesses: WitnessQuorum = .none
    ) throws(TLogProofError) -> SignedCheckpoint {
        let signed: SignedCheckpoint
        do {
            signed = try SignedCheckpoint.open(note, verifiers: verifiers, origin: origin, witnesses: witnesses)
        } catch { throw .checkpoint(error) }
        let proof = InclusionProof(leafIndex: index, treeSize: signed.checkpoint.size, hashes: hashes)
        do {
            try proof.verify(leaf: TreeHasher.leaf(entry), root: signed.checkpoint.root)
        } catch { throw .inclusion(error) }
        return signed
    }
}

/// Why a proof file is refused.
package enum TLogProofError: Error, Hashable, Sendable {
    /// The file or its extra data is larger than the limit.
    case tooLarge
    /// The first line is not that of the format.
    case malformedHeader
    /// The extra data is empty or not base64.
    case malformedExtra
    /// The index is missing or not a decimal number without leading zeros.
    case malformedIndex
    /// A hash is not the base64 of 32 bytes, or no blank line ends the hashes.
    case malformedHash
    /// There are more hashes than any path has.
    case tooManyHashes
    /// Proof and checkpoint are of trees of different sizes.
    case sizeMismatch
    /// The checkpoint is refused.
    case checkpoint(CheckpointError)
    /// The entry is not at this index of the signed tree.
    case inclusion(ProofError)
}

extension TLogProofError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .tooLarge: "the proof is too large"
        case .malformedHeader: "the proof does not begin with `\(TLogProof.header)`"
        case .malformedExtra: "the extra data of the proof is malformed"
        case .malformedIndex: "the index of the proof is malformed"
        case .malformedHash: "a hash of the proof is malformed"
        case .tooManyHashes: "the proof has more than \(TLogProof.maximumHashes) hashes"
        case .sizeMismatch: "proof and checkpoint are of different tree sizes"
        case .checkpoint(let error): error.description
        case .inclusion(let error): error.description
        }
    }
}
