/// The hashes that show a tree to be the beginning of a larger one (RFC 6962 §2.1.2).
package struct ConsistencyProof: Sendable, Hashable {
    /// The size of the smaller, older tree.
    package let oldSize: Int64

    /// The size of the larger, newer tree.
    package let newSize: Int64

    /// In the order of RFC 6962; empty if the sizes are equal or the old tree is empty.
    package let hashes: [Hash256]

    /// A proof as received; `verify` decides whether it holds.
    package init(oldSize: Int64, newSize: Int64, hashes: [Hash256]) {
        self.oldSize = oldSize
        self.newSize = newSize
        self.hashes = hashes
    }

    /// Makes the proof from stored tiles. Throws `ProofError` and what the reader throws.
    package static func make(oldSize: Int64, newSize: Int64, tiles: some TileReader) throws -> ConsistencyProof {
        let hashes = try plan(oldSize: oldSize, newSize: newSize).hashes(from: tiles)
        return ConsistencyProof(oldSize: oldSize, newSize: newSize, hashes: hashes)
    }

    /// Makes the proof from tiles that have to be awaited; `fetch` gives nil for a tile that is not stored.
    package static func make(
        oldSize: Int64, newSize: Int64, fetch: (TileCoordinate) async throws -> Tile?
    ) async throws -> ConsistencyProof {
        let plan = try plan(oldSize: oldSize, newSize: newSize)
        let hashes = try plan.hashes(from: await plan.fetch(fetch))
        return ConsistencyProof(oldSize: oldSize, newSize: newSize, hashes: hashes)
    }

    /// The tiles that `make` reads, for callers that fetch them together.
    package static func requiredTiles(oldSize: Int64, newSize: Int64) throws(ProofError) -> [TileCoordinate] {
        try plan(oldSize: oldSize, newSize: newSize).tiles
    }

    private static func plan(oldSize: Int64, newSize: Int64) throws(ProofError) -> ProofPlan {
        guard oldSize >= 0, oldSize <= newSize else { throw .sizesOutOfRange(old: oldSize, new: newSize) }
        guard oldSize > 0, oldSize < newSize else { return ProofPlan(treeSize: newSize, ranges: []) }
        var hashed: [Range<Int64>] = []
        var range = 0..<newSize
        while range.upperBound != oldSize {
            let split = range.lowerBound + (range.upperBound - range.lowerBound).splitPoint
            let (left, right) = (range.lowerBound..<split, split..<range.upperBound)
            hashed.append(oldSize <= split ? right : left)
            range = oldSize <= split ? left : right
        }
        // The verifier has the old root already when the old tree is this whole left part.
        if range.lowerBound > 0 { hashed.append(range) }
        return ProofPlan(treeSize: newSize, ranges: hashed.reversed())
    }
}

extension ConsistencyProof {
    /// Checks that the tree with the new root continues the one with the old root (RFC 9162 §2.1.4.2).
    ///
    /// Every tree continues the empty one, and only the same root continues a tree of the same size.
    package func verify(oldRoot: Hash256, newRoot: Hash256) throws(ProofError) {
        guard oldSize >= 0, oldSize <= newSize else { throw .sizesOutOfRange(old: oldSize, new: newSize) }
        guard oldSize > 0, oldSize < newSize else {
            guard hashes.isEmpty else { throw .wrongHashCount(expected: 0, actual: hashes.count) }
            guard oldSize > 0 || oldRoot == .emptyTree else { throw .oldRootMismatch }
            guard oldSize < newSize || oldRoot == newRoot else { throw .rootMismatch }
            return
        }
        // The old tree is a complete left part exactly if its size is a power of two; its root then comes first.
        let path = (oldSize.nonzeroBitCount == 1 ? [oldRoot] : []) + hashes
        var position = oldSize - 1
        var last = newSize - 1
        while position & 1 == 1 {
            position >>= 1
            last >>= 1
        }
        guard var old = path.first else { throw .wrongHashCount(expected: 1, actual: 0) }
        var new = old
        for hash in path.dropFirst() {
            guard last != 0 else { throw .rootMismatch }
            if position & 1 == 1 || position == last {
                old = TreeHasher.node(hash, old)
                new = TreeHasher.node(hash, new)
                while position & 1 == 0, position != 0 {
                    position >>= 1
                    last >>= 1
                }
            } else {
                new = TreeHasher.node(new, hash)
            }
            position >>= 1
            last >>= 1
        }
        guard old == oldRoot else { throw .oldRootMismatch }
        guard last == 0, new == newRoot else { throw .rootMismatch }
    }
}
