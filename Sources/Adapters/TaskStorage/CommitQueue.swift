import SQLiteFile
import Synchronization

/// Brings writes that come at the same time into one transaction, since what a write costs is above all that it lasts.
///
/// A write that fails takes none of the others with it: each stands in a savepoint of its own.
final class CommitQueue: Sendable {
    private struct Waiting {
        let body: @Sendable (DatabaseAccess) throws -> Void
        let done: CheckedContinuation<(any Error)?, Never>
    }

    private struct State {
        var waiting: [Waiting] = []
        var isWriting = false
    }

    /// The most writes of one transaction, so that none waits for too many others.
    private static let maximumGroup = 512

    private let database: SQLiteDatabase
    private let state = Mutex(State())

    init(_ database: SQLiteDatabase) {
        self.database = database
    }

    /// Returns once the write lasts.
    func write(_ body: @escaping @Sendable (DatabaseAccess) throws -> Void) async throws {
        let failure = await withCheckedContinuation { done in
            let begins = state.withLock { state in
                state.waiting.append(Waiting(body: body, done: done))
                guard !state.isWriting else { return false }
                state.isWriting = true
                return true
            }
            if begins { Task { await self.drain() } }
        }
        if let failure { throw failure }
    }

    private func drain() async {
        while true {
            let group = state.withLock { state -> [Waiting] in
                let group = Array(state.waiting.prefix(Self.maximumGroup))
                state.waiting.removeFirst(group.count)
                if group.isEmpty { state.isWriting = false }
                return group
            }
            guard !group.isEmpty else { return }
            let result = await database.write { db in
                var failures: [(any Error)?] = []
                failures.reserveCapacity(group.count)
                for waiting in group {
                    guard group.count > 1 else {
                        try waiting.body(db)
                        failures.append(nil)
                        break
                    }
                    do {
                        try db.inSavepoint {
                            try waiting.body(db)
                            return .commit
                        }
                        failures.append(nil)
                    } catch {
                        // A full disk ends the whole transaction.
                        guard db.isInsideTransaction else { throw error }
                        failures.append(error)
                    }
                }
                return Failures(failures)
            }
            switch result {
            case .success(let failures):
                for (waiting, failure) in zip(group, failures.each) { waiting.done.resume(returning: failure) }
            case .failure(let error):
                for waiting in group { waiting.done.resume(returning: error) }
            }
        }
    }

    private struct Failures: Sendable {
        let each: [(any Error)?]

        init(_ each: [(any Error)?]) {
            self.each = each
        }
    }
}
