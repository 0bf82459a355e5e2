import TransparencyLog

/// A commit that was tried: what it writes and what the head is afterwards.
struct LogAttempt: Sendable {
    let batch: AuditBatch
    let frontier: TreeFrontier
    let checkpoint: SignedCheckpoint
    let sizeBefore: Int64

    init(
        records: [PendingRecord], after base: TreeFrontier, signer: NoteSigner, origin: String
    ) throws(AuditError) {
        var frontier = base
        var entries: [AuditEntry] = []
        entries.reserveCapacity(records.count)
        var tiles: [Tile] = []
        for record in records {
            for leaf in record.leaves {
                entries.append(AuditEntry(index: frontier.size, leaf: leaf.bytes, leafHash: leaf.hash))
                tiles.append(contentsOf: frontier.append(leaf.hash))
            }
        }
        // Level 0 changes with every leaf, a higher level only when a tile below it became full.
        let highestChanged = (tiles.map(\.coordinate.level).max() ?? -1) + 1
        tiles.append(contentsOf: frontier.partialTiles.filter { $0.coordinate.level <= highestChanged })
        do {
            let statement = try Checkpoint(origin: origin, size: frontier.size, root: frontier.root)
            checkpoint = try SignedCheckpoint.sign(statement, with: signer)
        } catch { throw .inconsistent("\(error)") }
        batch = AuditBatch(entries: entries, tiles: tiles, checkpoint: checkpoint.bytes)
        self.frontier = frontier
        sizeBefore = base.size
    }
}

/// The committed end of the log in memory, and what is unsure about it.
struct LogHead: Sendable {
    private(set) var frontier: TreeFrontier
    private(set) var checkpoint: SignedCheckpoint
    /// A commit that threw: it may be in the store or not.
    var doubt: LogAttempt?
    /// Set once and for all when the store holds something that this log did not write.
    private(set) var failure: AuditError?

    init(restoring tail: AuditTail, signer: NoteSigner, origin: String) throws(AuditError) {
        let hashesByLevel = Dictionary(tail.edge.map { ($0.coordinate.level, $0) }) { first, _ in first }
        do {
            frontier = try TreeFrontier(size: tail.size) { level in hashesByLevel[level]?.hashes ?? [] }
        } catch { throw .inconsistent("\(error)") }
        do {
            guard let stored = tail.checkpoint else {
                guard tail.size == 0 else { throw AuditError.inconsistent("there is no checkpoint") }
                let statement = try Checkpoint(origin: origin, size: 0, root: .emptyTree)
                checkpoint = try SignedCheckpoint.sign(statement, with: signer)
                return
            }
            checkpoint = try SignedCheckpoint.open(stored, verifiers: [signer.verifier], origin: origin)
        } catch let error as AuditError { throw error } catch { throw .inconsistent("\(error)") }
        guard checkpoint.checkpoint.size == frontier.size else {
            throw .inconsistent("the checkpoint is over \(checkpoint.checkpoint.size) of \(tail.size) entries")
        }
        guard checkpoint.checkpoint.root == frontier.root else {
            throw .inconsistent("the stored tiles do not lead to the signed root")
        }
    }

    mutating func adopt(_ attempt: LogAttempt) {
        frontier = attempt.frontier
        checkpoint = attempt.checkpoint
        doubt = nil
    }

    /// Decides by the stored tail whether an attempt that threw took place; anything else is not ours.
    mutating func settle(_ attempt: LogAttempt, storedTail tail: AuditTail) throws(AuditError) {
        if tail.size == attempt.frontier.size, tail.checkpoint == attempt.checkpoint.bytes {
            adopt(attempt)
        } else if tail.size == attempt.sizeBefore, tail.size == 0 || tail.checkpoint == checkpoint.bytes {
            doubt = nil
        } else {
            let error = AuditError.inconsistent(
                "the store has \(tail.size) entries where \(attempt.sizeBefore) or \(attempt.frontier.size) should be")
            failure = error
            throw error
        }
    }
}
