package import TransparencyLog

/// Where the log's entries, tiles and checkpoint are kept.
///
/// What an implementation must guarantee:
/// - `commit` is one transaction: all of the batch or nothing becomes durable (fsync) before it returns, and it is not
///   cut short by the cancellation of the calling task. It may throw although the batch became durable; the log then
///   finds out by `loadTail`.
/// - It refuses a batch whose first index is not the stored size: no index is ever written twice.
/// - Reads see whole transactions only.
package protocol AuditStore: Sendable {
    /// The end of the log as stored.
    func loadTail() async throws(AuditStoreError) -> AuditTail
    /// Makes the batch durable.
    func commit(_ batch: AuditBatch) async throws(AuditStoreError)
    /// Up to `count` entries from an index on, in order; fewer at the end of the log.
    func entries(from index: Int64, count: Int) async throws(AuditStoreError) -> [AuditEntry]
    /// A full tile, or the first hashes of the stored tile for a narrower one; nil if there is none so wide.
    func tile(_ coordinate: TileCoordinate) async throws(AuditStoreError) -> Tile?
    /// The latest signed checkpoint; nil before the first commit.
    func checkpoint() async throws(AuditStoreError) -> [UInt8]?
}

/// One entry as stored.
package struct AuditEntry: Sendable, Hashable {
    package let index: Int64
    /// RFC 8785 canonical JSON: the bytes that were hashed.
    package let leaf: [UInt8]
    /// SHA-256(0x00 || leaf).
    package let leafHash: Hash256

    package init(index: Int64, leaf: [UInt8], leafHash: Hash256) {
        self.index = index
        self.leaf = leaf
        self.leafHash = leafHash
    }
}

/// What one commit adds.
package struct AuditBatch: Sendable {
    /// Consecutive indexes, the first of which is the size of the log before the commit; never empty.
    package let entries: [AuditEntry]
    /// Tiles that became full, and the right-edge tiles that changed. A tile replaces the stored one of its place.
    package let tiles: [Tile]
    /// The signed note over the new size and root.
    package let checkpoint: [UInt8]

    package init(entries: [AuditEntry], tiles: [Tile], checkpoint: [UInt8]) {
        self.entries = entries
        self.tiles = tiles
        self.checkpoint = checkpoint
    }
}

/// The end of the log as stored: what is needed to go on.
package struct AuditTail: Sendable {
    /// Number of entries stored.
    package let size: Int64
    /// The latest signed checkpoint; nil for an empty log.
    package let checkpoint: [UInt8]?
    /// The right-edge tile of each level that has one.
    package let edge: [Tile]

    package init(size: Int64, checkpoint: [UInt8]?, edge: [Tile]) {
        self.size = size
        self.checkpoint = checkpoint
        self.edge = edge
    }
}

/// Why the store could not do it.
package enum AuditStoreError: Error, Sendable, Hashable {
    /// No space is left on the device.
    case storageFull
    /// What is stored contradicts itself.
    case damaged(String)
    /// The batch does not begin where the stored log ends.
    case wrongIndex(expected: Int64, actual: Int64)
    /// Anything else that the technology below reports.
    case failed(String)
}

extension AuditStoreError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .storageFull: "no space is left for the audit log"
        case .damaged(let what): "the stored audit log is damaged: \(what)"
        case .wrongIndex(let expected, let actual): "entry \(actual) does not follow the stored log of size \(expected)"
        case .failed(let what): "the audit log's storage failed: \(what)"
        }
    }
}
