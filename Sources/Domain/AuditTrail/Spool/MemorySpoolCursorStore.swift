package import SPIFFE
import Synchronization

/// Cursors that end with the process.
package final class MemorySpoolCursorStore: SpoolCursorStore {
    private let cursors = Mutex<[SPIFFEID: SpoolCursor]>([:])

    package init() {}

    package func cursor(of node: SPIFFEID) async throws(AuditStoreError) -> SpoolCursor? {
        cursors.withLock { $0[node] }
    }

    package func save(_ cursor: SpoolCursor) async throws(AuditStoreError) {
        cursors.withLock { $0[cursor.node] = cursor }
    }
}
