import AuditTrail
package import OAuth
package import SPIFFE

/// What a new grant is to be.
package struct GrantDraft: Sendable {
    package var agentID: String
    package var resourceID: String
    package var scopes: Scope
    package var use: AgentGrant.Use
    package var expiresAt: UnixTime?
    /// Says expressly that impersonation is meant; without it a grant for impersonation is refused.
    package var allowsImpersonation: Bool
    package var details: [AuthorizationDetailPattern]
    package var activation: Int64?

    package init(
        agentID: String, resourceID: String, scopes: Scope, use: AgentGrant.Use = .own, expiresAt: UnixTime? = nil,
        allowsImpersonation: Bool = false, details: [AuthorizationDetailPattern] = [], activation: Int64? = nil
    ) {
        self.agentID = agentID
        self.resourceID = resourceID
        self.scopes = scopes
        self.use = use
        self.expiresAt = expiresAt
        self.allowsImpersonation = allowsImpersonation
        self.details = details
        self.activation = activation
    }
}

extension AgentDirectory {
    package func createGrant(
        _ draft: GrantDraft, by caller: DirectoryCaller
    ) async throws(DirectoryError) -> AgentGrant {
        let time = now()
        let grant = AgentGrant(
            id: newIdentifier(), agentID: draft.agentID, resourceID: draft.resourceID, scopes: draft.scopes,
            use: draft.use, details: draft.details, activation: draft.activation, expiresAt: draft.expiresAt,
            createdAt: time)
        return try await write(DirectoryAct(.grantCreate, "create", "grant", grant.id, caller)) {
            snapshot throws(DirectoryError) in
            try rules.check(grant, in: snapshot, allowingImpersonation: draft.allowsImpersonation, now: time)
            guard snapshot.grantCount < rules.bounds.grants else { throw .full(.grants) }
            guard snapshot.grants(ofAgent: grant.agentID).count < rules.bounds.grantsOfAgent else {
                throw .full(.grantsOfAgent)
            }
            return Plan(changes: [.put(.grant(grant))], value: grant, facts: grant.facts)
        }
    }

    package func deleteGrant(_ id: String, by caller: DirectoryCaller) async throws(DirectoryError) {
        try await write(DirectoryAct(.grantDelete, "delete", "grant", id, caller)) {
            snapshot throws(DirectoryError) in
            guard let grant = snapshot.grant(id) else { throw .grantNotFound }
            return Plan(changes: [.delete(.grant, id: id)], value: (), facts: grant.facts)
        }
    }

    /// Drops grants that have ended.
    package func pruneGrants() async throws(DirectoryError) {
        let time = now()
        let isOver: @Sendable (AgentGrant) -> Bool = { $0.expiresAt.map { $0 <= time } ?? false }
        let count = snapshot.allGrants.count(where: isOver)
        guard count > 0 else { return }
        let caller = DirectoryCaller(.internal(), requestID: newIdentifier())
        try await write(
            DirectoryAct(.grantPrune, "prune", "grant", "ended", caller, counted: Int64(count))
        ) { snapshot throws(DirectoryError) in
            let ended = snapshot.allGrants.filter(isOver)
            return Plan(
                changes: ended.map { .delete(.grant, id: $0.id) }, value: (), facts: ["count": "\(ended.count)"])
        }
    }
}

extension AgentGrant {
    fileprivate var facts: [String: String] {
        var facts = ["agent": agentID, "resource": resourceID, "scope": scopes.string, "use": use.rawValue]
        facts["expires"] = expiresAt?.description
        facts["activation"] = activation.map { "\($0) s" }
        if !details.isEmpty { facts["details"] = details.map(\.type).joined(separator: " ") }
        return facts
    }
}
