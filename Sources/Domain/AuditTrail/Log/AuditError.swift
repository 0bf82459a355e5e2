/// Why an event was not recorded, or the log cannot be read.
package enum AuditError: Error, Sendable, Hashable {
    /// More events are waiting than the queue holds.
    case overloaded
    /// The log has stopped taking events.
    case stopped
    /// No space is left for the log; works again once there is.
    case storageFull
    /// The storage failed; the event may or may not have become durable.
    case storage(String)
    /// What is stored is not what this log has signed: it records nothing more until somebody has looked.
    case inconsistent(String)
    /// There is no such entry or tile.
    case notFound

    init(_ error: AuditStoreError) {
        switch error {
        case .storageFull: self = .storageFull
        case .damaged(let what): self = .inconsistent(what)
        case .wrongIndex: self = .inconsistent(error.description)
        case .failed(let what): self = .storage(what)
        }
    }
}

extension AuditError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .overloaded: "too many events are waiting for the audit log"
        case .stopped: "the audit log has stopped"
        case .storageFull: "no space is left for the audit log"
        case .storage(let what): "the audit log's storage failed: \(what)"
        case .inconsistent(let what): "the audit log is inconsistent and records nothing more: \(what)"
        case .notFound: "the audit log has no such entry or tile"
        }
    }
}
