import Synchronization
package import TransparencyLog

/// A log's store that ends with the process: for trust domains that keep nothing, and for tests.
package final class MemoryAuditStore: AuditStore {
    private struct Contents {
        var entries: [AuditEntry] = []
        var tiles: [Place: Tile] = [:]
        var checkpoint: [UInt8]?
    }

    private struct Place: Hashable {
        let level: Int
        let index: Int64
    }

    private let contents = Mutex(Contents())

    package init() {}

    package func loadTail() async throws(AuditStoreError) -> AuditTail {
        contents.withLock { contents in
            let size = Int64(contents.entries.count)
            let edge = (0..<8).compactMap { (level: Int) -> Tile? in
                let index = size >> Int64(8 * (level + 1))
                let width = TileCoordinate.width(level: level, index: index, treeSize: size)
                return width == 0 ? nil : contents.tiles[Place(level: level, index: index)]?.prefix(width: width)
            }
            return AuditTail(size: size, checkpoint: contents.checkpoint, edge: edge)
        }
    }

    package func commit(_ batch: AuditBatch) async throws(AuditStoreError) {
        try contents.withLock { (contents) throws(AuditStoreError) in
            let size = Int64(contents.entries.count)
            for (offset, entry) in batch.entries.enumerated() where entry.index != size + Int64(offset) {
                throw .wrongIndex(expected: size, actual: entry.index)
            }
            contents.entries.append(contentsOf: batch.entries)
            for tile in batch.tiles {
                contents.tiles[Place(level: tile.coordinate.level, index: tile.coordinate.index)] = tile
            }
            contents.checkpoint = batch.checkpoint
        }
    }

    package func entries(from index: Int64, count: Int) async throws(AuditStoreError) -> [AuditEntry] {
        contents.withLock { contents in
            guard index >= 0, count > 0, index < contents.entries.count else { return [] }
            return Array(contents.entries[Int(index)...].prefix(count))
        }
    }

    package func tile(_ coordinate: TileCoordinate) async throws(AuditStoreError) -> Tile? {
        contents.withLock {
            $0.tiles[Place(level: coordinate.level, index: coordinate.index)]?.prefix(width: coordinate.width)
        }
    }

    package func checkpoint() async throws(AuditStoreError) -> [UInt8]? {
        contents.withLock { $0.checkpoint }
    }
}
