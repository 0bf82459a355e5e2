/// The stored form of up to 256 consecutive entries (tlog-tiles, "Log entries"): each a big-endian `UInt16` length
/// and that many bytes.
package enum EntryBundle {
    /// The longest entry: its length must fit in 16 bits.
    package static let maximumEntryBytes = 65_535

    /// The number of entries of a full bundle.
    package static let fullWidth = TileCoordinate.fullWidth

    /// The entries one after the other, each after its length. Throws if one is too long.
    package static func encode(_ entries: [[UInt8]]) throws(TileError) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(entries.reduce(0) { $0 + 2 + $1.count })
        for entry in entries {
            guard let length = UInt16(exactly: entry.count) else { throw .entryTooLong(bytes: entry.count) }
            bytes.append(UInt8(length >> 8))
            bytes.append(UInt8(length & 0xff))
            bytes.append(contentsOf: entry)
        }
        return bytes
    }

    /// Reads exactly the expected number of entries, 1 to 256, and refuses bytes after the last.
    package static func decode(_ bytes: [UInt8], expectedCount: Int) throws(TileError) -> [[UInt8]] {
        guard (1...fullWidth).contains(expectedCount) else { throw .widthOutOfRange }
        var entries: [[UInt8]] = []
        entries.reserveCapacity(expectedCount)
        var rest = bytes[...]
        while !rest.isEmpty {
            guard entries.count < expectedCount else { throw .wrongEntryCount(expected: expectedCount) }
            guard let high = rest.popFirst(), let low = rest.popFirst() else { throw .truncatedBundle }
            let length = Int(high) << 8 | Int(low)
            guard rest.count >= length else { throw .truncatedBundle }
            entries.append(Array(rest.prefix(length)))
            rest.removeFirst(length)
        }
        guard entries.count == expectedCount else { throw .wrongEntryCount(expected: expectedCount) }
        return entries
    }
}

extension EntryBundle {
    /// The place of a bundle: the same index and width as the level-0 tile with the hashes of its entries.
    package struct Coordinate: Sendable, Hashable {
        /// The level-0 tile that holds the hashes of the bundle's entries.
        package let leafTile: TileCoordinate

        /// Checks the ranges of both numbers.
        package init(index: Int64, width: Int = EntryBundle.fullWidth) throws(TileError) {
            leafTile = try TileCoordinate(level: 0, index: index, width: width)
        }

        /// The number of the bundle.
        package var index: Int64 { leafTile.index }

        /// The number of entries, 1 to 256.
        package var width: Int { leafTile.width }

        /// The path below the log's prefix, such as `tile/entries/x001/234.p/5`.
        package var path: String { "tile/entries/\(TilePath.format(index: index, width: width))" }

        /// Reads a path, in its one spelling only.
        package static func parse(_ path: String) throws(TileError) -> Coordinate {
            let prefix = "tile/entries/"
            guard path.utf8.count <= TilePath.maximumBytes, path.utf8.starts(with: prefix.utf8) else {
                throw .malformedPath
            }
            let (index, width) = try TilePath.parse(Array(path.utf8.dropFirst(prefix.utf8.count)))
            return try Coordinate(index: index, width: width)
        }
    }

    /// The path of a bundle below the log's prefix.
    package static func path(index: Int64, width: Int = fullWidth) throws(TileError) -> String {
        try Coordinate(index: index, width: width).path
    }
}
