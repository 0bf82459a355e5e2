/// The stored form of records: length of the event (4 bytes, big-endian), sequence (8), previous hash (32, zeros for
/// none), event, and the record's hash (32), by which an interrupted write is told from a complete one.
enum SpoolSegment {
    static let headerBytes = 4 + 8 + SpoolRecord.hashBytes
    static let overhead = headerBytes + SpoolRecord.hashBytes

    static func encode(_ record: SpoolRecord, hash: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(overhead + record.event.count)
        bytes.append(contentsOf: SpoolRecord.bigEndian(UInt64(record.event.count)).suffix(4))
        bytes.append(contentsOf: SpoolRecord.bigEndian(record.sequence))
        let none = [UInt8](repeating: 0, count: SpoolRecord.hashBytes)
        bytes.append(contentsOf: record.previousHash.isEmpty ? none : record.previousHash)
        bytes.append(contentsOf: record.event)
        bytes.append(contentsOf: hash)
        return bytes
    }

    /// What a file holds: its records, and where the last whole one ends.
    struct Content {
        var records: [SpoolRecord] = []
        var end = 0
        /// Bytes follow the last whole record, as an interrupted write leaves them.
        var isTorn = false
    }

    /// Reads a file whose first record has `firstSequence`. Nil when it was changed: a record that is whole but wrong and
    /// has others behind it, or does not continue the one before.
    ///
    /// `previousHash` is the hash that the first record must link to; nil when the record before it is gone.
    static func decode(
        _ bytes: [UInt8], firstSequence: UInt64, previousHash: [UInt8]?, isLast: Bool
    ) -> Content? {
        var content = Content()
        var expected = firstSequence
        var link = previousHash
        while content.end < bytes.count {
            let rest = bytes[content.end...]
            guard let (record, length, isValid) = parse(rest) else {
                // The record runs beyond the end of the file. No record has so long an event that is not a changed length.
                content.isTorn = true
                let isPossible = rest.count < 4 || number(rest.prefix(4)) <= UInt64(AuditLimits.leafBytes)
                return isLast && isPossible ? content : nil
            }
            let continues = record.sequence == expected && (link == nil || link == record.previousHash)
            guard isValid, continues else {
                content.isTorn = true
                let isAtEnd = length == rest.count || rest.allSatisfy { $0 == 0 }
                return isLast && isAtEnd && !isValid ? content : nil
            }
            content.records.append(record)
            content.end += length
            expected += 1
            link = record.hash
        }
        return content
    }

    /// The record at the start of the bytes, with its length and whether its hash is right; nil if it is not complete.
    private static func parse(_ bytes: ArraySlice<UInt8>) -> (SpoolRecord, length: Int, isValid: Bool)? {
        guard bytes.count >= overhead else { return nil }
        let eventCount = Int(number(bytes.prefix(4)))
        let length = overhead + eventCount
        guard bytes.count >= length else { return nil }
        let sequence = number(bytes.dropFirst(4).prefix(8))
        let stored = Array(bytes.dropFirst(12).prefix(SpoolRecord.hashBytes))
        let previous = sequence == 1 && stored.allSatisfy { $0 == 0 } ? [] : stored
        let event = Array(bytes.dropFirst(headerBytes).prefix(eventCount))
        let record = SpoolRecord(sequence: sequence, previousHash: previous, event: event)
        let hash = bytes.dropFirst(headerBytes + eventCount).prefix(SpoolRecord.hashBytes)
        return (record, length, hash.elementsEqual(record.hash))
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }
}
