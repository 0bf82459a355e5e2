import Attestation
package import AuditTrail
import SPIFFE

/// An entry that somebody wants made, after the rules that need no lock.
private struct WantedEntry: Sendable {
    let act: RegistryAct
    let verdict: Result<RegistrationEntry, RegistryError>

    /// What the log hears first: the intent, or at once that there will be none.
    var event: AuditEvent {
        switch verdict {
        case .success: act.event(.intent, .permit)
        case .failure(let error):
            act.event(
                .single, .deny, reason: error.code, effect: AuditEvent.EffectField(observed: .none))
        }
    }
}

/// What makes two entries similar.
private struct Likeness: Hashable {
    let spiffeID: SPIFFEID
    let parentID: SPIFFEID
    let selectors: [Selector]

    init(_ entry: RegistrationEntry) {
        spiffeID = entry.spiffeID
        parentID = entry.parentID
        selectors = entry.selectors
    }
}

extension Registry {
    /// Makes entries in their order, each as ``createEntry(_:by:requestID:)`` would; one that is refused does not stop
    /// the others. The answers stand in the order of the drafts.
    ///
    /// A portion of `AuditLimits.eventsPerCall` entries shares one commit of intents, one transaction and one commit of
    /// outcomes. If the transaction fails, every entry of the portion fails that was not refused.
    package func createEntries(
        _ drafts: [EntryDraft], by agent: AuditEvent.AgentField, requestID: String
    ) async -> [Result<EntryCreation, RegistryError>] {
        var answers: [Result<EntryCreation, RegistryError>] = []
        answers.reserveCapacity(drafts.count)
        for start in stride(from: 0, to: drafts.count, by: AuditLimits.eventsPerCall) {
            let portion = drafts[start..<min(start + AuditLimits.eventsPerCall, drafts.count)]
            answers += await create(portion.map { wanted($0, by: agent, requestID: requestID) })
        }
        return answers
    }

    private func wanted(_ draft: EntryDraft, by agent: AuditEvent.AgentField, requestID: String) -> WantedEntry {
        let id = draft.id ?? newIdentifier()
        let act = entryAct(.entryCreate, "create", id: id, digest: draft.digest(), by: agent, requestID: requestID)
        do throws(EntryError) {
            let entry = try rules.entry(from: draft, id: id, createdAt: now())
            // Most repetitions are found here, so they cost one record instead of an intent and an outcome.
            if let similar = entrySnapshot.similar(to: entry) {
                return WantedEntry(act: act, verdict: .failure(.similarEntryExists(id: similar.id)))
            }
            return WantedEntry(act: act, verdict: .success(entry))
        } catch {
            return WantedEntry(act: act, verdict: .failure(.invalidEntry(error)))
        }
    }

    /// Intents, writes, outcomes. Without recorded intents nothing is written.
    private func create(_ wanted: [WantedEntry]) async -> [Result<EntryCreation, RegistryError>] {
        let eventIDs: [String]
        do throws(AuditError) {
            eventIDs = try await audit.record(contentsOf: wanted.map(\.event))
        } catch {
            // A refusal stands also if the log cannot take its record.
            return wanted.map { wanted in
                wanted.verdict.flatMap { _ in Result.failure(.audit(error)) }.recovered(by: self)
            }
        }
        let entries = wanted.compactMap { try? $0.verdict.get() }
        let failures = await write(entries)
        var written = zip(entries, failures).makeIterator()
        var outcomes: [AuditEvent] = []
        var answers: [Result<EntryCreation, RegistryError>] = []
        for (wanted, eventID) in zip(wanted, eventIDs) {
            if case .failure(let refusal) = wanted.verdict {
                answers.append(Result.failure(refusal).recovered(by: self))
                continue
            }
            guard let (entry, failure) = written.next() else { break }
            outcomes.append(wanted.act.outcome(of: eventID, entry, failure))
            if let failure {
                answers.append(Result.failure(failure.error).recovered(by: self))
            } else {
                answers.append(.success(.created(entry)))
            }
        }
        do throws(AuditError) {
            try await audit.record(contentsOf: outcomes)
        } catch {
            // What failed before is the answer there; the open intents say the rest.
            for index in answers.indices {
                if case .success(.created) = answers[index] { answers[index] = .failure(.audit(error)) }
            }
        }
        return answers
    }

    /// Stores the entries that may be, in one transaction; for each why it was not stored, if it was not.
    private func write(_ entries: [RegistrationEntry]) async -> [WriteFailure?] {
        guard !entries.isEmpty else { return [] }
        do throws(WriteFailure) {
            return try await entryLock.withLock { () async throws(WriteFailure) in
                try await self.refreshIfStale()
                let snapshot = self.entrySnapshot
                var takenIDs = Set<String>()
                var added: [Likeness: String] = [:]
                var changes: [EntryChange] = []
                var failures: [WriteFailure?] = []
                for entry in entries {
                    do throws(WriteFailure) {
                        guard snapshot.entry(entry.id) == nil, !takenIDs.contains(entry.id) else {
                            throw .refused(.entryIDTaken)
                        }
                        if let similar = snapshot.similar(to: entry)?.id ?? added[Likeness(entry)] {
                            throw .refused(.similarEntryExists(id: similar))
                        }
                        try self.checkFederation(of: entry)
                        takenIDs.insert(entry.id)
                        added[Likeness(entry)] = entry.id
                        changes.append(.insert(entry))
                        failures.append(nil)
                    } catch {
                        failures.append(error)
                    }
                }
                guard !changes.isEmpty else { return failures }
                do throws(WriteFailure) {
                    try await self.apply(changes)
                    return failures
                } catch {
                    // Whoever resembles an entry of this portion may resemble nothing now; of its own it wrote nothing.
                    return failures.map { failure in
                        if case .similarEntryExists(let id)? = failure?.error, takenIDs.contains(id) {
                            return WriteFailure(error: error.error, observed: .none)
                        }
                        return failure ?? error
                    }
                }
            }
        } catch {
            return entries.map { _ in error }
        }
    }
}

extension RegistryAct {
    fileprivate func outcome(
        of intentID: String, _ entry: RegistrationEntry, _ failure: WriteFailure?
    ) -> AuditEvent {
        var event: AuditEvent
        if let failure {
            event = self.event(
                .outcome, failure.error.isRefusal ? .deny : .permit, reason: failure.error.code,
                effect: AuditEvent.EffectField(observed: failure.observed))
        } else {
            event = self.event(
                .outcome, .permit,
                effect: AuditEvent.EffectField(observed: .occurred, result: ["spiffe_id": entry.spiffeID.string]))
        }
        event.correlation.intentID = intentID
        return event
    }
}

extension Result<EntryCreation, RegistryError> {
    /// That a similar entry exists is an answer, not an error, as long as the entry is there.
    fileprivate func recovered(by registry: Registry) -> Self {
        guard case .failure(.similarEntryExists(let id)) = self, let similar = registry.entry(id) else { return self }
        return .success(.similar(similar))
    }
}
