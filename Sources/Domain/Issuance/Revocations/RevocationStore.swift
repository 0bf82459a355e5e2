package import Registry
package import Revocation
package import SPIFFE

/// One thing that is revoked, as it is stored.
package struct RevocationRecord: Hashable, Sendable {
    package let subject: RevokedSubject
    /// End of the revoked credential, from when on the record is of no use; nil for what stays until it is undone.
    package let expiresAt: UnixTime?
    /// The administrator's words.
    package let reason: String
    package let createdAt: UnixTime
    /// The agent whose revocation brought this certificate's along; nil for what was revoked by itself.
    package let cause: SPIFFEID?

    package init(
        subject: RevokedSubject, expiresAt: UnixTime?, reason: String, createdAt: UnixTime, cause: SPIFFEID? = nil
    ) {
        self.subject = subject
        self.expiresAt = expiresAt
        self.reason = reason
        self.createdAt = createdAt
        self.cause = cause
    }
}

/// All that is revoked, and the number of that state.
package struct StoredRevocations: Hashable, Sendable {
    package var records: [RevocationRecord]
    package var sequence: Int64

    package init(records: [RevocationRecord] = [], sequence: Int64 = 0) {
        self.records = records
        self.sequence = sequence
    }
}

/// Where revocations are stored.
///
/// Implementations guarantee: `replace` is atomic and durable when it returns. When it throws, the old or the new value
/// may be stored: the caller loads again before it writes again.
package protocol RevocationStore: Sendable {
    /// What was stored last; the empty value in a new store.
    func load() async throws(StoreError) -> StoredRevocations
    /// Stores this value in the place of the old one.
    func replace(with revocations: StoredRevocations) async throws(StoreError)
}
