/// Checks a whole stored log: takes the entries in order, compares their hashes with the stored ones, and at the end
/// compares the root with the signed one. Memory does not grow with the log.
package struct TreeVerification: Sendable {
    /// The size the tree must reach.
    package let size: Int64

    private var frontier: TreeFrontier
    private let tiles: (any TileReader)?

    /// Checks a tree of `size` leaves, the first of which may be known already by their frontier.
    ///
    /// With `tiles`, every computed tile of this tree size is compared with the stored one.
    package init(size: Int64, after frontier: TreeFrontier = TreeFrontier(), tiles: (any TileReader)? = nil) {
        self.size = size
        self.frontier = frontier
        self.tiles = tiles
    }

    /// The index of the entry expected next.
    package var nextIndex: Int64 { frontier.size }

    /// Takes the next entry, and throws if its hash is not the stored one, where that is known.
    ///
    /// Throws `TreeVerificationError` and what the tile reader throws.
    package mutating func add(_ entry: [UInt8], storedLeaf: Hash256? = nil) throws {
        let index = frontier.size
        guard index < size else { throw TreeVerificationError.tooManyEntries(size: size) }
        let leaf = TreeHasher.leaf(entry)
        if let storedLeaf, storedLeaf != leaf { throw TreeVerificationError.wrongEntry(index: index) }
        for tile in frontier.append(leaf) { try compareWithStored(tile) }
    }

    /// Compares the right-edge tiles and the root, and throws if entries are missing.
    package func finish(root: Hash256) throws {
        guard frontier.size == size else { throw TreeVerificationError.missingEntries(from: frontier.size) }
        for tile in frontier.partialTiles { try compareWithStored(tile) }
        guard frontier.root == root else { throw TreeVerificationError.rootMismatch }
    }

    private func compareWithStored(_ computed: Tile) throws {
        guard let tiles else { return }
        let place = computed.coordinate
        let stored: Tile
        do { stored = try tiles.requiredTile(place) } catch ProofError.missingTile {
            throw TreeVerificationError.missingTile(place)
        }
        guard let position = zip(computed.hashes, stored.hashes).enumerated().first(where: { $1.0 != $1.1 })?.offset
        else { return }
        guard place.level == 0 else { throw TreeVerificationError.wrongTile(place, position: position) }
        throw TreeVerificationError.wrongEntry(index: place.index << Int64(TileCoordinate.height) + Int64(position))
    }
}

/// What is wrong with a stored log.
package enum TreeVerificationError: Error, Hashable, Sendable {
    /// The entry at this index does not hash to the stored leaf hash: one of the two was changed.
    case wrongEntry(index: Int64)
    /// A hash above the leaves is not that of the tiles below.
    case wrongTile(TileCoordinate, position: Int)
    /// A tile that a tree of this size has is not stored.
    case missingTile(TileCoordinate)
    /// There are no entries from this index on.
    case missingEntries(from: Int64)
    /// There are more entries than the tree has leaves.
    case tooManyEntries(size: Int64)
    /// Entries and tiles agree, but the signed root hash is another.
    case rootMismatch
}

extension TreeVerificationError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .wrongEntry(let index): "the entry \(index) does not match its stored hash"
        case .wrongTile(let place, let position): "hash \(position) of the tile `\(place.path)` is wrong"
        case .missingTile(let place): "the tile `\(place.path)` is missing"
        case .missingEntries(let index): "the entries from \(index) on are missing"
        case .tooManyEntries(let size): "there are more than \(size) entries"
        case .rootMismatch: "the root hash is not the signed one"
        }
    }
}
