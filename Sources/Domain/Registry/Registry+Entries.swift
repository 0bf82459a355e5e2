package import AuditTrail
package import SPIFFE

/// What came of creating an entry.
package enum EntryCreation: Hashable, Sendable {
    case created(RegistrationEntry)
    /// An entry with the same SPIFFE ID, parent and selectors was there already; nothing was changed.
    case similar(RegistrationEntry)
}

// MARK: - Reading

extension Registry {
    /// The entry with this ID.
    package func entry(_ id: String) -> RegistrationEntry? {
        entrySnapshot.entry(id)
    }

    /// Entries in the order of their making. Throws ``RegistryError/badPageToken``.
    package func entries(
        _ filter: EntryFilter = EntryFilter(), page: PageRequest = PageRequest()
    ) throws(RegistryError) -> Page<RegistrationEntry> {
        entrySnapshot.page(filter, after: try page.position(), count: page.count)
    }

    /// How many entries the filter finds.
    package func countEntries(_ filter: EntryFilter = EntryFilter()) -> Int {
        entrySnapshot.count(filter)
    }

    /// What the node may serve; nothing for a node that is banned or not attested. In no particular order.
    package func authorizedEntries(for node: SPIFFEID) -> AuthorizedEntries {
        let (entries, record) = state.withLock { ($0.entries, $0.nodes.node(node)) }
        guard let record, !record.isBanned else { return AuthorizedEntries() }
        return entries.authorized(for: node, selectors: record.selectors, at: now())
    }

    /// The entry, if the node may serve it.
    package func authorizedEntry(_ id: String, for node: SPIFFEID) -> RegistrationEntry? {
        let (entries, record) = state.withLock { ($0.entries, $0.nodes.node(node)) }
        guard let record, !record.isBanned else { return nil }
        return entries.authorized(entry: id, for: node, selectors: record.selectors, at: now())
    }

    /// Whether a valid entry makes this ID an administrator.
    package func isAdmin(_ id: SPIFFEID) -> Bool {
        let time = now()
        return entrySnapshot.entries(withSPIFFEID: id).contains { $0.isAdmin && !$0.isExpired(at: time) }
    }

    /// Whether a valid entry makes this ID a downstream control plane.
    package func isDownstream(_ id: SPIFFEID) -> Bool {
        let time = now()
        return entrySnapshot.entries(withSPIFFEID: id).contains { $0.isDownstream && !$0.isExpired(at: time) }
    }

    /// The entry by which this ID is a downstream control plane: the oldest one, should there be several.
    package func downstreamEntry(of id: SPIFFEID) -> RegistrationEntry? {
        let time = now()
        return entrySnapshot.entries(withSPIFFEID: id)
            .filter { $0.isDownstream && !$0.isExpired(at: time) }
            .min { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
    }

    /// A valid entry that gives workloads this ID: the oldest one, should there be several.
    package func validEntry(of id: SPIFFEID) -> RegistrationEntry? {
        let time = now()
        return entrySnapshot.entries(withSPIFFEID: id).filter { !$0.isExpired(at: time) }
            .min { ($0.createdAt, $0.id) < ($1.createdAt, $1.id) }
    }

    var entrySnapshot: EntrySnapshot { state.withLock { $0.entries } }
}

// MARK: - Writing

extension Registry {
    /// Makes an entry, unless there is one with the same SPIFFE ID, parent and selectors.
    package func createEntry(
        _ draft: EntryDraft, by agent: AuditEvent.AgentField, requestID: String
    ) async throws(RegistryError) -> EntryCreation {
        try await createEntries([draft], by: agent, requestID: requestID)[0].get()
    }

    /// Writes the masked fields of an entry and nothing else; its revision grows by 1.
    package func updateEntry(
        _ id: String, _ draft: EntryDraft, mask: EntryMask = .all, by agent: AuditEvent.AgentField, requestID: String
    ) async throws(RegistryError) -> RegistrationEntry {
        let act = entryAct(
            .entryUpdate, "update", id: id, digest: draft.digest(mask: mask), by: agent, requestID: requestID)
        guard let old = entry(id) else { throw await refuse(act, .entryNotFound) }
        do {
            _ = try rules.entry(updating: old, with: draft, mask: mask)
        } catch {
            throw await refuse(act, .invalidEntry(error))
        }
        return try await perform(act) { () async throws(WriteFailure) in
            try await self.entryLock.withLock { () async throws(WriteFailure) in
                try await self.refreshIfStale()
                let snapshot = self.entrySnapshot
                guard let old = snapshot.entry(id) else { throw .refused(.entryNotFound) }
                let entry: RegistrationEntry
                do throws(EntryError) {
                    entry = try self.rules.entry(updating: old, with: draft, mask: mask)
                } catch {
                    throw .refused(.invalidEntry(error))
                }
                if let similar = snapshot.similar(to: entry) {
                    throw .refused(.similarEntryExists(id: similar.id))
                }
                try self.checkFederation(of: entry)
                try await self.apply([.replace(entry)])
                return Written(value: entry, facts: ["revision": String(entry.revision)])
            }
        }
    }

