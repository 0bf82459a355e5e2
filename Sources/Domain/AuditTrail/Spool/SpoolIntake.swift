package import SPIFFE
import Synchronization

/// Takes what node agents spooled into the log, and names gaps, duplicates and new spools per source.
///
/// The log comes first, the cursor second: a crash between the two makes the node ship again, and the log then holds
/// the records twice, recognisable by event id, source and sequence. Nothing is lost.
package final class SpoolIntake: Sendable {
    private let log: AuditLog
    private let cursors: any SpoolCursorStore
    /// Nodes whose shipment is being taken in: a node ships one at a time.
    private let busy = Mutex<Set<SPIFFEID>>([])

    package init(log: AuditLog, cursors: any SpoolCursorStore) {
        self.log = log
        self.cursors = cursors
    }

    /// Records one shipment and returns the sequence up to which the node may forget.
    ///
    /// `node` is the authenticated caller; the events' own words about who they are do not count. All or nothing.
    package func accept(
        _ records: [SpoolRecord], fromSpool spool: String, node: SPIFFEID
    ) async throws(SpoolIntakeError) -> UInt64 {
        guard records.count <= Self.maximumRecords else { throw .tooMany(limit: Self.maximumRecords) }
        guard (1...Self.maximumNameBytes).contains(spool.utf8.count),
            spool.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else { throw .badSpoolName }
        guard busy.withLock({ $0.insert(node).inserted }) else { throw .busy }
        defer { busy.withLock { _ = $0.remove(node) } }

        let cursor: SpoolCursor?
        do { cursor = try await cursors.cursor(of: node) } catch { throw .log(AuditError(error)) }
        guard !records.isEmpty else { return cursor?.spool == spool ? cursor?.sequence ?? 0 : 0 }
        let shipment = try Shipment(records, spool: spool, node: node, after: cursor)
        do throws(AuditError) {
            try await log.record(contentsOf: shipment.events)
        } catch { throw .log(error) }
        if shipment.cursor != cursor {
            do { try await cursors.save(shipment.cursor) } catch { throw .log(AuditError(error)) }
        }
        return shipment.cursor.sequence
    }

    /// Records of one shipment; with a notice before each they fit in one call to the log.
    package static let maximumRecords = AuditLimits.eventsPerCall / 2 - 2
    /// Longest name of a spool, in bytes.
    package static let maximumNameBytes = 128
}

/// Why a shipment was not taken.
package enum SpoolIntakeError: Error, Sendable, Hashable {
    case tooMany(limit: Int)
    /// The spool's name is empty, too long, or not of visible ASCII characters.
    case badSpoolName
    /// Another shipment of this node is being taken in.
    case busy
    /// Sequence 0 or above 2^53, sequences that do not rise, or a previous hash that is not 32 bytes (none at the first).
    case badRecord(sequence: UInt64)
    /// The log or the cursor's store did not take it: ship again.
    case log(AuditError)
}

extension SpoolIntakeError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .tooMany(let limit): "a shipment has more than \(limit) records"
        case .badSpoolName: "the spool's name is empty, too long or not plain"
        case .busy: "another shipment of this node is being taken in"
        case .badRecord(let sequence): "the spool record \(sequence) is malformed or out of order"
        case .log(let error): error.description
        }
    }
}
