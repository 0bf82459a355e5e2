import AuditTrail

/// Keeps refusals from filling the spool: so many records of their own per source and kind in an interval, then one
/// counted record at its end (architecture, decision 7). The table is bounded; what does not fit shares one count.
struct RefusalLimit: Sendable {
    /// Single records per source and kind.
    static let singles = 5
    /// Sources and kinds that are counted apart.
    static let places = 64
    /// How long an interval is.
    static let interval = Duration.seconds(60)

    private struct Key: Hashable {
        let source: String
        let kind: String
    }

    private struct Count {
        var singles = 0
        var suppressed: Int64 = 0
        var example: AuditEvent?
    }

    private var counts: [Key: Count] = [:]
    private var others = Count()

    /// Whether the refusal gets a record of its own; if not, it is counted.
    mutating func admit(_ event: AuditEvent, source: String, kind: String) -> Bool {
        let key = Key(source: source, kind: kind)
        guard counts[key] != nil || counts.count < Self.places else {
            Self.add(event, to: &others)
            return false
        }
        guard counts[key, default: Count()].singles < Self.singles else {
            Self.add(event, to: &counts[key, default: Count()])
            return false
        }
        counts[key, default: Count()].singles += 1
        return true
    }

    /// The counted records of the interval; a new one begins.
    mutating func endInterval() -> [AuditEvent] {
        defer { self = RefusalLimit() }
        return (counts.values + [others]).compactMap { count in
            guard var event = count.example else { return nil }
            event.counted = count.suppressed
            return event
        }
    }

    private static func add(_ event: AuditEvent, to count: inout Count) {
        count.suppressed = min(count.suppressed + 1, 1 << 53)
        count.example = count.example ?? event
    }
}
