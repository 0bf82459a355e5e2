/// The place of a tile: level, index and width (tlog-tiles, "Merkle Tree").
package struct TileCoordinate: Sendable, Hashable {
    /// The number of hashes of a full tile.
    package static let fullWidth = 256

    /// The number of tree levels that one tile level spans: 2^8 = 256.
    static let height = 8

    /// 0 for tiles of leaf hashes, up to 63.
    package let level: Int

    /// The number of the tile within its level.
    package let index: Int64

    /// The number of hashes, 1 to 256; less than 256 for a partial tile.
    package let width: Int

    /// Checks the ranges of the three numbers.
    package init(level: Int, index: Int64, width: Int = fullWidth) throws(TileError) {
        guard (0...63).contains(level) else { throw .levelOutOfRange }
        guard (0...TilePath.maximumIndex).contains(index) else { throw .indexOutOfRange }
        guard (1...Self.fullWidth).contains(width) else { throw .widthOutOfRange }
        self.init(uncheckedLevel: level, index: index, width: width)
    }

    /// For places computed from a tree size, which are in range by construction.
    init(uncheckedLevel level: Int, index: Int64, width: Int) {
        self.level = level
        self.index = index
        self.width = width
    }

    /// True for a tile of fewer than 256 hashes, which lies on the right edge of some tree.
    package var isPartial: Bool { width < Self.fullWidth }

    /// The full tile at the same place, which may stand in for a partial one.
    package var full: TileCoordinate {
        TileCoordinate(uncheckedLevel: level, index: index, width: Self.fullWidth)
    }

    /// The path below the log's prefix, such as `tile/0/x001/x234/067` or `tile/1/000.p/17`.
    package var path: String {
        "tile/\(level)/\(TilePath.format(index: index, width: width))"
    }

    /// Reads a path, in its one spelling only.
    package static func parse(_ path: String) throws(TileError) -> TileCoordinate {
        guard path.utf8.count <= TilePath.maximumBytes else { throw .malformedPath }
        let parts = path.utf8.split(separator: UInt8(ascii: "/"), maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].elementsEqual("tile".utf8), let level = Decimal.parse(parts[1])
        else { throw .malformedPath }
        guard level <= 63 else { throw .levelOutOfRange }
        let (index, width) = try TilePath.parse(Array(parts[2]))
        return try TileCoordinate(level: Int(level), index: index, width: width)
    }
}

extension TileCoordinate {
    /// The number of hashes that a tree of this size has in the tile at a place: 0 where it has none.
    package static func width(level: Int, index: Int64, treeSize: Int64) -> Int {
        guard (0..<8).contains(level), (0...TilePath.maximumIndex).contains(index), treeSize > 0 else { return 0 }
        let hashesAtLevel = treeSize >> Int64(height * level)
        let before = index << Int64(height)
        return Int(max(0, min(Int64(fullWidth), hashesAtLevel - before)))
    }

    /// True if a tree of this size has this tile with exactly this width, or has outgrown it.
    package func exists(inTreeOfSize treeSize: Int64) -> Bool {
        width <= Self.width(level: level, index: index, treeSize: treeSize)
    }
}

extension TileCoordinate: CustomStringConvertible {
    package var description: String { path }
}
