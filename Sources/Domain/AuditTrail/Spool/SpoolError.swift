/// Why the spool did not take an event or cannot be opened.
package enum SpoolError: Error, Sendable, Hashable {
    /// The records that are not acknowledged yet fill the spool; policy decides whether the act is denied or passes.
    case full
    /// No space is left on the device.
    case storageFull
    /// A file was changed: not the end that an interrupted write leaves behind.
    case damaged(file: String)
    /// The spool has been closed.
    case closed
    /// Another process holds the directory.
    case inUse
    /// A system call failed with this error number.
    case system(call: String, errno: Int32)
}

extension SpoolError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .full: "the audit spool is full"
        case .storageFull: "no space is left for the audit spool"
        case .damaged(let file):
            "the audit spool's file `\(file)` is damaged: move the spool's directory away to begin a new one"
        case .closed: "the audit spool is closed"
        case .inUse: "the audit spool is in use by another process"
        case .system(let call, let errno): "the audit spool failed: \(call) gave error \(errno)"
        }
    }
}
