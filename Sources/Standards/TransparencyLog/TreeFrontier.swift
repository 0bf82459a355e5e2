/// What an appender keeps in memory: per tile level the hashes of the tile that is not full yet.
///
/// At most 255 hashes a level: 24 KiB for a log of 16 million entries.
package struct TreeFrontier: Sendable {
    /// The largest size that can be restored; far beyond any log, and far from overflow.
    package static let maximumRestoredSize: Int64 = 1 << 56

    /// The number of leaves.
    package private(set) var size: Int64 = 0

    // INVARIANT: levels[l].count == (size >> 8l) & 0xff, and the last level is not empty.
    private var levels: [[Hash256]] = []

    // INVARIANT: the roots of the perfect subtrees that cover the leaves, from the left, one for each bit that is set in `size`.
    private var peaks: [Hash256] = []

    /// The tree without leaves.
    package init() {}

    /// Restores the frontier of a stored tree.
    ///
    /// `partialTiles` is asked for the hashes of the right-edge tile of every level that has one. Only their number
    /// can be checked here: compare `root` with a signed checkpoint before appending.
    package init(size: Int64, partialTiles: (_ level: Int) throws -> [Hash256]) throws {
        guard (0...Self.maximumRestoredSize).contains(size) else { throw TileError.sizeOutOfRange }
        self.size = size
        var hashesAtLevel = size
        while hashesAtLevel > 0 {
            let expected = Int(hashesAtLevel % Int64(TileCoordinate.fullWidth))
            let hashes = expected == 0 ? [] : try partialTiles(levels.count)
            guard hashes.count == expected else {
                throw TileError.wrongPartialTile(level: levels.count, expected: expected, actual: hashes.count)
            }
            levels.append(hashes)
            hashesAtLevel >>= Int64(TileCoordinate.height)
        }
        for hashes in levels.reversed() {
            for subtree in PerfectSubtree.covering(0..<Int64(hashes.count)) {
                let start = Int(subtree.start)
                peaks.append(TreeHasher.root(ofPerfect: hashes[start..<(start + (1 << subtree.height))]))
            }
        }
    }

    /// Adds a leaf and returns the tiles that became full by it, from level 0 up.
    package mutating func append(_ leaf: Hash256) -> [Tile] {
        addPeak(leaf)
        var completed: [Tile] = []
        var hash = leaf
        var level = 0
        var index = size >> Int64(TileCoordinate.height)
        size += 1
        while true {
            if level == levels.count { levels.append([]) }
            levels[level].append(hash)
            guard levels[level].count == TileCoordinate.fullWidth else { return completed }
            let place = TileCoordinate(uncheckedLevel: level, index: index, width: TileCoordinate.fullWidth)
            completed.append(Tile(unchecked: place, hashes: levels[level]))
            hash = TreeHasher.root(ofPerfect: levels[level][...])
            levels[level] = []
            level += 1
            index >>= Int64(TileCoordinate.height)
        }
    }

    /// As a binary counter adds one: every one at its end becomes part of the next higher.
    private mutating func addPeak(_ leaf: Hash256) {
        var peak = leaf
        var count = size
        while count & 1 == 1, let left = peaks.popLast() {
            peak = TreeHasher.node(left, peak)
            count >>= 1
        }
        peaks.append(peak)
    }

    /// The root hash for the current size.
    package var root: Hash256 { TreeHasher.root(ofPeaks: peaks) }

    /// The right-edge tiles for the current size, from level 0 up; levels without one are left out.
    package var partialTiles: [Tile] {
        levels.enumerated().compactMap { level, hashes in
            guard !hashes.isEmpty else { return nil }
            let index = size >> Int64(TileCoordinate.height * (level + 1))
            let place = TileCoordinate(uncheckedLevel: level, index: index, width: hashes.count)
            return Tile(unchecked: place, hashes: hashes)
        }
    }
}
