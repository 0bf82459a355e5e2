package import SPIFFE
import Synchronization
package import TransparencyLog

/// The proof that an event is durable in the log. No receipt, no signature: whoever signs consumes one.
package struct AuditReceipt: ~Copyable, Sendable {
    /// The event's index in the log.
    package let index: Int64
    /// The event's id; an outcome names it as its intent.
    package let eventID: String

    // INVARIANT: made only after the commit that holds the event has returned.
    fileprivate init(index: Int64, eventID: String) {
        self.index = index
        self.eventID = eventID
    }
}

/// The tamper-evident log of the trust domain: sequences events, commits them in groups, signs a checkpoint per commit.
///
/// Owns the checkpoint key. `run` is the one writer; events that arrive while a commit runs go into the next one, so the
/// cost of making them durable is shared by all that are in flight.
package final class AuditLog: Sendable {
    /// The log's name in its checkpoints, such as `example.org/log`.
    package let origin: String

    private let store: any AuditStore
    private let signer: NoteSigner
    private let now: @Sendable () -> UnixTime
    private let randomBytes: @Sendable (Int) -> [UInt8]
    private let queue: Mutex<CommitQueue>
    private let head: Mutex<LogHead>

    private init(
        store: any AuditStore, signer: NoteSigner, origin: String, now: @escaping @Sendable () -> UnixTime,
        randomBytes: @escaping @Sendable (Int) -> [UInt8], queueLimit: Int, head: LogHead
    ) {
        self.store = store
        self.signer = signer
        self.origin = origin
        self.now = now
        self.randomBytes = randomBytes
        queue = Mutex(CommitQueue(limit: queueLimit))
        self.head = Mutex(head)
    }

    /// Restores the log from its store. Fails closed when checkpoint, tiles and size contradict each other, or the
    /// checkpoint was not signed by this key for this origin.
    ///
    /// Events may be recorded at once; they wait until `run` runs.
    package static func open(
        store: any AuditStore, signer: NoteSigner, origin: String, now: @escaping @Sendable () -> UnixTime,
        randomBytes: @escaping @Sendable (Int) -> [UInt8], queueLimit: Int = AuditLimits.queuedEvents
    ) async throws(AuditError) -> AuditLog {
        let tail: AuditTail
        do { tail = try await store.loadTail() } catch { throw AuditError(error) }
        let head = try LogHead(restoring: tail, signer: signer, origin: origin)
        return AuditLog(
            store: store, signer: signer, origin: origin, now: now, randomBytes: randomBytes, queueLimit: queueLimit,
            head: head)
    }

    /// The verifier key to hand to auditors, `name+hash+base64`.
    package var vkey: String { signer.vkey }

    /// Verifies notes of this log.
    package var verifier: NoteVerifier { signer.verifier }

    /// Entries under the latest checkpoint.
    package var size: Int64 { head.withLock { $0.frontier.size } }

    /// The latest signed checkpoint; for an empty log one over nothing.
    package func checkpoint() -> SignedCheckpoint { head.withLock { $0.checkpoint } }

    /// Calls that wait for the next commit.
    package var waitingCount: Int { queue.withLock { $0.recordCount } }

    /// Why the log takes no more events, if so: somebody else wrote to its store, or what is stored is damaged.
    package var failure: AuditError? { head.withLock { $0.failure } }
}

// MARK: recording

extension AuditLog {
    /// Records an event and returns when it is durable. Also waits for it if the calling task is cancelled.
    package func record(_ event: consuming AuditEvent) async throws(AuditError) -> AuditReceipt {
        let id = event.stamp(now: now, randomBytes: randomBytes)
        let index = try await enqueue([PreparedLeaf(event)])
        return AuditReceipt(index: index, eventID: id)
    }

    /// Records how an act ended; the event's correlation names the intent.
    @discardableResult
    package func recordOutcome(
        of intent: borrowing AuditReceipt, _ event: AuditEvent
    ) async throws(AuditError) -> AuditReceipt {
        try await recordOutcome(ofIntent: intent.eventID, event)
    }

    /// Records how an act ended whose receipt has been consumed.
    @discardableResult
    package func recordOutcome(
        ofIntent intentID: String, _ event: consuming AuditEvent
    ) async throws(AuditError) -> AuditReceipt {
        event.phase = .outcome
        event.correlation.intentID = intentID
        return try await record(event)
    }

    /// Records events one after the other in one commit: all of them or none. At most `AuditLimits.eventsPerCall`.
    /// Returns their ids, by which outcomes name their intents.
    @discardableResult
    package func record(contentsOf events: [AuditEvent]) async throws(AuditError) -> [String] {
        guard events.count <= AuditLimits.eventsPerCall else { throw .overloaded }
        guard !events.isEmpty else { return [] }
        var events = events
        let ids = events.indices.map { events[$0].stamp(now: now, randomBytes: randomBytes) }
        _ = try await enqueue(events.map { PreparedLeaf($0) })
        return ids
    }

