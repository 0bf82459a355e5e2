import Synchronization

/// Everything that the token service decides by: blueprints, agents with their credentials, resources and grants.
package final class AgentDirectory: Sendable {
    // Guards the present state; readers copy it and leave.
    private let state = Mutex(DirectorySnapshot())

    package init() {}

    /// The directory as it is now.
    package var snapshot: DirectorySnapshot { state.withLock { $0 } }
}
