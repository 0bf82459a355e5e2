#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The files of a spool: `lock`, `position` (name and last acknowledged record) and segments `records-<first sequence>`.
///
/// INVARIANT: records run without gap from the first segment to `next`; `lastHash` is the hash of record `next - 1`.
struct SpoolFiles: ~Copyable {
    private struct Segment {
        let first: UInt64
        let path: String
        var bytes: Int
    }

    let name: String
    private let directory: String
    private let limitBytes: Int
    private let lock: SpoolFile
    private var segments: [Segment] = []
    private var current: SpoolFile?
    private var next: UInt64
    private var lastHash: [UInt8]
    private var acknowledged: UInt64
    /// The newest records that are not acknowledged, so that a spool that is shipped in time never reads its files.
    private var recent = RecentRecords()
    /// Set when a failed write could not be taken back.
    private var failure: SpoolError?

    /// Records of one segment before the next begins; acknowledged segments are removed as a whole.
    static var segmentBytes: Int { 256 * 1024 }

    /// Opens or begins a spool; the lock is held until the value ends.
    static func open(
        directory: String, limitBytes: Int, freshName: String
    ) throws(SpoolError) -> SpoolFiles {
        try SpoolFile.makeDirectory(directory)
        let lock = try SpoolFile(path: directory + "/lock", flags: O_RDWR | O_CREAT)
        try lock.lock()
        let position = try SpoolPosition.load(inDirectory: directory, freshName: freshName)
        let found = try restore(directory, position)
        var files = SpoolFiles(
            directory: directory, limitBytes: limitBytes, lock: lock, position: position, segments: found.segments,
            next: found.next, lastHash: found.lastHash)
        try files.removeAcknowledged()
        return files
    }

    private init(
        directory: String, limitBytes: Int, lock: consuming SpoolFile, position: SpoolPosition, segments: [Segment],
        next: UInt64, lastHash: [UInt8]
    ) {
        self.directory = directory
        self.limitBytes = limitBytes
        self.lock = lock
        self.segments = segments
        self.next = next
        self.lastHash = lastHash
        name = position.name
        acknowledged = position.sequence
    }

    private static func restore(
        _ directory: String, _ position: SpoolPosition
    ) throws(SpoolError) -> (segments: [Segment], next: UInt64, lastHash: [UInt8]) {
        let firsts = try SpoolFile.names(in: directory).compactMap(firstSequence).sorted()
        var segments: [Segment] = []
        var next = position.sequence + 1
        var link: [UInt8]? = position.hash
        for first in firsts {
            let path = path(of: first, in: directory)
            if segments.isEmpty {
                guard first <= next else { throw .damaged(file: path) }
                if first != next { link = nil }
                next = first
            }
            guard first == next else { throw .damaged(file: path) }
            let isLast = first == firsts.last
            let bytes = try SpoolFile(path: path, flags: O_RDONLY).readAll()
            guard
                let content = SpoolSegment.decode(bytes, firstSequence: first, previousHash: link, isLast: isLast)
            else { throw .damaged(file: path) }
            if content.isTorn {
                let file = try SpoolFile(path: path, flags: O_WRONLY)
                try file.truncate(to: content.end)
                try file.sync()
            }
            guard let last = content.records.last else {
                // Only a segment that was just begun can be empty.
                try SpoolFile.remove(path)
                continue
            }
            segments.append(Segment(first: first, path: path, bytes: content.end))
            next = last.sequence + 1
            link = last.hash
        }
        guard next > position.sequence else { throw .damaged(file: SpoolPosition.path(in: directory)) }
        return (segments, next, segments.isEmpty ? position.hash : link ?? [])
    }

    /// Appends and syncs; all of the leaves become durable or none.
    mutating func append(_ leaves: [[UInt8]]) throws(SpoolError) {
        if let failure { throw failure }
        var bytes: [UInt8] = []
        var sequence = next
        var hash = lastHash
        var records: [RecentRecords.Item] = []
        for leaf in leaves {
            let record = SpoolRecord(sequence: sequence, previousHash: hash, event: leaf)
            hash = record.hash
            bytes.append(contentsOf: SpoolSegment.encode(record, hash: hash))
            records.append(RecentRecords.Item(record: record, hash: hash))
            sequence += 1
        }
        guard sequence <= SpoolRecord.maximumSequence, storedBytes + bytes.count <= limitBytes else { throw .full }
        if current == nil || (segments.last?.bytes ?? 0) >= Self.segmentBytes { try beginSegment() }
        guard let place = segments.indices.last else { throw .closed }
        do throws(SpoolError) {
            try current?.write(bytes)
            try current?.syncData()
        } catch {
            takeBack(to: segments[place].bytes, after: error)
            throw error
        }
        segments[place].bytes += bytes.count
        next = sequence
        lastHash = hash
        for record in records { recent.append(record) }
    }

