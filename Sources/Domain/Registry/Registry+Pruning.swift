import AuditTrail

/// What pruning removed.
package struct PruneResult: Hashable, Sendable {
    package let entries: Int
    package let joinTokens: Int

    package init(entries: Int, joinTokens: Int) {
        self.entries = entries
        self.joinTokens = joinTokens
    }
}

extension Registry {
    /// Removes entries and unused join tokens whose end has come; to be called now and then.
    @discardableResult
    package func pruneExpired() async throws(RegistryError) -> PruneResult {
        var entries = 0
        while true {
            let count = try await pruneEntries()
            entries += count
            guard count == Self.pruneBatch else { break }
        }
        return PruneResult(entries: entries, joinTokens: try await pruneJoinTokens())
    }

    /// Entries removed in one transaction and one record.
    private static var pruneBatch: Int { 500 }

    private func pruneEntries() async throws(RegistryError) -> Int {
        let expired = entrySnapshot.expired(at: now(), limit: Self.pruneBatch)
        guard !expired.isEmpty else { return 0 }
        var digest = FieldDigest()
        digest.add(expired.map(\.id))
        let act = RegistryAct(
            type: .entryPrune, action: "prune",
            resource: AuditEvent.ResourceField(kind: "entry", id: "expired", argsHash: digest.hexadecimal()),
            agent: .internal(), requestID: newIdentifier(), counted: Int64(expired.count))
        return try await perform(act) { () async throws(WriteFailure) in
            try await self.entryLock.withLock { () async throws(WriteFailure) in
                try await self.refreshIfStale()
                // An update may have moved an end meanwhile.
                let time = self.now()
                let gone = expired.compactMap { self.entry($0.id) }.filter { $0.isExpired(at: time) }
                if !gone.isEmpty { try await self.apply(gone.map { .delete(id: $0.id) }) }
                return Written(value: gone.count, facts: ["pruned": String(gone.count)])
            }
        }
    }

    /// One record after the fact, and none when there was nothing: this runs all the time.
    private func pruneJoinTokens() async throws(RegistryError) -> Int {
        let count: Int
        do {
            count = try await stores.joinTokens.deleteExpired(at: now())
        } catch {
            throw .storage(error)
        }
        guard count > 0 else { return 0 }
        let act = RegistryAct(
            type: .tokenPrune, action: "prune",
            resource: AuditEvent.ResourceField(kind: "join-token", id: "expired"), agent: .internal(),
            requestID: newIdentifier(), counted: Int64(count))
        do {
            _ = try await audit.record(act.event(.single, .permit, effect: AuditEvent.EffectField(observed: .occurred)))
        } catch {
            throw .audit(error)
        }
        return count
    }
}
