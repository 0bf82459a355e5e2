/// What was refused in this interval: who is recorded singly, and how often the others were refused.
struct RefusalTable {
    private struct Key: Hashable {
        let source: String
        let kind: String
    }

    private struct Count {
        var singles = 0
        /// Refusals that have no record of their own.
        var suppressed: Int64 = 0
        /// The first of them, by which the counted record is shaped.
        var example: AuditEvent?
    }

    private let limits: RefusalRecorder.Limits
    private var counts: [Key: Count] = [:]
    private var singles = 0
    /// Refusals by sources beyond the table, or that the log did not take.
    private var others = Count()

    init(limits: RefusalRecorder.Limits) { self.limits = limits }

    /// Whether the refusal gets a record of its own; if not, it is counted.
    mutating func admit(_ event: AuditEvent, source: String, kind: String) -> Bool {
        let key = Key(source: Self.cut(source), kind: Self.cut(kind))
        let known = counts[key] != nil
        if known || counts.count < limits.sources, singles < limits.singleInTotal,
            counts[key, default: Count()].singles < limits.singlePerSource
        {
            counts[key, default: Count()].singles += 1
            singles += 1
            return true
        }
        count(event, source: source, kind: kind)
        return false
    }

    /// Counts a refusal that has no record of its own.
    mutating func count(_ event: AuditEvent, source: String, kind: String) {
        let key = Key(source: Self.cut(source), kind: Self.cut(kind))
        if counts[key] != nil || counts.count < limits.sources {
            Self.add(1, event, to: &counts[key, default: Count()])
        } else {
            Self.add(1, event, to: &others)
        }
    }

    /// Counts one that the log refused.
    mutating func countUnrecorded() { Self.add(1, nil, to: &others) }

    /// The counted records of the interval; a new one begins.
    mutating func endInterval() -> [AuditEvent] {
        var events: [AuditEvent] = []
        for count in counts.values {
            if let event = count.example { events.append(Self.counted(event, count.suppressed, reason: nil)) }
        }
        if others.suppressed > 0 {
            let event =
                others.example
                ?? AuditEvent(
                    type: .requestRefuse, agent: AuditEvent.AgentField(authMethod: .none),
                    resource: AuditEvent.ResourceField(kind: "request", id: "several"),
                    decision: AuditEvent.DecisionField(action: "several", result: .deny),
                    correlation: AuditEvent.CorrelationField(requestID: "several"))
            events.append(Self.counted(event, others.suppressed, reason: "several sources and kinds"))
        }
        self = RefusalTable(limits: limits)
        return events
    }

    /// Takes back counts that could not be written; they appear at the end of the next interval.
    mutating func restore(_ events: [AuditEvent]) {
        for event in events { Self.add(event.counted ?? 1, event, to: &others) }
    }

    private static func add(_ number: Int64, _ event: AuditEvent?, to count: inout Count) {
        let (sum, overflow) = count.suppressed.addingReportingOverflow(number)
        count.suppressed = overflow ? .max : sum
        count.example = count.example ?? event
    }

    private static func counted(_ example: AuditEvent, _ number: Int64, reason: String?) -> AuditEvent {
        var event = example
        // A new record: the log draws its id and stamps the end of the interval.
        event.id = nil
        event.time = nil
        // RFC 8785 numbers are exact up to 2^53.
        event.counted = min(number, 1 << 53)
        event.decision.reason = reason ?? event.decision.reason
        return event
    }

    /// Keys come from outside; a short beginning tells sources apart well enough.
    private static func cut(_ text: String) -> String {
        text.utf8.count <= AuditLimits.wordBytes ? text : String(text.unicodeScalars.prefix(64))
    }
}
