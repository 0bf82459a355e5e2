package import Registry

/// One step of a change to the stored approvals.
package enum ApprovalChange: Sendable, Equatable {
    /// Inserts, or replaces what has the same identifier.
    case put(Approval)
    case delete(id: String)

    package var id: String {
        switch self {
        case .put(let approval): approval.id
        case .delete(let id): id
        }
    }
}

/// Keeps approvals.
///
/// Implementations guarantee: `apply` is one transaction, all or nothing, durable when it returns, and not cut short by
/// the cancellation of the calling task. A stored approval that cannot be read exactly is an error, never left out.
package protocol ApprovalStore: Sendable {
    func load() async throws(StoreError) -> [Approval]

    func apply(_ changes: [ApprovalChange]) async throws(StoreError)
}
