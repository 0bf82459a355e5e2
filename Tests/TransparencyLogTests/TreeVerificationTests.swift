import Testing

@testable import TransparencyLog

@Suite struct TreeVerificationTests {
    private static let size = 66_000
    private static let store = TileStore(leaves: Reference(count: size).leaves, keepingPartialTiles: false)

    private func verify(
        size: Int, tiles: (any TileReader)?, root: Hash256, entry: (Int) -> [UInt8]? = Reference.entry
    ) throws {
        var verification = TreeVerification(size: Int64(size), tiles: tiles)
        for index in 0..<size {
            guard let entry = entry(index) else { break }
            try verification.add(entry)
        }
        try verification.finish(root: root)
    }

    @Test func `a whole log is accepted, and its first changed entry is named`() throws {
        let (tiles, root) = (Self.store.tiles, Self.store.frontier.root)
        try verify(size: Self.size, tiles: tiles, root: root)
        for changed in [0, 255, 256, 65_535, 65_999] {
            #expect(throws: TreeVerificationError.wrongEntry(index: Int64(changed))) {
                // A later change does not hide the first.
                try verify(size: Self.size, tiles: tiles, root: root) {
                    $0 == changed || $0 == 65_999 ? [1] : Reference.entry($0)
                }
            }
        }
    }

    @Test func `every size up to 520 is accepted and refused with another root`() throws {
        var reference = Reference(count: 520)
        let store = TileStore(leaves: reference.leaves)
        for size in stride(from: 0, through: 520, by: 13) {
            try verify(size: size, tiles: store.tiles, root: reference.root(0..<size))
            #expect(throws: TreeVerificationError.rootMismatch) {
                try verify(size: size, tiles: store.tiles, root: TreeHasher.leaf([]))
            }
        }
    }

    @Test func `a changed tile above the leaves is named`() throws {
        let place = try TileCoordinate(level: 1, index: 0)
        let honest = Self.store.tiles
        let tiles = ClosureTileReader { asked in
            guard asked == place, let tile = try honest.tile(asked) else { return try honest.tile(asked) }
            var hashes = tile.hashes
            hashes[200] = .emptyTree
            return try Tile(coordinate: asked, hashes: hashes)
        }
        #expect(throws: TreeVerificationError.wrongTile(place, position: 200)) {
            try verify(size: Self.size, tiles: tiles, root: Self.store.frontier.root)
        }
    }

    @Test func `missing tiles and entries are named, and entries past the end refused`() throws {
        let (honest, root) = (Self.store.tiles, Self.store.frontier.root)
        for place in [try TileCoordinate(level: 0, index: 3), try TileCoordinate(level: 1, index: 1, width: 1)] {
            let tiles = ClosureTileReader { $0 == place ? nil : try honest.tile($0) }
            #expect(throws: TreeVerificationError.missingTile(place)) {
                try verify(size: Self.size, tiles: tiles, root: root)
            }
        }
        #expect(throws: TreeVerificationError.missingEntries(from: 700)) {
            try verify(size: Self.size, tiles: honest, root: root) { $0 < 700 ? Reference.entry($0) : nil }
        }
        var full = TreeVerification(size: 1)
        try full.add([1])
        #expect(throws: TreeVerificationError.tooManyEntries(size: 1)) { try full.add([2]) }
        #expect(throws: TreeVerificationError.missingEntries(from: 0)) {
            try TreeVerification(size: 1).finish(root: .emptyTree)
        }
    }

    @Test func `stored leaf hashes name a changed entry at once`() throws {
        var verification = TreeVerification(size: 3)
        try verification.add([1], storedLeaf: TreeHasher.leaf([1]))
        #expect(verification.nextIndex == 1)
        #expect(throws: TreeVerificationError.wrongEntry(index: 1)) {
            try verification.add([2], storedLeaf: TreeHasher.leaf([3]))
        }
    }

    @Test func `verification can continue from a known frontier`() throws {
        var reference = Reference(count: 400)
        var frontier = TreeFrontier()
        for leaf in reference.leaves.prefix(270) { _ = frontier.append(leaf) }
        let store = TileStore(leaves: reference.leaves)
        var verification = TreeVerification(size: 400, after: frontier, tiles: store.tiles)
        for index in 270..<400 { try verification.add(Reference.entry(index)) }
        try verification.finish(root: reference.root(0..<400))
    }
}
