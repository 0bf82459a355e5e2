package import SPIFFE

/// Keeps unused join tokens, by the SHA-256 of their value.
package protocol JoinTokenStore: Sendable {
    /// Stores a new token, durable when it returns; ``StoreError/conflict`` when the digest exists.
    func insert(_ token: JoinTokenRecord) async throws(StoreError)

    /// Removes the token and returns it, in one step, durable when it returns; nil when there is none.
    ///
    /// Implementations guarantee that of any number of parallel callers exactly one gets the token.
    /// Expired tokens are returned too: the caller looks at the time.
    func consume(digest: String) async throws(StoreError) -> JoinTokenRecord?

    /// Removes tokens whose `expiresAt` is at or before `time` and says how many there were.
    func deleteExpired(at time: UnixTime) async throws(StoreError) -> Int
}