    /// The oldest records that are not acknowledged, at most so many and about so many bytes.
    func pending(limit: Int, bytes: Int) throws(SpoolError) -> [SpoolRecord] {
        if let records = recent.records(from: acknowledged + 1, limit: limit, bytes: bytes) { return records }
        var records: [SpoolRecord] = []
        var size = 0
        for (place, segment) in segments.enumerated() {
            let end = place + 1 < segments.count ? segments[place + 1].first : next
            guard end > acknowledged + 1 else { continue }
            for record in try decode(segment) where record.sequence > acknowledged {
                guard records.count < limit, records.isEmpty || size + record.event.count <= bytes else {
                    return records
                }
                records.append(record)
                size += record.event.count
            }
        }
        return records
    }

    /// Forgets records up to this one; more than there are counts as all.
    mutating func acknowledge(upTo sequence: UInt64) throws(SpoolError) {
        let sequence = min(sequence, next - 1)
        guard sequence > acknowledged else { return }
        try SpoolPosition(name: name, sequence: sequence, hash: hash(of: sequence)).save(inDirectory: directory)
        acknowledged = sequence
        recent.remove(upTo: sequence)
        try removeAcknowledged()
    }

    private func hash(of sequence: UInt64) throws(SpoolError) -> [UInt8] {
        if let hash = recent.hash(of: sequence) { return hash }
        guard let segment = segments.last(where: { $0.first <= sequence }),
            let record = try decode(segment).first(where: { $0.sequence == sequence })
        else { throw .damaged(file: directory) }
        return record.hash
    }

    /// Records that wait for acknowledgement.
    var pendingCount: UInt64 { next - 1 - acknowledged }

    private var storedBytes: Int { segments.reduce(0) { $0 + $1.bytes } }

    private mutating func beginSegment() throws(SpoolError) {
        let path = Self.path(of: next, in: directory)
        let file = try SpoolFile(path: path, flags: O_WRONLY | O_CREAT | O_APPEND)
        try file.truncate(to: 0)
        try SpoolFile.syncDirectory(directory)
        if segments.last?.first != next { segments.append(Segment(first: next, path: path, bytes: 0)) }
        current = consume file
    }

    private mutating func takeBack(to length: Int, after error: SpoolError) {
        do throws(SpoolError) {
            try current?.truncate(to: length)
            try current?.sync()
        } catch { failure = error }
    }

    private func decode(_ segment: Segment) throws(SpoolError) -> [SpoolRecord] {
        let bytes = Array(try SpoolFile(path: segment.path, flags: O_RDONLY).readAll().prefix(segment.bytes))
        guard
            let content = SpoolSegment.decode(bytes, firstSequence: segment.first, previousHash: nil, isLast: true),
            !content.isTorn
        else { throw .damaged(file: segment.path) }
        return content.records
    }

    private mutating func removeAcknowledged() throws(SpoolError) {
        while let segment = segments.first {
            let end = segments.count > 1 ? segments[1].first : next
            guard end <= acknowledged + 1 else { return }
            // The last one goes on being written to: making a new one for every delivery would cost more than it frees.
            guard segments.count > 1 || storedBytes >= min(Self.segmentBytes, limitBytes / 2) else { return }
            try SpoolFile.remove(segment.path)
            segments.removeFirst()
            if segments.isEmpty { current = nil }
        }
    }

    private static func path(of first: UInt64, in directory: String) -> String {
        let digits = String(first)
        return directory + "/records-" + String(repeating: "0", count: max(0, 16 - digits.utf8.count)) + digits
    }

    private static func firstSequence(of name: String) -> UInt64? {
        guard name.hasPrefix("records-") else { return nil }
        return UInt64(name.dropFirst("records-".count))
    }
}
