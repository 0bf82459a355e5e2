/// Why a tile, an entry bundle or the path of one was refused.
package enum TileError: Error, Hashable, Sendable {
    /// The path is not the one spelling of a tile or an entry bundle.
    case malformedPath
    /// The level is not 0 to 63.
    case levelOutOfRange
    /// The index is negative or lies beyond the last leaf that can be counted.
    case indexOutOfRange
    /// The width is not 1 to 256, or not 1 to 255 in a path that spells it.
    case widthOutOfRange
    /// A tile holds another number of bytes or hashes than its width says.
    case wrongTileLength(expected: Int, actual: Int)
    /// A bundle ends within a length or an entry.
    case truncatedBundle
    /// A bundle holds fewer or more entries than expected.
    case wrongEntryCount(expected: Int)
    /// An entry is longer than a bundle can hold.
    case entryTooLong(bytes: Int)
    /// A tree size is negative or beyond what the log counts.
    case sizeOutOfRange
    /// A right-edge tile offered to restore a tree has another number of hashes than the tree size says.
    case wrongPartialTile(level: Int, expected: Int, actual: Int)
}

extension TileError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .malformedPath: "the tile path is malformed"
        case .levelOutOfRange: "the tile level is not 0 to 63"
        case .indexOutOfRange: "the tile index is out of range"
        case .widthOutOfRange: "the tile width is out of range"
        case .wrongTileLength(let expected, let actual): "the tile has length \(actual) instead of \(expected)"
        case .truncatedBundle: "the entry bundle ends within an entry"
        case .wrongEntryCount(let expected): "the entry bundle does not hold exactly \(expected) entries"
        case .entryTooLong(let bytes): "an entry of \(bytes) bytes is over \(EntryBundle.maximumEntryBytes)"
        case .sizeOutOfRange: "the tree size is out of range"
        case .wrongPartialTile(let level, let expected, let actual):
            "the right-edge tile at level \(level) has \(actual) hashes instead of \(expected)"
        }
    }
}
