import Synchronization
package import TransparencyLog

/// Checks a whole stored log against its signed checkpoint: every entry, every leaf hash, every tile.
package enum AuditLogVerification {
    /// What holds when nothing was thrown.
    package struct Report: Sendable {
        /// Entries that were checked.
        package let size: Int64
        package let checkpoint: SignedCheckpoint
    }

    /// Why a log does not hold.
    package enum Failure: Error, Sendable, Hashable {
        /// There are entries, but no checkpoint.
        case noCheckpoint
        /// The checkpoint is not signed by the log's key, or of another log.
        case checkpoint(CheckpointError)
        /// The first thing that is wrong below the checkpoint; names the entry where there is one.
        case tree(TreeVerificationError)
        /// The store cannot be read.
        case store(AuditStoreError)
    }

    /// Reads the log from its first entry to the one the checkpoint ends with; memory does not grow with the log.
    /// The store may be in use: entries beyond the checkpoint are not looked at.
    package static func verify(
        _ store: any AuditStore, verifiers: [NoteVerifier], origin: String
    ) async throws(Failure) -> Report {
        do {
            guard let stored = try await store.checkpoint() else { throw Failure.noCheckpoint }
            let signed: SignedCheckpoint
            do { signed = try SignedCheckpoint.open(stored, verifiers: verifiers, origin: origin) } catch {
                throw Failure.checkpoint(error)
            }
            try await verify(store, against: signed.checkpoint)
            return Report(size: signed.checkpoint.size, checkpoint: signed)
        } catch let failure as Failure { throw failure } catch let error as AuditStoreError {
            throw .store(error)
        } catch let error as TreeVerificationError { throw .tree(error) } catch { throw .store(.failed("\(error)")) }
    }

    private static func verify(_ store: any AuditStore, against checkpoint: Checkpoint) async throws {
        let size = checkpoint.size
        let tiles = FetchedTiles()
        var tree = TreeVerification(size: size, tiles: tiles)
        let width = TileCoordinate.fullWidth
        while tree.nextIndex < size {
            let first = tree.nextIndex
            let count = Int(min(Int64(width), size - first))
            tiles.replace(with: try await edge(of: store, at: first + Int64(count), size: size))
            let entries = try await store.entries(from: first, count: count)
            for (offset, entry) in entries.enumerated() {
                guard entry.index == first + Int64(offset) else {
                    throw TreeVerificationError.missingEntries(from: first + Int64(offset))
                }
                try tree.add(entry.leaf, storedLeaf: entry.leafHash)
            }
            guard entries.count == count else {
                throw TreeVerificationError.missingEntries(from: first + Int64(entries.count))
            }
        }
        try tree.finish(root: checkpoint.root)
    }

    /// The stored tiles that end at this entry: those that the run before it completes, or, at the end, the right edge.
    private static func edge(of store: any AuditStore, at end: Int64, size: Int64) async throws -> [Tile] {
        var tiles: [Tile] = []
        for level in 0..<8 {
            let index = max(0, (end - 1) >> Int64(8 * (level + 1)))
            let span = Int64(1) << Int64(8 * (level + 1))
            guard end == size || end.isMultiple(of: span) else { break }
            let width = TileCoordinate.width(level: level, index: index, treeSize: size)
            guard width > 0 else { continue }
            let place = try TileCoordinate(level: level, index: index, width: width)
            if let tile = try await store.tile(place) { tiles.append(tile) }
        }
        return tiles
    }
}

/// The tiles that the next entries are compared with.
private final class FetchedTiles: TileReader {
    private let tiles = Mutex(TileSet())

    func replace(with fetched: [Tile]) { tiles.withLock { $0 = TileSet(fetched) } }

    func tile(_ coordinate: TileCoordinate) throws -> Tile? {
        try tiles.withLock { try $0.tile(coordinate) }
    }
}

extension AuditLogVerification.Failure: CustomStringConvertible {
    package var description: String {
        switch self {
        case .noCheckpoint: "the log has no checkpoint"
        case .checkpoint(let error): error.description
        case .tree(let error): error.description
        case .store(let error): error.description
        }
    }
}
