package import AuditTrail
package import SPIFFE

/// Whether a relationship must be new or known.
package enum RelationshipWrite: String, Hashable, Sendable, CaseIterable {
    /// Refused when there is one.
    case create
    /// Refused when there is none.
    case update
}

extension Registry {
    /// The stored relationship with a trust domain.
    package func federationRelationship(_ trustDomain: TrustDomain) -> FederationRelationship? {
        state.withLock { $0.relationships[trustDomain] }
    }

    /// Every stored relationship, in the order of the trust domains' names.
    package func federationRelationships() -> [FederationRelationship] {
        state.withLock { $0.relationships }.values.sorted { $0.trustDomain < $1.trustDomain }
    }

    /// Relationships in the order of their trust domains' names; a page token is the last name.
    package func federationRelationships(
        page: PageRequest
    ) throws(RegistryError) -> Page<FederationRelationship> {
        var last: TrustDomain?
        if !page.token.isEmpty {
            guard let name = try? TrustDomain(page.token) else { throw .badPageToken }
            last = name
        }
        let rest = federationRelationships().drop { relationship in
            last.map { relationship.trustDomain <= $0 } ?? false
        }
        let items = Array(rest.prefix(page.count))
        return Page(items: items, nextToken: items.count < rest.count ? items.last?.trustDomain.name ?? "" : "")
    }

    /// Stores a relationship; the bundle of its trust domain stays as it is.
    package func writeFederationRelationship(
        _ relationship: FederationRelationship, _ mode: RelationshipWrite, by agent: AuditEvent.AgentField,
        requestID: String
    ) async throws(RegistryError) {
        let type: EventType = mode == .create ? .federationCreate : .federationUpdate
        let act = relationshipAct(
            type, mode.rawValue, relationship.trustDomain, digest: relationship.digest(), by: agent,
            requestID: requestID)
        guard relationship.trustDomain != trustDomain else { throw await refuse(act, .ownTrustDomain) }
        if let error = refusal(of: mode, relationship.trustDomain) { throw await refuse(act, error) }
        try await perform(act) { () async throws(WriteFailure) in
            try await self.entryLock.withLock { () async throws(WriteFailure) in
                try await self.refreshIfStale()
                if let error = self.refusal(of: mode, relationship.trustDomain) { throw .refused(error) }
                try await self.apply(.put(relationship))
                return Written(value: ())
            }
        }
    }

    /// Removes a relationship; the bundle of its trust domain stays, and is no longer fetched.
    package func deleteFederationRelationship(
        _ trustDomain: TrustDomain, by agent: AuditEvent.AgentField, requestID: String
    ) async throws(RegistryError) {
        let act = relationshipAct(
            .federationDelete, "delete", trustDomain, digest: nil, by: agent, requestID: requestID)
        guard federationRelationship(trustDomain) != nil else { throw await refuse(act, .relationshipNotFound) }
        try await perform(act) { () async throws(WriteFailure) in
            try await self.entryLock.withLock { () async throws(WriteFailure) in
                try await self.refreshIfStale()
                guard self.federationRelationship(trustDomain) != nil else { throw .refused(.relationshipNotFound) }
                try await self.apply(.delete(trustDomain))
                return Written(value: ())
            }
        }
    }

    func loadRelationships() async throws(StoreError) {
        var relationships: [TrustDomain: FederationRelationship] = [:]
        for relationship in try await stores.federationRelationships.allRelationships() {
            relationships[relationship.trustDomain] = relationship
        }
        publish { state in
            state.relationships = relationships
            state.relationshipsAreStale = false
            state.position.federationRevision += 1
        }
    }

    private func refusal(of mode: RelationshipWrite, _ trustDomain: TrustDomain) -> RegistryError? {
        switch (mode, federationRelationship(trustDomain) != nil) {
        case (.create, true): .relationshipExists
        case (.update, false): .relationshipNotFound
        default: nil
        }
    }

    private func relationshipAct(
        _ type: EventType, _ action: String, _ trustDomain: TrustDomain, digest: String?,
        by agent: AuditEvent.AgentField, requestID: String
    ) -> RegistryAct {
        RegistryAct(
            type: type, action: action,
            resource: AuditEvent.ResourceField(
                kind: "federation-relationship", id: trustDomain.name, argsHash: digest),
            agent: agent, requestID: requestID)
    }

    /// Stores the change and shows it. INVARIANT: the entry lock is held.
    private func apply(_ change: FederationRelationshipChange) async throws(WriteFailure) {
        let before = federationRelationship(change.trustDomain)
        do {
            try await stores.federationRelationships.apply([change])
        } catch {
            let observed: AuditEvent.EffectField.Observed
            do throws(StoreError) {
                let stored = try await stores.federationRelationships.relationship(with: change.trustDomain)
                show(stored, for: change.trustDomain)
                observed = stored == change.relationship ? .occurred : stored == before ? .none : .unknown
            } catch {
                state.withLock { $0.relationshipsAreStale = true }
                observed = .unknown
            }
            throw WriteFailure(error: .storage(error), observed: observed)
        }
        show(change.relationship, for: change.trustDomain)
    }

    private func show(_ relationship: FederationRelationship?, for trustDomain: TrustDomain) {
        guard federationRelationship(trustDomain) != relationship else { return }
        publish { state in
            state.relationships[trustDomain] = relationship
            state.position.federationRevision += 1
        }
    }
}

extension FederationRelationshipChange {
    fileprivate var trustDomain: TrustDomain {
        switch self {
        case .put(let relationship): relationship.trustDomain
        case .delete(let trustDomain): trustDomain
        }
    }

    fileprivate var relationship: FederationRelationship? {
        switch self {
        case .put(let relationship): relationship
        case .delete: nil
        }
    }
}

extension FederationRelationship {
    /// Hex SHA-256 over every field, for the audit log.
    fileprivate func digest() -> String {
        var digest = FieldDigest()
        digest.add(trustDomain.name)
        digest.add(bundleEndpointURL.string)
        switch profile {
        case .web: digest.add("https_web")
        case .spiffe(let endpointID):
            digest.add("https_spiffe")
            digest.add(endpointID.string)
        }
        return digest.hexadecimal()
    }
}
