package import Registry

/// One thing that the directory keeps.
package enum DirectoryRecord: Sendable, Equatable {
    case blueprint(AgentBlueprint)
    case agent(AgentIdentity)
    case resource(ProtectedResource)
    case grant(AgentGrant)

    /// What kinds of things there are, by the words that stores keep them under.
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        case blueprint, agent, resource, grant
    }

    package var kind: Kind {
        switch self {
        case .blueprint: .blueprint
        case .agent: .agent
        case .resource: .resource
        case .grant: .grant
        }
    }

    package var id: String {
        switch self {
        case .blueprint(let blueprint): blueprint.id
        case .agent(let agent): agent.id
        case .resource(let resource): resource.id
        case .grant(let grant): grant.id
        }
    }
}

/// One step of a change to the stored directory.
package enum DirectoryChange: Sendable, Equatable {
    /// Inserts, or replaces what has the same kind and identifier.
    case put(DirectoryRecord)
    /// Removes; no error when there is none.
    case delete(DirectoryRecord.Kind, id: String)
}

/// Keeps blueprints, agents, resources and grants.
///
/// Implementations guarantee: `apply` is one transaction, all or nothing, durable when it returns, and not cut short by
/// the cancellation of the calling task. A stored record that cannot be read exactly is an error, never left out.
package protocol DirectoryStore: Sendable {
    /// Everything that is stored.
    func load() async throws(StoreError) -> DirectorySnapshot

    /// All changes in order, or none.
    func apply(_ changes: [DirectoryChange]) async throws(StoreError)
}

extension DirectorySnapshot {
    package func record(_ kind: DirectoryRecord.Kind, _ id: String) -> DirectoryRecord? {
        switch kind {
        case .blueprint: blueprint(id).map { .blueprint($0) }
        case .agent: agent(id).map { .agent($0) }
        case .resource: resource(id).map { .resource($0) }
        case .grant: grant(id).map { .grant($0) }
        }
    }

    package mutating func put(_ record: DirectoryRecord) {
        switch record {
        case .blueprint(let blueprint): put(blueprint)
        case .agent(let agent): put(agent)
        case .resource(let resource): put(resource)
        case .grant(let grant): put(grant)
        }
    }

    package mutating func apply(_ changes: [DirectoryChange]) {
        for change in changes {
            switch change {
            case .put(let record): put(record)
            case .delete(.blueprint, let id): remove(blueprint: id)
            case .delete(.agent, let id): remove(agent: id)
            case .delete(.resource, let id): remove(resource: id)
            case .delete(.grant, let id): remove(grant: id)
            }
        }
    }

    /// Puts a record that a store has; refuses what the directory would never have written beside what is there.
    package mutating func restore(_ record: DirectoryRecord) throws(StoreError) {
        let isNew: Bool
        switch record {
        case .blueprint(let blueprint): isNew = self.blueprint(named: blueprint.name.text) == nil
        case .agent(let agent):
            isNew =
                agent.state == .retired
                || (self.agent(named: agent.name.text) == nil && self.agent(withSPIFFEID: agent.spiffeID) == nil)
        case .resource, .grant: isNew = true
        }
        guard isNew, self.record(record.kind, record.id) == nil else {
            throw .failed("the stored \(record.kind.rawValue) `\(record.id.prefix(80))` has the name of another")
        }
        put(record)
    }

    /// Refuses what is restored when parts of it are missing: a grant without agent or resource, a live agent without
    /// its blueprint.
    package func checkRestored() throws(StoreError) {
        for grant in allGrants {
            guard let agent = agent(grant.agentID), agent.state != .retired, resource(grant.resourceID) != nil else {
                throw .failed("the stored grant `\(grant.id.prefix(80))` is of an agent or resource that is not stored")
            }
        }
        for agent in allAgents where agent.state != .retired {
            guard let id = agent.blueprintID, blueprint(id) == nil else { continue }
            throw .failed("the stored agent `\(agent.id.prefix(80))` is of a blueprint that is not stored")
        }
    }
}