    private func enqueue(_ leaves: [PreparedLeaf]) async throws(AuditError) -> Int64 {
        if let failure { throw failure }
        let result = await withUnsafeContinuation { (caller: UnsafeContinuation<Result<Int64, AuditError>, Never>) in
            let action = queue.withLock { $0.add(PendingRecord(leaves: leaves, caller: caller)) }
            switch action {
            case .wait: break
            case .wake(let writer): writer.resume()
            case .refuse(let error): caller.resume(returning: .failure(error))
            }
        }
        return try result.get()
    }
}

// MARK: committing

extension AuditLog {
    /// Commits what is recorded until the calling task is cancelled; then commits what had been queued and ends.
    /// From then on recording fails with `.stopped`. To be run once, by one task.
    package func run() async throws {
        await withTaskCancellationHandler {
            var lastCount = 1
            while let records = await nextRecords(expecting: lastCount) {
                lastCount = records.count
                await commit(records)
            }
        } onCancel: {
            stop()
        }
    }

    /// Takes no more events; `run` ends when it has committed what is queued.
    package func stop() {
        let writer = queue.withLock { $0.stop() }
        writer?.resume()
    }

    private func nextRecords(expecting expected: Int) async -> [PendingRecord]? {
        while true {
            await gather(expecting: expected)
            switch queue.withLock({ $0.take() }) {
            case .records(let records): return records
            case .ended: return nil
            case .empty:
                await withUnsafeContinuation { writer in
                    let isReady = queue.withLock { $0.park(writer) }
                    if isReady { writer.resume() }
                }
            }
        }
    }

    /// Lets the callers of the last commit, who have just been resumed, come back before the next one starts: without it
    /// the first of them would pay for a commit of its own. Ends as soon as nobody came during one turn.
    private func gather(expecting expected: Int) async {
        var seen = 0
        for _ in 0..<Self.gatherTurns {
            let waiting = queue.withLock { $0.recordCount }
            guard waiting > seen, waiting < expected else { return }
            seen = waiting
            await Task.yield()
        }
    }

    private static var gatherTurns: Int { 64 }

    private func commit(_ records: [PendingRecord]) async {
        do throws(AuditError) {
            try await settleDoubt()
            let (base, failure) = head.withLock { ($0.frontier, $0.failure) }
            if let failure { throw failure }
            let attempt = try LogAttempt(records: records, after: base, signer: signer, origin: origin)
            do {
                try await store.commit(attempt.batch)
            } catch {
                head.withLock { $0.doubt = attempt }
                throw AuditError(error)
            }
            head.withLock { $0.adopt(attempt) }
            var index = base.size
            for record in records {
                record.caller.resume(returning: .success(index))
                index += Int64(record.leaves.count)
            }
        } catch {
            for record in records { record.caller.resume(returning: .failure(error)) }
        }
    }

    /// After a failed commit: asks the store whether it became durable all the same, before anything is written again.
    private func settleDoubt() async throws(AuditError) {
        guard let doubt = head.withLock({ $0.doubt }) else { return }
        let tail: AuditTail
        do { tail = try await store.loadTail() } catch { throw AuditError(error) }
        try head.withLock { (head) throws(AuditError) in try head.settle(doubt, storedTail: tail) }
    }
}

// MARK: reading

extension AuditLog {
    /// Up to `count` committed entries from an index on.
    package func entries(from index: Int64, count: Int) async throws(AuditError) -> [AuditEntry] {
        let size = size
        guard index >= 0, count > 0, index < size else { return [] }
        let available = Int(min(Int64(count), size - index))
        do { return try await store.entries(from: index, count: available) } catch { throw AuditError(error) }
    }

    /// A tile of the committed tree.
    package func tile(_ coordinate: TileCoordinate) async throws(AuditError) -> Tile {
        guard coordinate.exists(inTreeOfSize: size) else { throw .notFound }
        do {
            guard let tile = try await store.tile(coordinate) else { throw AuditError.notFound }
            return tile
        } catch let error as AuditStoreError { throw AuditError(error) } catch { throw .notFound }
    }

    /// The proof, to be verified offline, that the entry is in the log under its latest checkpoint.
    package func proof(index: Int64, extra: [UInt8]? = nil) async throws(AuditError) -> TLogProof {
        let checkpoint = checkpoint()
        let size = checkpoint.checkpoint.size
        guard index >= 0, index < size else { throw .notFound }
        do {
            let proof = try await InclusionProof.make(index: index, size: size) { try await store.tile($0) }
            return try TLogProof(extra: extra, proof: proof, checkpoint: checkpoint)
        } catch let error as AuditStoreError { throw AuditError(error) } catch { throw .inconsistent("\(error)") }
    }
}
