import SPIFFE

/// What a shipment means after the cursor: the events to record, notices included, and the cursor afterwards.
struct Shipment {
    private(set) var events: [AuditEvent] = []
    private(set) var cursor: SpoolCursor
    private let node: SPIFFEID
    private var duplicates: Int64 = 0
    private var firstDuplicate: UInt64 = 0

    init(
        _ records: [SpoolRecord], spool: String, node: SPIFFEID, after stored: SpoolCursor?
    ) throws(SpoolIntakeError) {
        self.node = node
        let fresh = SpoolCursor(node: node, spool: spool, sequence: 0, hash: [])
        if let stored, stored.spool == spool {
            cursor = stored
        } else {
            cursor = fresh
            if let stored {
                events.append(
                    notice(
                        .spoolReset, reason: "the node began a new spool",
                        ["old_spool": stored.spool, "old_sequence": String(stored.sequence)], count: nil))
            }
        }
        var last: UInt64 = 0
        for record in records {
            guard record.sequence > last, record.sequence <= SpoolRecord.maximumSequence,
                record.previousHash.count == SpoolRecord.hashBytes
                    || record.sequence == 1 && record.previousHash.isEmpty
            else { throw .badRecord(sequence: record.sequence) }
            last = record.sequence
            take(record)
        }
        if duplicates > 0 {
            events.append(
                notice(
                    .spoolDuplicate, reason: "records were shipped again", ["first": String(firstDuplicate)],
                    count: duplicates))
        }
    }

    private mutating func take(_ record: SpoolRecord) {
        guard record.sequence > cursor.sequence else {
            // The record may be an altered one under a used number: the one at the cursor can be compared.
            if record.sequence == cursor.sequence, record.hash != cursor.hash {
                events.append(
                    notice(
                        .spoolGap, reason: "a record differs from the one taken before",
                        ["sequence": String(record.sequence)], count: nil))
            }
            if duplicates == 0 { firstDuplicate = record.sequence }
            duplicates += 1
            return
        }
        if record.sequence != cursor.sequence + 1 {
            let missing = record.sequence - cursor.sequence - 1
            events.append(
                notice(
                    .spoolGap, reason: "records are missing",
                    ["first": String(cursor.sequence + 1), "last": String(record.sequence - 1)],
                    count: Int64(clamping: missing)))
        } else if record.previousHash != cursor.hash {
            events.append(
                notice(
                    .spoolGap, reason: "the record does not link to the one before",
                    ["sequence": String(record.sequence)], count: nil))
        }
        if var event = try? AuditEvent(leaf: record.event) {
            event.source = AuditEvent.SourceField(id: node.string, spool: cursor.spool, sequence: record.sequence)
            events.append(event)
        } else {
            // Refusing it would make the node ship it for ever: its place is named and the spool goes on.
            events.append(
                notice(
                    .spoolGap, reason: "the record holds no event",
                    ["sequence": String(record.sequence), "hash": HexText.encode(record.hash)], count: nil))
        }
        cursor = SpoolCursor(node: node, spool: cursor.spool, sequence: record.sequence, hash: record.hash)
    }

    private func notice(_ type: EventType, reason: String, _ facts: [String: String], count: Int64?) -> AuditEvent {
        AuditEvent(
            type: type, agent: AuditEvent.AgentField(id: node.string, authMethod: .mtls),
            resource: AuditEvent.ResourceField(kind: "spool", id: cursor.spool),
            decision: AuditEvent.DecisionField(action: "spool.ship", result: .none, reason: reason),
            correlation: AuditEvent.CorrelationField(requestID: "spool-\(cursor.spool)"),
            effect: AuditEvent.EffectField(observed: .occurred, result: facts), counted: count)
    }
}
