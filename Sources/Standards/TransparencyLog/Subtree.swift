/// A subtree that is complete: 2^height leaves from a start that is a multiple of that number.
struct PerfectSubtree: Hashable {
    let start: Int64
    let height: Int

    /// The leaves `range` as complete subtrees from left to right, each as large as possible.
    ///
    /// `range` must be one that the recursion of RFC 6962 §2.1 reaches, or start at 0: then each subtree is aligned.
    static func covering(_ range: Range<Int64>) -> [PerfectSubtree] {
        var subtrees: [PerfectSubtree] = []
        var start = range.lowerBound
        while start < range.upperBound {
            let height = (range.upperBound - start).logBaseTwo
            subtrees.append(PerfectSubtree(start: start, height: height))
            start += 1 << Int64(height)
        }
        return subtrees
    }

    /// The tile that holds the subtree's hash, or hashes below it in the same tile, as a tree of this size has it.
    func tile(inTreeOfSize treeSize: Int64) -> TileCoordinate {
        let level = height / TileCoordinate.height
        let index = start >> Int64(TileCoordinate.height * (level + 1))
        let width = TileCoordinate.width(level: level, index: index, treeSize: treeSize)
        return TileCoordinate(uncheckedLevel: level, index: index, width: width)
    }

    /// The subtree's hash from that tile, whose width covers it.
    func hash(in tile: Tile) -> Hash256? {
        let firstHash = Int(start >> Int64(TileCoordinate.height * tile.coordinate.level)) % TileCoordinate.fullWidth
        let count = 1 << (height % TileCoordinate.height)
        guard firstHash + count <= tile.hashes.count else { return nil }
        return TreeHasher.root(ofPerfect: tile.hashes[firstHash..<(firstHash + count)])
    }
}

extension TreeHasher {
    /// The root over a run of 2^n hashes.
    static func root(ofPerfect hashes: ArraySlice<Hash256>) -> Hash256 {
        var row = Array(hashes)
        while row.count > 1 {
            for pair in 0..<(row.count / 2) { row[pair] = node(row[2 * pair], row[2 * pair + 1]) }
            row.removeLast(row.count - row.count / 2)
        }
        return row.first ?? .emptyTree
    }

    /// The root over complete subtrees from left to right, each smaller than the one before.
    static func root(ofPeaks peaks: [Hash256]) -> Hash256 {
        guard var root = peaks.last else { return .emptyTree }
        for peak in peaks.dropLast().reversed() { root = node(peak, root) }
        return root
    }
}

extension Int64 {
    /// The exponent of the largest power of two that is not greater; for positive numbers.
    var logBaseTwo: Int { Int64.bitWidth - 1 - leadingZeroBitCount }

    /// The largest power of two below, where RFC 6962 §2.1 splits a tree; for numbers of at least 2.
    var splitPoint: Int64 { 1 << Int64((self - 1).logBaseTwo) }
}
