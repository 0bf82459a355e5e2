import SPIFFE

/// What changed lately, so that somebody who watches learns the names and need not read everything again.
struct ChangeHistory: Sendable {
    /// How many changes are remembered.
    static let length = 4096

    struct Change: Sendable {
        let revision: Int64
        let before: Sight?
        let after: Sight?
    }

    /// An agent as somebody could see it.
    struct Sight: Sendable {
        let agent: RegisteredAgent
        let isBarred: Bool

        func isVisible(to viewer: RegistryViewer) -> Bool { agent.isVisible(to: viewer, isBarred: isBarred) }
    }

    /// Oldest first.
    private(set) var changes: [Change] = []
    /// Nothing is known of what was before this revision.
    private(set) var start: Int64 = 0

    mutating func append(_ change: Change) {
        changes.append(change)
        // In steps, so that a list that is full is not moved with every change.
        guard changes.count >= 2 * Self.length else { return }
        let surplus = changes.count - Self.length
        start = changes[surplus - 1].revision
        changes.removeFirst(surplus)
    }
}

extension AgentRegistry.State {
    mutating func noteDifferences(
        from before: AgentRegistrySnapshot, among changed: Set<String>?, isBarred: Barred
    ) {
        for (old, new) in snapshot.differences(from: before, among: changed) {
            func sight(_ agent: RegisteredAgent?) -> ChangeHistory.Sight? {
                agent.map { ChangeHistory.Sight(agent: $0, isBarred: $0.identity.map(isBarred) ?? false) }
            }
            note(sight(old), sight(new))
        }
        publish()
    }

    mutating func note(_ before: ChangeHistory.Sight?, _ after: ChangeHistory.Sight?) {
        revision += 1
        if let id = before?.agent.id, after == nil { health[id] = nil }
        history.append(ChangeHistory.Change(revision: revision, before: before, after: after))
    }

    func publish() {
        for subscriber in subscribers.values { subscriber.yield(revision) }
    }
}

/// What a watcher is told.
package struct RegistryChanges: Sendable, Equatable {
    package struct Item: Sendable, Equatable {
        package let name: String
        /// Nil when there is no such agent any more, for this viewer.
        package let state: RegisteredAgent.State?
    }

    /// Where to go on from.
    package let revision: Int64
    /// Too much has happened since, or the number is not of this process: everything has to be read anew.
    package let mustReadAll: Bool
    /// Oldest first; each name once, as it is now.
    package let items: [Item]
}

extension AgentRegistry {
    package var revision: Int64 { withState { $0.revision } }

    /// What has changed for a viewer since a revision.
    package func changes(since revision: Int64, for viewer: RegistryViewer) -> RegistryChanges {
        let (present, start, changes) = withState { ($0.revision, $0.history.start, $0.history.changes) }
        guard revision <= present, revision >= max(start, startRevision) else {
            return RegistryChanges(revision: present, mustReadAll: true, items: [])
        }
        var items: [RegistryChanges.Item] = []
        var names: Set<String> = []
        for change in changes.reversed() {
            guard change.revision > revision else { break }
            let name = (change.after ?? change.before)?.agent.name.text ?? ""
            guard !names.contains(name) else { continue }
            let isVisible = change.after?.isVisible(to: viewer) ?? false
            guard isVisible || change.before?.isVisible(to: viewer) ?? false else { continue }
            names.insert(name)
            items.append(RegistryChanges.Item(name: name, state: isVisible ? change.after?.agent.state : nil))
        }
        return RegistryChanges(revision: present, mustReadAll: false, items: items.reversed())
    }

    /// What has changed for a viewer since a revision, as soon as something has; or nothing after a while.
    package func changes(
        since revision: Int64, for viewer: RegistryViewer, within time: Duration,
        sleep: @escaping @Sendable (Duration) async throws -> Void
    ) async -> RegistryChanges {
        await withTaskGroup(of: RegistryChanges?.self) { group in
            group.addTask {
                for await _ in self.revisions() {
                    let found = self.changes(since: revision, for: viewer)
                    if !found.items.isEmpty || found.mustReadAll { return found }
                }
                return nil
            }
            group.addTask {
                try? await sleep(time)
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first ?? self.changes(since: revision, for: viewer)
        }
    }

    /// The revision, now and after every change; a slow reader gets the latest one only.
    package func revisions() -> AsyncStream<Int64> {
        let (stream, continuation) = AsyncStream.makeStream(of: Int64.self, bufferingPolicy: .bufferingNewest(1))
        let number = withState { state in
            let number = state.nextSubscriber
            state.nextSubscriber += 1
            state.subscribers[number] = continuation
            continuation.yield(state.revision)
            return number
        }
        continuation.onTermination = { [weak self] _ in self?.withState { $0.subscribers[number] = nil } }
        return stream
    }

    /// Looks which identities are barred elsewhere now, so that whoever watches learns of it. What a viewer sees never waits
    /// for this.
    package func noteBarred() {
        let snapshot = snapshot
        let barred = Set(snapshot.identities.filter(barred()))
        withState { state in
            guard state.barred != barred else { return }
            for identity in barred.symmetricDifference(state.barred) {
                let isBarred = barred.contains(identity)
                for listing in snapshot.listings(of: identity) {
                    state.note(
                        ChangeHistory.Sight(agent: listing.agent, isBarred: !isBarred),
                        ChangeHistory.Sight(agent: listing.agent, isBarred: isBarred))
                }
            }
            state.barred = barred
            state.publish()
        }
    }
}
