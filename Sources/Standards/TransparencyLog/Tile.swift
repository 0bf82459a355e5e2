/// A run of consecutive hashes at one level of the tree (tlog-tiles, "Merkle Tree").
package struct Tile: Sendable, Hashable {
    /// Where the tile lies.
    package let coordinate: TileCoordinate

    /// As many hashes as the coordinate's width.
    package let hashes: [Hash256]

    /// Takes as many hashes as the coordinate's width.
    package init(coordinate: TileCoordinate, hashes: [Hash256]) throws(TileError) {
        guard hashes.count == coordinate.width else {
            throw .wrongTileLength(expected: coordinate.width, actual: hashes.count)
        }
        self.init(unchecked: coordinate, hashes: hashes)
    }

    /// Reads the stored form: the hashes one after the other.
    package init(coordinate: TileCoordinate, bytes: [UInt8]) throws(TileError) {
        let expected = coordinate.width * Hash256.byteCount
        guard bytes.count == expected else { throw .wrongTileLength(expected: expected, actual: bytes.count) }
        let starts = stride(from: 0, to: expected, by: Hash256.byteCount)
        let hashes = starts.compactMap { Hash256(bytes[$0..<($0 + Hash256.byteCount)]) }
        try self.init(coordinate: coordinate, hashes: hashes)
    }

    // INVARIANT: hashes.count == coordinate.width
    init(unchecked coordinate: TileCoordinate, hashes: [Hash256]) {
        self.coordinate = coordinate
        self.hashes = hashes
    }

    /// The stored form, 32 bytes a hash.
    package var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(hashes.count * Hash256.byteCount)
        for hash in hashes { hash.withUnsafeBytes { bytes.append(contentsOf: $0) } }
        return bytes
    }

    /// The first hashes of the tile, as an earlier and smaller tree had it; nil if there are not so many.
    package func prefix(width: Int) -> Tile? {
        guard (1...coordinate.width).contains(width) else { return nil }
        let narrower = TileCoordinate(uncheckedLevel: coordinate.level, index: coordinate.index, width: width)
        return Tile(unchecked: narrower, hashes: Array(hashes.prefix(width)))
    }
}
