package import SPIFFE

/// A join token as it is handed to the operator, once. Stores only ever see ``JoinTokenRecord``.
package struct JoinToken: Hashable, Sendable {
    /// The secret; also the last segment of the node's SPIFFE ID.
    package let value: String

    /// After this time the token is refused.
    package let expiresAt: UnixTime

    package init(value: String, expiresAt: UnixTime) {
        self.value = value
        self.expiresAt = expiresAt
    }
}

/// What is stored of an unused join token.
package struct JoinTokenRecord: Hashable, Sendable {
    /// SHA-256 of the token, 64 lower-case hex digits: a copy of the database attests no node.
    package let digest: String

    /// After this time the token is refused.
    package let expiresAt: UnixTime

    package init(digest: String, expiresAt: UnixTime) {
        self.digest = digest
        self.expiresAt = expiresAt
    }
}
