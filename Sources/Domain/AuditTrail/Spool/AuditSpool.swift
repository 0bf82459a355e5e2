import Dispatch
package import SPIFFE
import Synchronization

/// Events of a process that does not keep the log: append-only files, hash-linked, shipped at least once.
///
/// An append returns when the event is durable; events that arrive while files are synced share the next sync. Survives
/// `kill -9`: what an interrupted write left behind is cut off when the spool is opened.
package final class AuditSpool: Sendable {
    /// Random name of this spool; a new directory begins a new one.
    package let name: String

    private struct Waiting {
        let leaf: [UInt8]
        let caller: UnsafeContinuation<Result<Void, SpoolError>, Never>
    }

    private struct Line {
        var waiting: [Waiting] = []
        var isWorking = false
        var isClosed = false
    }

    private let now: @Sendable () -> UnixTime
    private let randomBytes: @Sendable (Int) -> [UInt8]
    /// Guards the files; held across system calls, on the worker's thread only. Nil once the spool is closed.
    private let files: Mutex<SpoolFiles?>
    private let line = Mutex(Line())
    private let worker = DispatchQueue(label: "audit spool")

    private init(
        files: consuming SpoolFiles, now: @escaping @Sendable () -> UnixTime,
        randomBytes: @escaping @Sendable (Int) -> [UInt8]
    ) {
        name = files.name
        self.files = Mutex(files)
        self.now = now
        self.randomBytes = randomBytes
    }

    /// Opens or begins the spool in a directory that is this process's own (made with mode 0700).
    ///
    /// Reads and checks every record that is not acknowledged. `limitBytes` bounds the files.
    package static func open(
        directory: String, limitBytes: Int = 64 * 1024 * 1024, now: @escaping @Sendable () -> UnixTime,
        randomBytes: @escaping @Sendable (Int) -> [UInt8]
    ) throws(SpoolError) -> AuditSpool {
        let files = try SpoolFiles.open(
            directory: directory, limitBytes: limitBytes, freshName: HexText.encode(randomBytes(16)))
        return AuditSpool(files: files, now: now, randomBytes: randomBytes)
    }

    /// Appends an event and returns its id when it is durable.
    @discardableResult
    package func append(_ event: consuming AuditEvent) async throws(SpoolError) -> String {
        let id = event.stamp(now: now, randomBytes: randomBytes)
        let leaf = event.leafBytes()
        let result = await withUnsafeContinuation { (caller: UnsafeContinuation<Result<Void, SpoolError>, Never>) in
            let refusal = line.withLock { line -> SpoolError? in
                guard !line.isClosed else { return .closed }
                guard line.waiting.count < Self.waitingLimit else { return .full }
                line.waiting.append(Waiting(leaf: leaf, caller: caller))
                if !line.isWorking {
                    line.isWorking = true
                    worker.async { self.writeWaiting() }
                }
                return nil
            }
            if let refusal { caller.resume(returning: .failure(refusal)) }
        }
        try result.get()
        return id
    }

    /// The oldest records that are not acknowledged, at most so many and about so many bytes of events.
    package func pending(limit: Int, bytes: Int = 1 << 20) async throws(SpoolError) -> [SpoolRecord] {
        try await onWorker { (files) throws(SpoolError) in
            guard let records = try files?.pending(limit: limit, bytes: bytes) else { throw .closed }
            return records
        }
    }

    /// How many records wait for acknowledgement.
    package func pendingCount() async -> UInt64 {
        let result: Result<UInt64, SpoolError> = await work { (files) throws(SpoolError) in files?.pendingCount ?? 0 }
        return (try? result.get()) ?? 0
    }

    /// Forgets records up to this one, which the log holds.
    package func acknowledge(upTo sequence: UInt64) async throws(SpoolError) {
        try await onWorker { (files) throws(SpoolError) in
            guard try files?.acknowledge(upTo: sequence) != nil else { throw .closed }
        }
    }

    /// Refuses further events, writes those that wait, and lets go of the directory.
    package func close() async {
        line.withLock { $0.isClosed = true }
        let _: Result<Void, SpoolError> = await work { (files) throws(SpoolError) in files = nil }
    }

    /// Events that may wait for the disk.
    private static var waitingLimit: Int { 4096 }
    /// Events of one write.
    private static var writeLimit: Int { 256 }

    private func writeWaiting() {
        while true {
            let batch = line.withLock { line -> [Waiting] in
                if line.waiting.isEmpty { line.isWorking = false }
                let batch = Array(line.waiting.prefix(Self.writeLimit))
                line.waiting.removeFirst(batch.count)
                return batch
            }
            guard !batch.isEmpty else { return }
            let result = files.withLock { files -> Result<Void, SpoolError> in
                do throws(SpoolError) {
                    guard try files?.append(batch.map(\.leaf)) != nil else { return .failure(.closed) }
                    return .success(())
                } catch { return .failure(error) }
            }
            for waiting in batch { waiting.caller.resume(returning: result) }
        }
    }

    private func onWorker<Value: Sendable>(
        _ body: @escaping @Sendable (inout SpoolFiles?) throws(SpoolError) -> Value
    ) async throws(SpoolError) -> Value {
        try await work(body).get()
    }

    private func work<Value: Sendable>(
        _ body: @escaping @Sendable (inout SpoolFiles?) throws(SpoolError) -> Value
    ) async -> Result<Value, SpoolError> {
        await withUnsafeContinuation { caller in
            worker.async {
                let result = self.files.withLock { files -> Result<Value, SpoolError> in
                    do throws(SpoolError) { return .success(try body(&files)) } catch { return .failure(error) }
                }
                caller.resume(returning: result)
            }
        }
    }
}
