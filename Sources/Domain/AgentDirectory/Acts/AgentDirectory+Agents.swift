import AuditTrail
package import SPIFFE

/// What a new agent is to be.
package struct AgentDraft: Sendable {
    package var name: AgentName
    package var spiffeID: SPIFFEID
    package var blueprintID: String?
    package var owner: Person?
    /// Nil for the blueprint's.
    package var sponsor: Person?
    package var expiresAt: UnixTime?

    package init(
        name: AgentName, spiffeID: SPIFFEID, blueprintID: String? = nil, owner: Person?, sponsor: Person? = nil,
        expiresAt: UnixTime? = nil
    ) {
        self.name = name
        self.spiffeID = spiffeID
        self.blueprintID = blueprintID
        self.owner = owner
        self.sponsor = sponsor
        self.expiresAt = expiresAt
    }
}

/// What changes in an agent; nil keeps what is there.
package struct AgentChanges: Sendable {
    package var name: AgentName?
    package var owner: Person?
    package var sponsor: Person?
    package var end: End?

    /// Until when the agent gets tokens.
    package enum End: Sendable, Hashable {
        case never
        case at(UnixTime)
    }

    package init() {}
}

extension AgentDirectory {
    package func createAgent(
        _ draft: AgentDraft, by caller: DirectoryCaller
    ) async throws(DirectoryError) -> AgentIdentity {
        let id = newIdentifier()
        let time = now()
        return try await write(DirectoryAct(.identityCreate, "create", "identity", id, caller)) {
            snapshot throws(DirectoryError) in
            var blueprint: AgentBlueprint?
            if let id = draft.blueprintID {
                blueprint = snapshot.blueprint(id)
                guard let blueprint else { throw .blueprintNotFound }
                guard blueprint.isEnabled else { throw .blueprintDisabled }
            }
            guard let owner = draft.owner else { throw .ownerMissing }
            guard let sponsor = draft.sponsor ?? blueprint?.sponsor else { throw .sponsorMissing }
            let agent = AgentIdentity(
                id: id, name: draft.name, spiffeID: draft.spiffeID, blueprintID: blueprint?.id, owner: owner,
                sponsor: sponsor, expiresAt: draft.expiresAt, createdAt: time)
            try rules.check(agent, in: snapshot)
            try rules.check(end: agent.expiresAt, now: time)
            guard snapshot.liveAgentCount < rules.bounds.liveAgents, snapshot.agentCount < rules.bounds.agents else {
                throw .full(.agents)
            }
            return Plan(changes: [.put(.agent(agent))], value: agent, facts: agent.facts)
        }
    }

    package func updateAgent(
        _ id: String, _ changes: AgentChanges, by caller: DirectoryCaller
    ) async throws(DirectoryError) -> AgentIdentity {
        let time = now()
        return try await write(DirectoryAct(.identityUpdate, "update", "identity", id, caller)) {
            snapshot throws(DirectoryError) in
            var agent = try rules.live(id, in: snapshot)
            let before = agent
            if let name = changes.name { agent.name = name }
            if let owner = changes.owner { agent.owner = owner }
            if let sponsor = changes.sponsor { agent.sponsor = sponsor }
            switch changes.end {
            case nil: break
            case .never: agent.expiresAt = nil
            case .at(let end):
                try rules.check(end: end, now: time)
                agent.expiresAt = end
            }
            try rules.check(agent, in: snapshot)
            return Plan(changes: agent == before ? [] : [.put(.agent(agent))], value: agent, facts: agent.facts)
        }
    }

    /// From here on no tokens, and those that it has are inactive, until it is enabled again.
    package func disableAgent(
        _ id: String, reason: String = "", by caller: DirectoryCaller
    ) async throws(DirectoryError) -> AgentIdentity {
        try await set(.disabled, id, DirectoryAct(.identityDisable, "disable", "identity", id, caller), reason)
    }

    package func enableAgent(
        _ id: String, reason: String = "", by caller: DirectoryCaller
    ) async throws(DirectoryError) -> AgentIdentity {
        try await set(.enabled, id, DirectoryAct(.identityEnable, "enable", "identity", id, caller), reason)
    }

    /// Ends the agent for good: its grants and credentials go, its name and SPIFFE ID are free again, the record stays.
    package func retireAgent(
        _ id: String, reason: String = "", by caller: DirectoryCaller
    ) async throws(DirectoryError) -> AgentIdentity {
        try await set(.retired, id, DirectoryAct(.identityRetire, "retire", "identity", id, caller), reason)
    }

    private func set(
        _ state: AgentIdentity.State, _ id: String, _ act: DirectoryAct, _ reason: String
    ) async throws(DirectoryError) -> AgentIdentity {
        var act = act
        if !reason.isEmpty { act.remediation = AuditEvent.RemediationField(cause: reason, action: act.action) }
        return try await write(act) { snapshot throws(DirectoryError) in
            try rules.check(reason: reason)
            var agent = try rules.live(id, in: snapshot)
            guard agent.state != state else { return Plan(changes: [], value: agent) }
            agent.state = state
            var changes: [DirectoryChange] = []
            if state == .retired {
                agent.federatedCredentials = []
                agent.clientCredentials = []
                changes = snapshot.grants(ofAgent: id).map { .delete(.grant, id: $0.id) }
            }
            var facts = agent.facts
            if !changes.isEmpty { facts["grants"] = "\(changes.count)" }
            return Plan(changes: [.put(.agent(agent))] + changes, value: agent, facts: facts)
        }
    }
}

extension AgentIdentity {
    /// What the audit log says of it beside its identifier.
    var facts: [String: String] {
        var facts = ["name": name.text, "spiffe_id": spiffeID.string, "state": state.rawValue]
        facts["expires"] = expiresAt?.description
        return facts
    }
}
