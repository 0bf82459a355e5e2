import TransparencyLog

// The first byte picks the parser, so that the fuzzer learns each format by itself; the rest is its input.
// What parses must read back as the same bytes: two spellings of one thing would be two hashes of it.

/// The entry point that libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput") public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
    let bytes = [UInt8](UnsafeBufferPointer(start: data, count: size))
    guard let kind = bytes.first else { return 0 }
    let input = Array(bytes.dropFirst())
    switch kind {
    case UInt8(ascii: "n"): fuzzNote(input)
    case UInt8(ascii: "c"): fuzzCheckpoint(input)
    case UInt8(ascii: "t"): fuzzPaths(input)
    case UInt8(ascii: "e"): fuzzEntryBundle(input)
    case UInt8(ascii: "p"): fuzzProofFile(input)
    case UInt8(ascii: "m"): fuzzMerkleProofs(input)
    case UInt8(ascii: "k"): fuzzVerifierKey(input)
    default: break
    }
    return 0
}

private func fuzzNote(_ input: [UInt8]) {
    guard let note = try? SignedNote(parsing: input) else { return }
    precondition(note.serialized == input)
    precondition(!note.signatures.isEmpty && note.signatures.count <= 64)
    for signature in note.signatures {
        guard let again = try? NoteSignature(parsing: Array(signature.line.utf8)) else { preconditionFailure() }
        precondition(again == signature)
    }
    precondition((try? note.verify(with: [])) == nil)
    if let key = try? NoteVerifier(vkey: "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k") {
        let names = (try? note.verify(with: [key])) ?? []
        // The one note that this key is known to have signed.
        precondition(names.isEmpty || note.text == Array("This is an example message.\n".utf8))
    }
}

private func fuzzCheckpoint(_ input: [UInt8]) {
    guard let checkpoint = try? Checkpoint(parsingBody: input) else { return }
    precondition(checkpoint.bodyBytes == input)
    precondition(checkpoint.size >= 0 && !checkpoint.origin.isEmpty)
    let again = try? Checkpoint(
        origin: checkpoint.origin, size: checkpoint.size, root: checkpoint.root, extensions: checkpoint.extensions)
    precondition(again == checkpoint)
}

private func fuzzPaths(_ input: [UInt8]) {
    guard let path = String(validating: input, as: UTF8.self) else { return }
    if let place = try? TileCoordinate.parse(path) {
        precondition(place.path.utf8.elementsEqual(path.utf8))
        precondition((0...63).contains(place.level) && place.index >= 0 && (1...256).contains(place.width))
        _ = place.exists(inTreeOfSize: .max)
    }
    if let place = try? EntryBundle.Coordinate.parse(path) {
        precondition(place.path.utf8.elementsEqual(path.utf8))
    }
}

private func fuzzEntryBundle(_ input: [UInt8]) {
    guard let first = input.first else { return }
    let count = Int(first) + 1
    let bundle = Array(input.dropFirst())
    if let entries = try? EntryBundle.decode(bundle, expectedCount: count) {
        precondition(entries.count == count)
        precondition((try? EntryBundle.encode(entries)) == bundle)
    }
    if let place = try? TileCoordinate(level: 0, index: 0, width: count),
        let tile = try? Tile(coordinate: place, bytes: bundle)
    {
        precondition(tile.bytes == bundle)
    }
}

private func fuzzProofFile(_ input: [UInt8]) {
    guard let proof = try? TLogProof(parsing: input) else { return }
    precondition(proof.serialize() == input)
    precondition(proof.hashes.count <= TLogProof.maximumHashes && proof.extra?.isEmpty != true)
    _ = try? proof.verify(entry: [], verifiers: [], origin: "log.example/audit")
    if let checkpoint = try? SignedNote(parsing: proof.checkpoint),
        let body = try? Checkpoint(parsingBody: checkpoint.text)
    {
        let path = InclusionProof(leafIndex: proof.index, treeSize: body.size, hashes: proof.hashes)
        // No input of the fuzzer can contain a preimage of a root.
        precondition((try? path.verify(leaf: TreeHasher.leaf(input), root: body.root)) == nil)
    }
}

/// Sizes and hashes from the input: verification must end without trapping, and what it accepts must be consistent.
private func fuzzMerkleProofs(_ input: [UInt8]) {
    guard input.count >= 16 else { return }
    let number = { (bytes: ArraySlice<UInt8>) in Int64(bitPattern: bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }) }
    let (first, second) = (number(input[0..<8]), number(input[8..<16]))
    let rest = input[16...]
    let hashes = stride(from: rest.startIndex, to: rest.endIndex - 31, by: 32).compactMap {
        Hash256(rest[$0..<($0 + 32)])
    }
    let leaf = TreeHasher.leaf(input)
    try? InclusionProof(leafIndex: first, treeSize: second, hashes: hashes).verify(leaf: leaf, root: leaf)
    let consistency = ConsistencyProof(oldSize: first, newSize: second, hashes: hashes)
    if (try? consistency.verify(oldRoot: leaf, newRoot: leaf)) != nil {
        precondition(first == second && hashes.isEmpty)
    }
    guard let planned = try? InclusionProof.requiredTiles(index: first, size: second) else { return }
    precondition(planned.allSatisfy { $0.exists(inTreeOfSize: second) })
}

private func fuzzVerifierKey(_ input: [UInt8]) {
    guard let text = String(validating: input, as: UTF8.self), let key = try? NoteVerifier(vkey: text) else { return }
    precondition(key.vkey.utf8.elementsEqual(text.utf8))
}
