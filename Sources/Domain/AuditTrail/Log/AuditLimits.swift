/// Sizes that bound what one event and the queue can cost. String limits count bytes of the JSON text.
package enum AuditLimits {
    /// Longest leaf: an entry of tlog-tiles has a 16-bit length.
    package static let leafBytes = 65_535
    /// SPIFFE IDs (SPIFFE-ID §2.3) and resource names.
    package static let identifierBytes = 2048
    /// Reasons and causes.
    package static let reasonBytes = 1024
    /// Words, hashes, request IDs, addresses.
    package static let wordBytes = 256
    /// Facts in an effect.
    package static let resultItems = 16
    /// One fact of an effect.
    package static let resultBytes = 1024
    /// Events that may wait for the committing loop.
    package static let queuedEvents = 8192
    /// Events in one commit; bounds the time that a commit takes.
    package static let eventsPerCommit = 1024
    /// Events recorded by one call.
    package static let eventsPerCall = 256
}