    /// Removes an entry and returns what it was.
    @discardableResult
    package func deleteEntry(
        _ id: String, by agent: AuditEvent.AgentField, requestID: String
    ) async throws(RegistryError) -> RegistrationEntry {
        let act = entryAct(.entryDelete, "delete", id: id, digest: nil, by: agent, requestID: requestID)
        guard entry(id) != nil else { throw await refuse(act, .entryNotFound) }
        return try await perform(act) { () async throws(WriteFailure) in
            try await self.entryLock.withLock { () async throws(WriteFailure) in
                try await self.refreshIfStale()
                guard let old = self.entry(id) else { throw .refused(.entryNotFound) }
                try await self.apply([.delete(id: id)])
                return Written(value: old, facts: ["spiffe_id": old.spiffeID.string])
            }
        }
    }

    func entryAct(
        _ type: EventType, _ action: String, id: String, digest: String?, by agent: AuditEvent.AgentField,
        requestID: String
    ) -> RegistryAct {
        RegistryAct(
            type: type, action: action,
            resource: AuditEvent.ResourceField(kind: "entry", id: id, argsHash: digest), agent: agent,
            requestID: requestID)
    }

    /// Entries may only federate with trust domains whose bundles are here.
    func checkFederation(of entry: RegistrationEntry) throws(WriteFailure) {
        let known = state.withLock { $0.bundles }
        for name in entry.federatesWith where known[name] == nil {
            throw .refused(.invalidEntry(.unknownTrustDomain(name)))
        }
    }

    // MARK: The store and the snapshot

    /// Stores the changes and shows them. INVARIANT: the entry lock is held.
    func apply(_ changes: [EntryChange]) async throws(WriteFailure) {
        let before = entrySnapshot
        do {
            try await stores.entries.apply(changes)
        } catch {
            let observed = await resynchronize(after: changes, before: before)
            throw WriteFailure(error: .storage(error), observed: observed)
        }
        show(changes, over: before)
    }

    /// Reads again what a failed write may have changed, so that the snapshot is what the store has.
    private func resynchronize(
        after changes: [EntryChange], before: EntrySnapshot
    ) async -> AuditEvent.EffectField.Observed {
        do throws(StoreError) {
            var actual: [EntryChange] = []
            for id in Set(changes.map(\.id)) {
                if let entry = try await stores.entries.entry(id: id) {
                    actual.append(.replace(entry))
                } else {
                    actual.append(.delete(id: id))
                }
            }
            show(actual, over: before)
            let after = entrySnapshot
            if changes.allSatisfy({ after.entry($0.id) == $0.entry }) { return .occurred }
            return changes.allSatisfy { after.entry($0.id) == before.entry($0.id) } ? .none : .unknown
        } catch {
            state.withLock { $0.entriesAreStale = true }
            return .unknown
        }
    }

    private func show(_ changes: [EntryChange], over snapshot: EntrySnapshot) {
        var snapshot = snapshot
        var hasChanged = false
        for change in changes where snapshot.entry(change.id) != change.entry {
            hasChanged = true
            if let entry = change.entry { snapshot.put(entry) } else { snapshot.remove(change.id) }
        }
        guard hasChanged else { return }
        publish { state in
            state.entries = snapshot
            state.position.entriesRevision += 1
        }
    }

    /// After a failure that could not be looked into, reads everything before the next write.
    func refreshIfStale() async throws(WriteFailure) {
        let (entries, bundles, relationships) = state.withLock {
            ($0.entriesAreStale, $0.bundlesAreStale, $0.relationshipsAreStale)
        }
        do {
            if entries { try await loadEntries() }
            if bundles { try await loadBundles() }
            if relationships { try await loadRelationships() }
        } catch {
            throw WriteFailure(error: .storage(error), observed: .none)
        }
    }
}

extension EntryChange {
    /// The entry that the change is about.
    var id: String {
        switch self {
        case .insert(let entry), .replace(let entry): entry.id
        case .delete(let id): id
        }
    }

    /// What is there after the change.
    var entry: RegistrationEntry? {
        switch self {
        case .insert(let entry), .replace(let entry): entry
        case .delete: nil
        }
    }
}

extension PageRequest {
    func position() throws(RegistryError) -> ListPosition? {
        guard !token.isEmpty else { return nil }
        guard let position = ListPosition(token: token) else { throw .badPageToken }
        return position
    }
}
