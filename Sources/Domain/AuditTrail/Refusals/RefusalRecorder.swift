package import SPIFFE
import Synchronization

/// Records refusals of peers that nobody has authenticated, without letting them fill the disk (architecture, decision 7).
///
/// Singly up to a number per source and kind in each interval, then as one counted record per interval. Everything is
/// bounded: the table, the records of one interval, the queue. Callers never wait: an admission is not held up by the
/// refusals around it.
package final class RefusalRecorder: Sendable {
    /// What refusals may cost in one interval.
    package struct Limits: Sendable {
        /// Single records per source and kind.
        package var singlePerSource: Int
        /// Single records over all sources.
        package var singleInTotal: Int
        /// Sources and kinds that are counted apart; the others share one count.
        package var sources: Int
        /// Single records that may wait for the log.
        package var queued: Int
        package var interval: Duration

        package init(
            singlePerSource: Int = 5, singleInTotal: Int = 120, sources: Int = 64, queued: Int = 256,
            interval: Duration = .seconds(60)
        ) {
            self.singlePerSource = singlePerSource
            self.singleInTotal = singleInTotal
            self.sources = sources
            self.queued = queued
            self.interval = interval
        }
    }

    private let log: AuditLog
    private let limits: Limits
    private let now: @Sendable () -> UnixTime
    private let sleep: @Sendable (Duration) async throws -> Void
    private let table: Mutex<RefusalTable>
    private let singles: AsyncStream<AuditEvent>
    private let queue: AsyncStream<AuditEvent>.Continuation

    package init(
        log: AuditLog, limits: Limits = Limits(), now: @escaping @Sendable () -> UnixTime,
        sleep: @escaping @Sendable (Duration) async throws -> Void
    ) {
        self.log = log
        self.limits = limits
        self.now = now
        self.sleep = sleep
        table = Mutex(RefusalTable(limits: limits))
        (singles, queue) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(limits.queued))
    }

    /// Notes a refusal: `source` is the peer's address or uid, `kind` a word such as the RPC or the reason.
    package func record(_ event: AuditEvent, source: String, kind: String) {
        var event = event
        event.time = event.time ?? now()
        guard table.withLock({ $0.admit(event, source: source, kind: kind) }) else { return }
        if case .enqueued = queue.yield(event) { return }
        table.withLock { $0.count(event, source: source, kind: kind) }
    }

    /// Writes single records as they come and counted ones at the end of each interval, until the task is cancelled.
    package func run() async throws {
        await withTaskGroup { group in
            group.addTask { await self.writeSingles() }
            group.addTask { await self.writeCounts() }
        }
        await flush()
    }

    private func writeSingles() async {
        for await event in singles {
            do { _ = try await log.record(event) } catch { table.withLock { $0.countUnrecorded() } }
        }
    }

    private func writeCounts() async {
        while (try? await sleep(limits.interval)) != nil { await flush() }
    }

    /// Ends the interval.
    private func flush() async {
        var events = table.withLock { $0.endInterval() }[...]
        while !events.isEmpty {
            let batch = Array(events.prefix(AuditLimits.eventsPerCall))
            events = events.dropFirst(batch.count)
            do { try await log.record(contentsOf: batch) } catch { table.withLock { $0.restore(batch) } }
        }
    }
}
