package import AuditTrail
import SPIFFE

/// What administrators do to authorities beside the schedule, in this order: prepare, activate, taint, revoke.
///
/// Every act is recorded as intent and outcome, every refusal as one denial, each with the caller's name.
extension Authorities {
    /// The latest authority of a kind in a state; nil when there is none. Of old ones there can be several.
    package func latest(_ kind: AuthorityRecord.Kind, _ status: AuthorityRecord.Status) -> AuthorityRecord? {
        snapshot.machine.record(kind, status)
    }

    /// Makes a new authority that is published without signing; one that already did gives way.
    package func prepare(
        _ kind: AuthorityRecord.Kind, by agent: AuditEvent.AgentField, requestID: String
    ) async throws(AuthoritiesError) -> AuthorityRecord {
        try await turnstile.pass { () async throws(AuthoritiesError) in
            if mustReload { try await reload() }
            try await perform(.prepare(kind, .request), at: now(), by: agent, requestID: requestID)
            guard let record = snapshot.machine.record(kind, .prepared) else { throw .signingFailed }
            return record
        }
    }

    /// Lets the prepared authority sign from now on; the one that did becomes an old one. The private key of
    /// one for tokens goes; that of one for certificates is left with CRLs alone to sign.
    package func activate(
        _ kind: AuthorityRecord.Kind, id: String, by agent: AuditEvent.AgentField, requestID: String
    ) async throws(AuthoritiesError) -> AuthorityRecord {
        try await turnstile.pass { () async throws(AuthoritiesError) in
            if mustReload { try await reload() }
            let record = try await checked(.authorityActivate, kind, id, agent, requestID) {
                $0.status == .prepared ? nil : .notPrepared
            }
            try await perform(.activate(record, .request), at: now(), by: agent, requestID: requestID)
            return record
        }
    }

    /// Says of an old authority that everything it signed is to be replaced at once. Node agents do so when they see
    /// the mark in the bundle; keys for access tokens carry none, and end with ``revoke(_:id:by:requestID:)``.
    package func taint(
        _ kind: AuthorityRecord.Kind, id: String, by agent: AuditEvent.AgentField, requestID: String
    ) async throws(AuthoritiesError) -> AuthorityRecord {
        try await turnstile.pass { () async throws(AuthoritiesError) in
            if mustReload { try await reload() }
            let record = try await checked(.authorityTaint, kind, id, agent, requestID) { record in
                switch record.status {
                case .active: .isActive
                case .prepared: .isPrepared
                case .old, .external: keepingRefusal(of: record) ?? (record.isTainted ? .isTainted : nil)
                }
            }
            try await change(.authorityTaint, record, agent, requestID) { $0.taint(record) }
            return record
        }
    }

    /// Takes a tainted authority out of what is published: nothing that it signed verifies any more.
    package func revoke(
        _ kind: AuthorityRecord.Kind, id: String, by agent: AuditEvent.AgentField, requestID: String
    ) async throws(AuthoritiesError) -> AuthorityRecord {
        try await turnstile.pass { () async throws(AuthoritiesError) in
            if mustReload { try await reload() }
            let record = try await checked(.authorityRevoke, kind, id, agent, requestID) { record in
                switch record.status {
                case .active: .isActive
                case .prepared: .isPrepared
                case .old, .external: keepingRefusal(of: record) ?? (record.isTainted ? nil : .notTainted)
                }
            }
            try await change(.authorityRevoke, record, agent, requestID) { $0.prune(record) }
            return record
        }
    }

    /// Why what an authority signed is not to be replaced yet, or not on its account; nil when it may be.
    private func keepingRefusal(of record: AuthorityRecord) -> AuthorityRefusal? {
        if record.upstream != nil { return .hasUpstream }
        let isAboveASigner = snapshot.machine.stored.records.contains {
            ($0.status == .active || $0.status == .prepared) && $0.upstream?.rootID == record.id
        }
        return isAboveASigner ? .isActive : nil
    }

    /// One act that makes no key: what the machine makes of it is recorded, stored and published.
    private func change(
        _ type: EventType, _ record: AuthorityRecord, _ agent: AuditEvent.AgentField, _ requestID: String,
        _ body: (inout AuthorityStateMachine) -> StoredAuthorities
    ) async throws(AuthoritiesError) {
        try await recorded(type, record.kind, id: record.id, .request, by: agent, requestID: requestID) {
            _ throws(AuthoritiesError) in
            var machine = self.snapshot.machine
            try await self.replace(with: body(&machine))
            var keys = self.snapshot.keys
            let isGone = !machine.stored.records.contains { $0.kind == record.kind && $0.id == record.id }
            let retired = isGone ? record.keyID.flatMap { keys.removeValue(forKey: $0) == nil ? nil : $0 } : nil
            try self.publish(machine, keys: keys)
            try await self.forget(retired)
            return ["authority": record.id, "expires": record.notAfter.description]
        }
    }

    /// The authority that is meant, if `rule` has nothing against the act.
    private func checked(
        _ type: EventType, _ kind: AuthorityRecord.Kind, _ id: String, _ agent: AuditEvent.AgentField,
        _ requestID: String, _ rule: (AuthorityRecord) -> AuthorityRefusal?
    ) async throws(AuthoritiesError) -> AuthorityRecord {
        let record = snapshot.machine.stored.records.last { $0.kind == kind && $0.id.utf8.elementsEqual(id.utf8) }
        let refusal: AuthorityRefusal? = id.isEmpty ? .noID : record.map(rule) ?? .unknown
        guard let refusal else {
            // INVARIANT: without a refusal there is a record.
            guard let record else { throw .refused(.unknown) }
            return record
        }
        // The refusal stands whether or not the log takes it.
        _ = try? await audit.record(
            AuditEvent(
                type: type, agent: agent,
                resource: AuditEvent.ResourceField(kind: "\(kind.rawValue)-authority", id: id),
                decision: AuditEvent.DecisionField(
                    action: type.rawValue, result: .deny, reason: refusal.description),
                correlation: AuditEvent.CorrelationField(requestID: requestID),
                effect: AuditEvent.EffectField(observed: .none)))
        throw .refused(refusal)
    }
}
