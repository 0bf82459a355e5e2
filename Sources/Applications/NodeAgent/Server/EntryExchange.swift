import ControlPlaneAPI

/// The agent's side of SyncAuthorizedEntries, without the wire.
///
/// A server with few entries sends them at once. One with many sends pages of revisions; the agent then asks for what
/// it does not have, in portions, and gets each portion in one or more pages.
struct EntryExchange {
    /// Most entries that one node is served with.
    static let maximumEntries = 100_000
    /// IDs asked for at once.
    static let portion = 500

    /// What the agent does next.
    enum Step: Equatable {
        case read
        case ask([String])
        case done(Outcome)
    }

    struct Outcome: Sendable, Equatable {
        var entries: [AuthorizedEntry]
        /// Entries that were left out because they cannot be served.
        var malformed: Int
    }

    enum Failure: Error, Equatable {
        /// More entries than one node is served with.
        case tooManyEntries
    }

    private enum State {
        case start
        case revisions
        case entries(rest: [String])
        case done
    }

    private let known: [String: AuthorizedEntry]
    private var state = State.start
    private var outcome = Outcome(entries: [], malformed: 0)
    private var wanted: [String] = []
    private var seen = 0

    init(known: [String: AuthorizedEntry]) {
        self.known = known
    }

    mutating func receive(
        _ message: Spire_Api_Server_Entry_V1_SyncAuthorizedEntriesResponse
    ) throws(Failure) -> Step {
        switch state {
        case .start:
            guard message.entryRevisions.isEmpty, !message.more else {
                state = .revisions
                return try receiveRevisions(message)
            }
            try take(message)
            return finish()
        case .revisions:
            return try receiveRevisions(message)
        case .entries(let rest):
            try take(message)
            return message.more ? .read : ask(rest)
        case .done:
            return .done(outcome)
        }
    }

    private mutating func receiveRevisions(
        _ message: Spire_Api_Server_Entry_V1_SyncAuthorizedEntriesResponse
    ) throws(Failure) -> Step {
        seen += message.entryRevisions.count
        guard seen <= Self.maximumEntries else { throw .tooManyEntries }
        for revision in message.entryRevisions {
            if let entry = known[revision.id], entry.revision == revision.revisionNumber,
                entry.createdAt == revision.createdAt
            {
                outcome.entries.append(entry)
            } else {
                wanted.append(revision.id)
            }
        }
        return message.more ? .read : ask(wanted)
    }

    private mutating func take(
        _ message: Spire_Api_Server_Entry_V1_SyncAuthorizedEntriesResponse
    ) throws(Failure) {
        guard outcome.entries.count + message.entries.count <= Self.maximumEntries else { throw .tooManyEntries }
        for entry in message.entries {
            if let entry = AuthorizedEntry(entry) {
                outcome.entries.append(entry)
            } else {
                outcome.malformed += 1
            }
        }
    }

    private mutating func ask(_ ids: [String]) -> Step {
        guard !ids.isEmpty else { return finish() }
        state = .entries(rest: Array(ids.dropFirst(Self.portion)))
        return .ask(Array(ids.prefix(Self.portion)))
    }

    private mutating func finish() -> Step {
        state = .done
        return .done(outcome)
    }
}
