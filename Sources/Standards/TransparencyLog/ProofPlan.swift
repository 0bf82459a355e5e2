/// The subtrees whose hashes make up a proof, in the proof's order, and the tiles they are read from.
struct ProofPlan {
    private let treeSize: Int64

    /// Each hash of the proof is the root over these subtrees.
    private let nodes: [[PerfectSubtree]]

    init(treeSize: Int64, ranges: [Range<Int64>]) {
        self.treeSize = treeSize
        nodes = ranges.map(PerfectSubtree.covering)
    }

    /// The tiles needed, each once.
    var tiles: [TileCoordinate] {
        var seen: Set<TileCoordinate> = []
        return nodes.joined().map { $0.tile(inTreeOfSize: treeSize) }.filter { seen.insert($0).inserted }
    }

    func hashes(from reader: some TileReader) throws -> [Hash256] {
        // One tile often serves several hashes; each is read once.
        var tiles: [TileCoordinate: Tile] = [:]
        return try nodes.map { subtrees in
            let peaks = try subtrees.map { subtree in
                let place = subtree.tile(inTreeOfSize: treeSize)
                let tile = try tiles[place] ?? reader.requiredTile(place)
                tiles[place] = tile
                guard let hash = subtree.hash(in: tile) else { throw ProofError.missingTile(place) }
                return hash
            }
            return TreeHasher.root(ofPeaks: peaks)
        }
    }

    /// Collects the planned tiles by an asynchronous fetch, full tiles standing in for outgrown partial ones.
    func fetch(_ fetch: (TileCoordinate) async throws -> Tile?) async throws -> TileSet {
        var set = TileSet()
        for place in tiles {
            if let tile = try await fetch(place) {
                set.insert(tile)
            } else if place.isPartial, let tile = try await fetch(place.full) {
                set.insert(tile)
            }
        }
        return set
    }
}
