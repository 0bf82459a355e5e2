/// The hashes that lead from one leaf to the root of a tree (RFC 6962 §2.1.1).
package struct InclusionProof: Sendable, Hashable {
    /// The index of the leaf, from 0.
    package let leafIndex: Int64

    /// The size of the tree.
    package let treeSize: Int64

    /// From the leaf's sibling up to the root's child.
    package let hashes: [Hash256]

    /// A proof as received; `verify` decides whether it holds.
    package init(leafIndex: Int64, treeSize: Int64, hashes: [Hash256]) {
        self.leafIndex = leafIndex
        self.treeSize = treeSize
        self.hashes = hashes
    }

    /// Makes the proof from stored tiles. Throws `ProofError` and what the reader throws.
    package static func make(index: Int64, size: Int64, tiles: some TileReader) throws -> InclusionProof {
        let hashes = try plan(index: index, size: size).hashes(from: tiles)
        return InclusionProof(leafIndex: index, treeSize: size, hashes: hashes)
    }

    /// Makes the proof from tiles that have to be awaited; `fetch` gives nil for a tile that is not stored.
    package static func make(
        index: Int64, size: Int64, fetch: (TileCoordinate) async throws -> Tile?
    ) async throws -> InclusionProof {
        let plan = try plan(index: index, size: size)
        let hashes = try plan.hashes(from: await plan.fetch(fetch))
        return InclusionProof(leafIndex: index, treeSize: size, hashes: hashes)
    }

    /// The tiles that `make` reads, for callers that fetch them together.
    package static func requiredTiles(index: Int64, size: Int64) throws(ProofError) -> [TileCoordinate] {
        try plan(index: index, size: size).tiles
    }

    private static func plan(index: Int64, size: Int64) throws(ProofError) -> ProofPlan {
        guard index >= 0, index < size else { throw .indexOutOfRange(index: index, size: size) }
        var siblings: [Range<Int64>] = []
        var range = 0..<size
        while range.upperBound - range.lowerBound > 1 {
            let split = range.lowerBound + (range.upperBound - range.lowerBound).splitPoint
            let (left, right) = (range.lowerBound..<split, split..<range.upperBound)
            siblings.append(index < split ? right : left)
            range = index < split ? left : right
        }
        return ProofPlan(treeSize: size, ranges: siblings.reversed())
    }
}

extension InclusionProof {
    /// Checks that the leaf is at its index in the tree with this root (RFC 9162 §2.1.3.2).
    package func verify(leaf: Hash256, root: Hash256) throws(ProofError) {
        guard leafIndex >= 0, leafIndex < treeSize else {
            throw .indexOutOfRange(index: leafIndex, size: treeSize)
        }
        let expected = Self.hashCount(index: leafIndex, size: treeSize)
        guard hashes.count == expected else { throw .wrongHashCount(expected: expected, actual: hashes.count) }

        var position = leafIndex
        var last = treeSize - 1
        var hash = leaf
        for sibling in hashes {
            if position & 1 == 1 || position == last {
                hash = TreeHasher.node(sibling, hash)
                // A node without a right sibling is not hashed on its way up.
                while position & 1 == 0, position != 0 {
                    position >>= 1
                    last >>= 1
                }
            } else {
                hash = TreeHasher.node(hash, sibling)
            }
            position >>= 1
            last >>= 1
        }
        guard last == 0, hash == root else { throw .rootMismatch }
    }

    /// The length of the path: levels where the paths of this and the last leaf differ, then one for each left sibling.
    private static func hashCount(index: Int64, size: Int64) -> Int {
        let shared = Int64.bitWidth - (index ^ (size - 1)).leadingZeroBitCount
        return shared + (index >> Int64(shared)).nonzeroBitCount
    }
}
