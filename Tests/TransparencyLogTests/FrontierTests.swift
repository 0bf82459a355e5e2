import Testing

@testable import TransparencyLog

@Suite struct FrontierTests {
    /// The entries and roots of the reference tests of Certificate Transparency.
    @Test func `the roots of the eight reference entries are the published ones`() {
        let entries = [
            "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
        ]
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ]
        var frontier = TreeFrontier()
        #expect(frontier.root == .emptyTree)
        for (entry, root) in zip(entries, roots) {
            #expect(frontier.append(TreeHasher.leaf(bytes(hex: entry))).isEmpty)
            #expect(hex(frontier.root.bytes) == root)
        }
    }

    @Test func `the frontier has the reference root and restores at every size`() throws {
        var reference = Reference(count: 1100)
        var frontier = TreeFrontier()
        for size in 0...1100 {
            #expect(frontier.size == Int64(size))
            #expect(frontier.root == reference.root(0..<size))
            let partial = Dictionary(
                uniqueKeysWithValues: frontier.partialTiles.map { ($0.coordinate.level, $0.hashes) })
            var restored = try TreeFrontier(size: Int64(size)) { partial[$0] ?? [] }
            #expect(restored.root == frontier.root)
            #expect(restored.partialTiles == frontier.partialTiles)
            guard size < 1100 else { break }
            #expect(restored.append(reference.leaves[size]) == frontier.append(reference.leaves[size]))
            #expect(restored.root == frontier.root)
        }
    }

    @Test func `a tree of 70000 leaves has the tiles that the standard counts`() {
        var frontier = TreeFrontier()
        var full: [Int: [Tile]] = [:]
        for index in 0..<70_000 {
            for tile in frontier.append(TreeHasher.leaf(Reference.entry(index))) {
                full[tile.coordinate.level, default: []].append(tile)
            }
        }
        #expect(full[0]?.map(\.coordinate.index) == Array(0..<273))
        #expect(full[1]?.map(\.coordinate.path) == ["tile/1/000"])
        #expect(full[2] == nil)
        #expect(
            frontier.partialTiles.map(\.coordinate.path) == ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"])
        #expect(full.values.joined().allSatisfy { $0.bytes.count == 8192 })
        // Each hash of a level-1 tile is the root over a full level-0 tile.
        #expect(full[1]?[0].hashes == full[0]?.prefix(256).map { TreeHasher.root(ofPerfect: $0.hashes[...]) })
    }

    @Test func `tiles completed by one append come from level 0 up`() {
        var frontier = TreeFrontier()
        var last: [Tile] = []
        for index in 0..<65_536 { last = frontier.append(TreeHasher.leaf(Reference.entry(index))) }
        #expect(last.map(\.coordinate.path) == ["tile/0/255", "tile/1/000"])
        #expect(frontier.partialTiles.map(\.coordinate.path) == ["tile/2/000.p/1"])
        #expect(frontier.partialTiles[0].hashes[0] == frontier.root)
    }

    @Test func `restoring with the wrong number of hashes or an impossible size is refused`() {
        let hash = Hash256.emptyTree
        #expect(throws: TileError.wrongPartialTile(level: 0, expected: 2, actual: 1)) {
            try TreeFrontier(size: 2) { _ in [hash] }
        }
        #expect(throws: TileError.wrongPartialTile(level: 1, expected: 1, actual: 0)) {
            try TreeFrontier(size: 257) { $0 == 0 ? [hash] : [] }
        }
        #expect(throws: TileError.sizeOutOfRange) { try TreeFrontier(size: -1) { _ in [] } }
        #expect(throws: TileError.sizeOutOfRange) { try TreeFrontier(size: .max) { _ in [] } }
    }

    @Test func `an error while loading tiles comes through`() {
        struct Broken: Error {}
        #expect(throws: Broken.self) { try TreeFrontier(size: 3) { _ in throw Broken() } }
    }
}
