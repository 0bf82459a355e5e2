import AuditTrail
package import SPIFFE

extension Authorities {
    /// Does everything that is due: prepares, activates and prunes. After a failure the next call goes on from what is
    /// stored.
    package func tick(at time: UnixTime) async throws(AuthoritiesError) {
        try await tick(at: time, makingKeysFor: AuthorityRecord.Kind.allCases)
    }

    /// The same, with the other kinds' keys left to the next round.
    func tick(at time: UnixTime, makingKeysFor kinds: [AuthorityRecord.Kind]) async throws(AuthoritiesError) {
        try await turnstile.pass { () async throws(AuthoritiesError) in
            if mustReload { try await reload() }
            // Each kind needs at most a prune, a preparation and an activation, and old authorities are few.
            for _ in 0..<Self.maximumActs {
                guard let action = snapshot.machine.nextAction(now: time, of: kinds) else { return }
                try await perform(action, at: time)
            }
        }
    }

    /// Looks once a second whether something is due, until it is cancelled; failures are reported and tried again
    /// after a pause that grows up to half a minute.
    package func run(
        sleep: @Sendable (Duration) async throws -> Void, report: @Sendable (AuthoritiesError) -> Void
    ) async {
        var pause = 1
        while !Task.isCancelled {
            do {
                try await sleep(.seconds(pause))
            } catch {
                return
            }
            do throws(AuthoritiesError) {
                try await tick(at: now())
                pause = 1
            } catch {
                report(error)
                pause = min(pause * 2, 30)
            }
        }
    }

    /// Bounds one round; what is left over waits for the next.
    private static let maximumActs = 64

    /// Takes over what is stored: loads the keys that may sign and forgets those that nothing stored refers to, which
    /// an interrupted act left behind.
    func reload() async throws(AuthoritiesError) {
        let stored: StoredAuthorities
        do {
            stored = try await store.load()
        } catch {
            throw .store(error)
        }
        var keys: [KeyID: AuthorityKey] = [:]
        var keyless: Set<String> = []
        for record in stored.records where record.needsKey {
            if let keyID = record.keyID, let key = try await loadKey(keyID, of: record) {
                keys[keyID] = key
            } else {
                keyless.insert(record.id)
            }
        }
        try publish(AuthorityStateMachine(stored: stored, keyless: keyless), keys: keys, isReloaded: true)
        do {
            for id in try await keyStore.list() where id.kind != nil && keys[id] == nil {
                try await keyStore.remove(id)
            }
        } catch {
            distrustStore()
            throw .keys(error)
        }
    }

    /// The record's own key; nil when it is gone, unreadable as a key, or another one.
    private func loadKey(
        _ id: KeyID, of record: AuthorityRecord
    ) async throws(AuthoritiesError) -> AuthorityKey? {
        do {
            guard let key = try await keyStore.load(id, record.kind.algorithm) else { return nil }
            return key.derSPKI == record.publicKey ? key : nil
        } catch .damaged {
            return nil
        } catch {
            throw .keys(error)
        }
    }
}
