package import SPIFFE

/// One step of a change to the stored node agents.
package enum NodeChange: Hashable, Sendable {
    /// Inserts the node, or replaces all fields of the one with its ID.
    case put(NodeRecord)
    /// Removes by ID; no error when there is none.
    case delete(id: SPIFFEID)
}

/// Keeps attested node agents.
///
/// Implementations guarantee: `apply` is one transaction, all or nothing, durable when it returns, and not cut short by
/// the cancellation of the calling task.
package protocol NodeStore: Sendable {
    /// Every node, in any order.
    func allNodes() async throws(StoreError) -> [NodeRecord]

    /// The stored node with this ID.
    func node(id: SPIFFEID) async throws(StoreError) -> NodeRecord?

    /// All changes in order, or none.
    func apply(_ changes: [NodeChange]) async throws(StoreError)
}
