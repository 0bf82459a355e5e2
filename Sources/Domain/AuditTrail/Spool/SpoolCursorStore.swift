package import SPIFFE

/// Keeps how far each spool has been taken into the log.
///
/// Implementations guarantee: `save` is durable when it returns and replaces the node's cursor as a whole.
package protocol SpoolCursorStore: Sendable {
    /// The node's cursor; nil when it has shipped nothing yet.
    func cursor(of node: SPIFFEID) async throws(AuditStoreError) -> SpoolCursor?
    func save(_ cursor: SpoolCursor) async throws(AuditStoreError)
}

/// The last record of a node's spool that is in the log.
package struct SpoolCursor: Sendable, Hashable {
    /// The node that ships; the key.
    package let node: SPIFFEID
    /// Name of the node's current spool.
    package let spool: String
    package let sequence: UInt64
    /// Hash of that record.
    package let hash: [UInt8]

    package init(node: SPIFFEID, spool: String, sequence: UInt64, hash: [UInt8]) {
        self.node = node
        self.spool = spool
        self.sequence = sequence
        self.hash = hash
    }
}
