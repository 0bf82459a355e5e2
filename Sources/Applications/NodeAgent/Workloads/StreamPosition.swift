import Synchronization

/// Whether a stream has sent its first state.
final class StreamPosition: Sendable {
    private let hasBegun = Atomic<Bool>(false)

    /// `false` the first time.
    func begin() -> Bool { hasBegun.exchange(true, ordering: .relaxed) }
}

/// Which identities of a stream are in the audit trail already.
final class LastRecorded: Sendable {
    private let last = Mutex<[String]?>(nil)

    /// Notes these as recorded; whether they differ from before.
    func isNews(_ entries: [AuthorizedEntry]) -> Bool {
        let identities = entries.map { "\($0.id) \($0.spiffeID)" }
        return last.withLock { last in
            guard last != identities else { return false }
            last = identities
            return true
        }
    }

    /// The record was not written.
    func forget() { last.withLock { $0 = nil } }
}
