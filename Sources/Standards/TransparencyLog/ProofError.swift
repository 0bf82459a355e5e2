/// Why a proof could not be made or does not hold.
package enum ProofError: Error, Hashable, Sendable {
    /// The leaf index is negative or not below the tree size.
    case indexOutOfRange(index: Int64, size: Int64)
    /// A tree size is negative, or the old size is above the new one.
    case sizesOutOfRange(old: Int64, new: Int64)
    /// The proof has another number of hashes than index and sizes call for.
    case wrongHashCount(expected: Int, actual: Int)
    /// The hashes lead to another root.
    case rootMismatch
    /// The hashes lead to another root of the old tree.
    case oldRootMismatch
    /// A tile that the proof needs is not stored.
    case missingTile(TileCoordinate)
}

extension ProofError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .indexOutOfRange(let index, let size): "the leaf index \(index) is not within a tree of size \(size)"
        case .sizesOutOfRange(let old, let new): "a tree of size \(old) does not grow to size \(new)"
        case .wrongHashCount(let expected, let actual): "the proof has \(actual) hashes instead of \(expected)"
        case .rootMismatch: "the proof does not lead to the root hash"
        case .oldRootMismatch: "the proof does not lead to the old root hash"
        case .missingTile(let coordinate): "the tile `\(coordinate.path)` is missing"
        }
    }
}
