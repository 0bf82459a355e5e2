/// Where proofs get the tiles of a stored tree from.
package protocol TileReader: Sendable {
    /// The stored tile of this place and width, or nil if there is none.
    ///
    /// A reader need not keep partial tiles that the tree has outgrown: it is asked for the full tile next.
    func tile(_ coordinate: TileCoordinate) throws -> Tile?
}

/// A reader made of one function.
package struct ClosureTileReader: TileReader {
    private let read: @Sendable (TileCoordinate) throws -> Tile?

    /// Reads by the function.
    package init(_ read: @escaping @Sendable (TileCoordinate) throws -> Tile?) {
        self.read = read
    }

    package func tile(_ coordinate: TileCoordinate) throws -> Tile? {
        try read(coordinate)
    }
}

/// Tiles in memory, such as those fetched for one proof.
package struct TileSet: TileReader {
    private var tiles: [TileCoordinate: Tile] = [:]

    /// Takes the tiles; of two at the same place and width the last one counts.
    package init(_ tiles: some Sequence<Tile> = []) {
        for tile in tiles { insert(tile) }
    }

    /// Adds a tile.
    package mutating func insert(_ tile: Tile) {
        tiles[tile.coordinate] = tile
    }

    package func tile(_ coordinate: TileCoordinate) throws -> Tile? {
        tiles[coordinate]
    }
}

extension TileReader {
    /// The tile, or the beginning of the full tile that has replaced it (tlog-tiles, "Partial Tiles").
    func requiredTile(_ coordinate: TileCoordinate) throws -> Tile {
        if let tile = try tile(coordinate), tile.coordinate == coordinate { return tile }
        if coordinate.isPartial, let full = try tile(coordinate.full), full.coordinate == coordinate.full,
            let tile = full.prefix(width: coordinate.width)
        {
            return tile
        }
        throw ProofError.missingTile(coordinate)
    }
}
