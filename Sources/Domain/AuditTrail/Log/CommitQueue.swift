import TransparencyLog

/// A leaf with its hash, made in the task of the caller so that the writer only sequences.
struct PreparedLeaf: Sendable {
    let bytes: [UInt8]
    let hash: Hash256

    init(_ event: AuditEvent) {
        bytes = event.leafBytes()
        hash = TreeHasher.leaf(bytes)
    }
}

/// One call that waits: its leaves are committed together.
struct PendingRecord {
    let leaves: [PreparedLeaf]
    /// Resumed exactly once, with the index of the first leaf.
    let caller: UnsafeContinuation<Result<Int64, AuditError>, Never>
}

/// The bounded line of callers in front of the committing loop: a state machine that its owner guards by a lock.
struct CommitQueue {
    private var records: [PendingRecord] = []
    private var eventCount = 0
    private var parkedWriter: UnsafeContinuation<Void, Never>?
    private var isStopped = false
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// Calls that wait.
    var recordCount: Int { records.count }

    enum AddAction {
        case wait
        case wake(UnsafeContinuation<Void, Never>)
        case refuse(AuditError)
    }

    mutating func add(_ record: PendingRecord) -> AddAction {
        guard !isStopped else { return .refuse(.stopped) }
        guard eventCount + record.leaves.count <= limit else { return .refuse(.overloaded) }
        records.append(record)
        eventCount += record.leaves.count
        guard let writer = parkedWriter else { return .wait }
        parkedWriter = nil
        return .wake(writer)
    }

    enum TakeAction {
        case records([PendingRecord])
        case empty
        case ended
    }

    /// The calls for the next commit, in their order; a call is never divided.
    mutating func take() -> TakeAction {
        guard !records.isEmpty else { return isStopped ? .ended : .empty }
        var taken = 0
        var events = 0
        while taken < records.count, events + records[taken].leaves.count <= AuditLimits.eventsPerCommit {
            events += records[taken].leaves.count
            taken += 1
        }
        let batch: [PendingRecord]
        if taken == records.count {
            batch = records
            records = []
        } else {
            batch = Array(records[..<taken])
            records.removeFirst(taken)
        }
        eventCount -= events
        return .records(batch)
    }

    /// Whether there is something to do already; if not, the writer is resumed when there is.
    mutating func park(_ writer: UnsafeContinuation<Void, Never>) -> Bool {
        guard records.isEmpty, !isStopped else { return true }
        parkedWriter = writer
        return false
    }

    mutating func stop() -> UnsafeContinuation<Void, Never>? {
        isStopped = true
        defer { parkedWriter = nil }
        return parkedWriter
    }
}
