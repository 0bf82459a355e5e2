package import AgentDirectory
package import Registry
import Synchronization

/// The directory's store in plain memory.
package final class InMemoryDirectoryStore: DirectoryStore {
    private let stored = Mutex(DirectorySnapshot())

    package init() {}

    package func load() async throws(StoreError) -> DirectorySnapshot { stored.withLock { $0 } }

    package func apply(_ changes: [DirectoryChange]) async throws(StoreError) {
        stored.withLock { $0.apply(changes) }
    }
}

/// A store of the directory that goes wrong by plan.
package struct FaultyDirectoryStore: DirectoryStore {
    private let base: any DirectoryStore
    private let plan: FaultPlan

    package init(_ base: any DirectoryStore, plan: FaultPlan) {
        self.base = base
        self.plan = plan
    }

    package func load() async throws(StoreError) -> DirectorySnapshot {
        try await plan.read(failingWith: injected) { () async throws(StoreError) in try await base.load() }
    }

    package func apply(_ changes: [DirectoryChange]) async throws(StoreError) {
        try await plan.write(failingWith: injected) { () async throws(StoreError) in try await base.apply(changes) }
    }
}
