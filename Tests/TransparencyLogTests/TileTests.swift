import Testing

@testable import TransparencyLog

@Suite struct TileTests {
    @Test(arguments: [
        (0, Int64(0), 256, "tile/0/000"), (0, 67, 256, "tile/0/067"), (0, 999, 256, "tile/0/999"),
        (0, 1000, 256, "tile/0/x001/000"), (0, 1_234_067, 256, "tile/0/x001/x234/067"),
        (3, 1_234_067, 112, "tile/3/x001/x234/067.p/112"), (1, 0, 17, "tile/1/000.p/17"), (2, 0, 1, "tile/2/000.p/1"),
        (63, 0, 255, "tile/63/000.p/255"), (10, 5, 256, "tile/10/005"),
        (0, 36_028_797_018_963_967, 256, "tile/0/x036/x028/x797/x018/x963/967"),
    ])
    func `tile paths are written and read as the standard spells them`(
        level: Int, index: Int64, width: Int, path: String
    ) throws {
        let place = try TileCoordinate(level: level, index: index, width: width)
        #expect(place.path == path)
        #expect(try TileCoordinate.parse(path) == place)
    }

    @Test(arguments: [
        ("", TileError.malformedPath), ("tile", .malformedPath), ("tile/", .malformedPath), ("tile/0", .malformedPath),
        ("tile/0/", .malformedPath), ("tile//000", .malformedPath), ("/tile/0/000", .malformedPath),
        ("tile/0/000/", .malformedPath), ("tile/0//000", .malformedPath), ("tile/00/000", .malformedPath),
        ("tile/-1/000", .malformedPath), ("tile/64/000", .levelOutOfRange), ("tile/99999999999/000", .levelOutOfRange),
        ("tile/99999999999999999999/000", .malformedPath), ("tile/x/000", .malformedPath),
        ("Tile/0/000", .malformedPath),
        ("tile/0/0", .malformedPath), ("tile/0/00", .malformedPath), ("tile/0/0000", .malformedPath),
        ("tile/0/x000", .malformedPath), ("tile/0/x000/001", .malformedPath), ("tile/0/x000/000", .malformedPath),
        ("tile/0/x00/001", .malformedPath), ("tile/0/001/001", .malformedPath), ("tile/0/x001/x001", .malformedPath),
        ("tile/0/X001/001", .malformedPath), ("tile/0/+01", .malformedPath), ("tile/0/-01", .malformedPath),
        ("tile/0/0a1", .malformedPath), ("tile/0/000.p", .malformedPath), ("tile/0/000.p/", .malformedPath),
        ("tile/0/000.p/0", .widthOutOfRange), ("tile/0/000.p/256", .widthOutOfRange),
        ("tile/0/000.p/257", .widthOutOfRange), ("tile/0/000.p/01", .malformedPath),
        ("tile/0/000.p/+1", .malformedPath),
        ("tile/0/000.p/1/", .malformedPath), ("tile/0/000.p/1/1", .malformedPath), ("tile/0/.p/1", .malformedPath),
        ("tile/0/000.p/99999999999999999999", .malformedPath), ("tile/0/.p/.p/1", .malformedPath),
        ("tile/0/x036/x028/x797/x018/x963/968", .indexOutOfRange),
        ("tile/0/x999/x999/x999/x999/x999/x999/999", .indexOutOfRange),
        ("tile/0/x001/x000/x000/x000/x000/x000/x000/x000/x000/x000/x000/x000/x000/000", .malformedPath),
        ("tile/0/٠٠٠", .malformedPath), ("tile/0/000?", .malformedPath), ("tile/0/../000", .malformedPath),
        ("tile/entries/000", .malformedPath),
    ])
    func `other spellings of tile paths are refused`(path: String, error: TileError) {
        #expect(throws: error) { try TileCoordinate.parse(path) }
    }

    @Test func `coordinates out of range are refused`() {
        #expect(throws: TileError.levelOutOfRange) { try TileCoordinate(level: -1, index: 0) }
        #expect(throws: TileError.levelOutOfRange) { try TileCoordinate(level: 64, index: 0) }
        #expect(throws: TileError.indexOutOfRange) { try TileCoordinate(level: 0, index: -1) }
        #expect(throws: TileError.indexOutOfRange) { try TileCoordinate(level: 0, index: .max) }
        #expect(throws: TileError.widthOutOfRange) { try TileCoordinate(level: 0, index: 0, width: 0) }
        #expect(throws: TileError.widthOutOfRange) { try TileCoordinate(level: 0, index: 0, width: 257) }
    }

