import Crypto

/// One event in a spool, linked to the record before it.
package struct SpoolRecord: Sendable, Hashable {
    /// Counts from 1 within a spool, without gaps.
    package let sequence: UInt64
    /// Hash of the record before this one; empty for the first of a spool.
    package let previousHash: [UInt8]
    /// The event's leaf, RFC 8785 canonical JSON.
    package let event: [UInt8]

    package init(sequence: UInt64, previousHash: [UInt8], event: [UInt8]) {
        self.sequence = sequence
        self.previousHash = previousHash
        self.event = event
    }

    /// SHA-256 over `agentshield-spool-v1`, sequence, length of the previous hash, previous hash and event: what the next
    /// record links to.
    package var hash: [UInt8] {
        var hasher = SHA256()
        hasher.update(data: Array("agentshield-spool-v1\n".utf8))
        hasher.update(data: Self.bigEndian(sequence) + [UInt8(truncatingIfNeeded: previousHash.count)])
        hasher.update(data: previousHash)
        hasher.update(data: event)
        return Array(hasher.finalize())
    }

    /// The highest sequence: numbers in audit leaves are exact up to 2^53.
    package static let maximumSequence: UInt64 = 1 << 53
    /// Bytes of a hash.
    static let hashBytes = 32

    static func bigEndian(_ value: UInt64) -> [UInt8] {
        stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: value >> UInt64($0)) }
    }
}
