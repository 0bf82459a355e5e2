/// The newest records of a spool in memory, without gap and within a bound; older ones are in the files alone.
struct RecentRecords: Sendable {
    struct Item: Sendable {
        let record: SpoolRecord
        let hash: [UInt8]
    }

    /// Most bytes of events that are kept.
    static let limitBytes = 1 << 20

    private var items: [Item] = []
    /// Items before this place have gone; they leave the array from time to time.
    private var start = 0
    private var bytes = 0

    mutating func append(_ item: Item) {
        items.append(item)
        bytes += item.record.event.count
        while bytes > Self.limitBytes, start < items.count { dropFirst() }
    }

    /// The oldest records from this one on; nil when it is not here any more. At least one, if there is one.
    func records(from sequence: UInt64, limit: Int, bytes: Int) -> [SpoolRecord]? {
        guard start < items.count, let first = index(of: sequence) else { return nil }
        var records: [SpoolRecord] = []
        var size = 0
        for item in items[first...] {
            guard records.count < limit, records.isEmpty || size + item.record.event.count <= bytes else { break }
            records.append(item.record)
            size += item.record.event.count
        }
        return records
    }

    func hash(of sequence: UInt64) -> [UInt8]? {
        index(of: sequence).map { items[$0].hash }
    }

    mutating func remove(upTo sequence: UInt64) {
        while start < items.count, items[start].record.sequence <= sequence { dropFirst() }
    }

    private func index(of sequence: UInt64) -> Int? {
        guard start < items.count else { return nil }
        let first = items[start].record.sequence
        guard sequence >= first, sequence - first < UInt64(items.count - start) else { return nil }
        return start + Int(sequence - first)
    }

    private mutating func dropFirst() {
        bytes -= items[start].record.event.count
        start += 1
        guard start == items.count || start >= 1024 else { return }
        items.removeFirst(start)
        start = 0
    }
}