    @Test func `the widths of a tree of 70000 entries are those of the standard`() throws {
        let width = { TileCoordinate.width(level: $0, index: $1, treeSize: 70_000) }
        #expect((width(0, 0), width(0, 272), width(0, 273), width(0, 274)) == (256, 256, 112, 0))
        #expect((width(1, 0), width(1, 1), width(1, 2)) == (256, 17, 0))
        #expect((width(2, 0), width(2, 1), width(3, 0), width(8, 0), width(63, 0)) == (1, 0, 0, 0, 0))
        #expect(width(0, -1) == 0)
        #expect(try TileCoordinate(level: 1, index: 1, width: 16).exists(inTreeOfSize: 70_000))
        #expect(try !TileCoordinate(level: 1, index: 1, width: 18).exists(inTreeOfSize: 70_000))
        #expect(TileCoordinate.width(level: 1, index: 0, treeSize: 256) == 1)
        #expect(TileCoordinate.width(level: 0, index: 0, treeSize: .max) == 256)
        #expect(TileCoordinate.width(level: 7, index: 0, treeSize: .max) == 127)
        #expect(TileCoordinate.width(level: 0, index: 0, treeSize: 0) == 0)
        #expect(TileCoordinate.width(level: 0, index: 0, treeSize: -5) == 0)
    }

    @Test func `a tile round trips and must have the length that its width says`() throws {
        let hashes = Reference(count: 5).leaves
        let place = try TileCoordinate(level: 0, index: 7, width: 5)
        let tile = try Tile(coordinate: place, hashes: hashes)
        #expect(tile.bytes == hashes.flatMap(\.bytes))
        #expect(try Tile(coordinate: place, bytes: tile.bytes) == tile)
        for count in [0, 1, 159, 161, 192] {
            #expect(throws: TileError.wrongTileLength(expected: 160, actual: count)) {
                try Tile(coordinate: place, bytes: [UInt8](repeating: 0, count: count))
            }
        }
        #expect(throws: TileError.wrongTileLength(expected: 5, actual: 4)) {
            try Tile(coordinate: place, hashes: Array(hashes.dropLast()))
        }
        #expect(tile.prefix(width: 2)?.hashes == Array(hashes.prefix(2)))
        #expect(tile.prefix(width: 0) == nil)
        #expect(tile.prefix(width: 6) == nil)
    }
}

@Suite struct EntryBundleTests {
    @Test func `entries follow their big-endian lengths`() throws {
        let entries: [[UInt8]] = [[], [1, 2, 3], [UInt8](repeating: 9, count: 258)]
        let bundle = try EntryBundle.encode(entries)
        #expect(Array(bundle.prefix(9)) == [0, 0, 0, 3, 1, 2, 3, 1, 2])
        #expect(try EntryBundle.decode(bundle, expectedCount: 3) == entries)
    }

    @Test func `the longest entry fits and a longer one does not`() throws {
        let longest = [UInt8](repeating: 7, count: EntryBundle.maximumEntryBytes)
        #expect(try EntryBundle.decode(EntryBundle.encode([longest]), expectedCount: 1) == [longest])
        #expect(throws: TileError.entryTooLong(bytes: 65_536)) { try EntryBundle.encode([longest + [7]]) }
    }

    @Test func `a bundle of the wrong count or cut short is refused`() throws {
        let bundle = try EntryBundle.encode([[1], [2, 3]])
        #expect(throws: TileError.wrongEntryCount(expected: 1)) { try EntryBundle.decode(bundle, expectedCount: 1) }
        #expect(throws: TileError.wrongEntryCount(expected: 3)) { try EntryBundle.decode(bundle, expectedCount: 3) }
        #expect(throws: TileError.widthOutOfRange) { try EntryBundle.decode([], expectedCount: 0) }
        #expect(throws: TileError.widthOutOfRange) { try EntryBundle.decode(bundle, expectedCount: 257) }
        #expect(throws: TileError.wrongEntryCount(expected: 2)) { try EntryBundle.decode([], expectedCount: 2) }
        for length in 1..<bundle.count where length != 3 {
            #expect(throws: TileError.truncatedBundle) {
                try EntryBundle.decode(Array(bundle.prefix(length)), expectedCount: 2)
            }
        }
    }

    @Test(arguments: [(Int64(0), 256, "tile/entries/000"), (1_234_067, 5, "tile/entries/x001/x234/067.p/5")])
    func `bundle paths are written and read`(index: Int64, width: Int, path: String) throws {
        #expect(try EntryBundle.path(index: index, width: width) == path)
        let place = try EntryBundle.Coordinate.parse(path)
        #expect((place.index, place.width, place.path) == (index, width, path))
        #expect(place.leafTile.level == 0)
    }

    @Test(arguments: [
        "", "tile/entries", "tile/entries/", "tile/0/000", "tile/entries/000.p/256", "tile/entries/x000/001",
    ])
    func `other bundle paths are refused`(path: String) {
        #expect(throws: TileError.self) { try EntryBundle.Coordinate.parse(path) }
    }
}
