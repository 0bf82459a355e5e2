import AuditTrail
package import OAuth
import SPIFFE

/// What a new blueprint is to be.
package struct BlueprintDraft: Sendable {
    package var name: AgentName
    package var description: String
    package var allowedScopes: Scope
    package var allowedAudiences: [String]
    package var credentialKinds: Set<CredentialKind>
    package var maximumTokenLifetime: Int64
    package var maximumActorDepth: Int
    package var sponsor: Person
    /// The agent that runs its agents; nil for none.
    package var operatorID: String?

    package init(
        name: AgentName, description: String = "", allowedScopes: Scope, allowedAudiences: [String],
        credentialKinds: Set<CredentialKind>, maximumTokenLifetime: Int64 = AgentBlueprint.longestTokenLifetime,
        maximumActorDepth: Int = ActorChain.defaultLimit, sponsor: Person, operatorID: String? = nil
    ) {
        self.name = name
        self.description = description
        self.allowedScopes = allowedScopes
        self.allowedAudiences = allowedAudiences
        self.credentialKinds = credentialKinds
        self.maximumTokenLifetime = maximumTokenLifetime
        self.maximumActorDepth = maximumActorDepth
        self.sponsor = sponsor
        self.operatorID = operatorID
    }
}

/// What changes in a blueprint; nil keeps what is there.
package struct BlueprintChanges: Sendable {
    package var name: AgentName?
    package var description: String?
    package var allowedScopes: Scope?
    package var allowedAudiences: [String]?
    package var credentialKinds: Set<CredentialKind>?
    package var maximumTokenLifetime: Int64?
    package var maximumActorDepth: Int?
    package var sponsor: Person?
    package var isEnabled: Bool?
    package var operation: Operation?

    /// Who runs the agents of a blueprint.
    package enum Operation: Sendable, Hashable {
        case nobody
        case by(agentID: String)
    }

    package init() {}
}

extension AgentDirectory {
    package func createBlueprint(
        _ draft: BlueprintDraft, by caller: DirectoryCaller
    ) async throws(DirectoryError) -> AgentBlueprint {
        let blueprint = AgentBlueprint(
            id: newIdentifier(), name: draft.name, description: draft.description, allowedScopes: draft.allowedScopes,
            allowedAudiences: draft.allowedAudiences, credentialKinds: draft.credentialKinds,
            maximumTokenLifetime: draft.maximumTokenLifetime, maximumActorDepth: draft.maximumActorDepth,
            sponsor: draft.sponsor, operatorID: draft.operatorID, createdAt: now())
        return try await write(DirectoryAct(.blueprintCreate, "create", "blueprint", blueprint.id, caller)) {
            snapshot throws(DirectoryError) in
            try rules.check(blueprint, in: snapshot)
            if let id = blueprint.operatorID { _ = try rules.live(id, in: snapshot) }
            guard snapshot.blueprintCount < rules.bounds.blueprints else { throw .full(.blueprints) }
            return Plan(
                changes: [.put(.blueprint(blueprint))], value: blueprint, facts: blueprint.facts)
        }
    }

    /// Holds at once for all agents that are made from it.
    package func updateBlueprint(
        _ id: String, _ changes: BlueprintChanges, by caller: DirectoryCaller
    ) async throws(DirectoryError) -> AgentBlueprint {
        try await write(DirectoryAct(.blueprintUpdate, "update", "blueprint", id, caller)) {
            snapshot throws(DirectoryError) in
            guard var blueprint = snapshot.blueprint(id) else { throw .blueprintNotFound }
            let before = blueprint
            if let name = changes.name { blueprint.name = name }
            if let description = changes.description { blueprint.description = description }
            if let scopes = changes.allowedScopes { blueprint.allowedScopes = scopes }
            if let audiences = changes.allowedAudiences { blueprint.allowedAudiences = audiences }
            if let kinds = changes.credentialKinds { blueprint.credentialKinds = kinds }
            if let lifetime = changes.maximumTokenLifetime { blueprint.maximumTokenLifetime = lifetime }
            if let depth = changes.maximumActorDepth { blueprint.maximumActorDepth = depth }
            if let sponsor = changes.sponsor { blueprint.sponsor = sponsor }
            if let isEnabled = changes.isEnabled { blueprint.isEnabled = isEnabled }
            switch changes.operation {
            case nil: break
            case .nobody: blueprint.operatorID = nil
            case .by(let id): blueprint.operatorID = try rules.live(id, in: snapshot).id
            }
            try rules.check(blueprint, in: snapshot)
            return Plan(
                changes: blueprint == before ? [] : [.put(.blueprint(blueprint))], value: blueprint,
                facts: blueprint.facts)
        }
    }

    /// Refused while live agents are made from it.
    package func deleteBlueprint(_ id: String, by caller: DirectoryCaller) async throws(DirectoryError) {
        try await write(DirectoryAct(.blueprintDelete, "delete", "blueprint", id, caller)) {
            snapshot throws(DirectoryError) in
            guard let blueprint = snapshot.blueprint(id) else { throw .blueprintNotFound }
            let count = snapshot.allAgents.count { $0.blueprintID == id && $0.state != .retired }
            guard count == 0 else { throw .blueprintInUse(count) }
            return Plan(changes: [.delete(.blueprint, id: id)], value: (), facts: ["name": blueprint.name.text])
        }
    }
}

extension AgentBlueprint {
    /// What the audit log says of it beside its identifier.
    fileprivate var facts: [String: String] {
        var facts = ["name": name.text, "enabled": "\(isEnabled)"]
        facts["operator"] = operatorID
        return facts
    }
}
