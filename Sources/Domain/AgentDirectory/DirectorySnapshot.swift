import HashTreeCollections
package import SPIFFE

/// The whole directory at one moment: immutable, so that a decision never sees halves of two states.
package struct DirectorySnapshot: Sendable {
    private var blueprints: TreeDictionary<String, AgentBlueprint> = [:]
    private var agents: TreeDictionary<String, AgentIdentity> = [:]
    private var resources: TreeDictionary<String, ProtectedResource> = [:]
    private var grants: TreeDictionary<String, AgentGrant> = [:]
    // INVARIANT: the indexes below name live agents only: enabled and disabled ones, not those that are retired.
    private var agentsBySPIFFEID: TreeDictionary<SPIFFEID, String> = [:]
    private var agentsByName: TreeDictionary<String, String> = [:]
    private var blueprintsByName: TreeDictionary<String, String> = [:]
    private var grantsByAgent: TreeDictionary<String, [String]> = [:]
    private var disabledAgents: TreeSet<String> = []
    private var retiredAgents: TreeSet<String> = []
    /// SPIFFE IDs of agents that were retired, also those that another agent has by now.
    private var retiredSPIFFEIDs: TreeSet<SPIFFEID> = []

    package init() {}

    package func blueprint(_ id: String) -> AgentBlueprint? { blueprints[id] }
    package func agent(_ id: String) -> AgentIdentity? { agents[id] }
    package func resource(_ id: String) -> ProtectedResource? { resources[id] }
    package func grant(_ id: String) -> AgentGrant? { grants[id] }

    /// The agent with this identity that is not retired.
    package func agent(withSPIFFEID id: SPIFFEID) -> AgentIdentity? { agentsBySPIFFEID[id].flatMap { agents[$0] } }

    /// Whether an agent with this identity was retired.
    package func hasRetired(_ id: SPIFFEID) -> Bool { retiredSPIFFEIDs.contains(id) }

    /// The agent of this name that is not retired.
    package func agent(named name: String) -> AgentIdentity? { agentsByName[name].flatMap { agents[$0] } }

    package func blueprint(named name: String) -> AgentBlueprint? { blueprintsByName[name].flatMap { blueprints[$0] } }

    /// Everything granted to an agent, ended grants included.
    package func grants(ofAgent id: String) -> [AgentGrant] { (grantsByAgent[id] ?? []).compactMap { grants[$0] } }

    package var allBlueprints: some Sequence<AgentBlueprint> { blueprints.values }
    package var allAgents: some Sequence<AgentIdentity> { agents.values }
    package var allResources: some Sequence<ProtectedResource> { resources.values }
    package var allGrants: some Sequence<AgentGrant> { grants.values }
    package var agentCount: Int { agents.count }
    /// Agents that are not retired.
    package var liveAgentCount: Int { agentsByName.count }
    package var blueprintCount: Int { blueprints.count }
    package var resourceCount: Int { resources.count }
    package var grantCount: Int { grants.count }

    /// The agents that are disabled now and were not in an earlier snapshot, and those that are retired now and were not; all
    /// of them when compared with an empty one. What they hold has to be taken back.
    package func agentsBarred(since earlier: DirectorySnapshot) -> [AgentIdentity] {
        let barred =
            Array(disabledAgents.subtracting(earlier.disabledAgents))
            + retiredAgents.subtracting(earlier.retiredAgents)
        return barred.compactMap { agents[$0] }
    }

    /// The agents that were disabled in an earlier snapshot and are enabled now.
    package func agentsEnabled(since earlier: DirectorySnapshot) -> [AgentIdentity] {
        earlier.disabledAgents.subtracting(disabledAgents).compactMap { agents[$0] }.filter { $0.state == .enabled }
    }

    package mutating func put(_ blueprint: AgentBlueprint) {
        if let old = blueprints[blueprint.id] { blueprintsByName[old.name.text] = nil }
        blueprints[blueprint.id] = blueprint
        blueprintsByName[blueprint.name.text] = blueprint.id
    }

    package mutating func put(_ agent: AgentIdentity) {
        remove(agent: agent.id)
        agents[agent.id] = agent
        if agent.state == .disabled { disabledAgents.insert(agent.id) }
        guard agent.state != .retired else {
            retiredAgents.insert(agent.id)
            retiredSPIFFEIDs.insert(agent.spiffeID)
            return
        }
        agentsBySPIFFEID[agent.spiffeID] = agent.id
        agentsByName[agent.name.text] = agent.id
    }

    package mutating func put(_ resource: ProtectedResource) { resources[resource.id] = resource }

    package mutating func put(_ grant: AgentGrant) {
        remove(grant: grant.id)
        grants[grant.id] = grant
        grantsByAgent[grant.agentID, default: []].append(grant.id)
    }

    package mutating func remove(blueprint id: String) {
        guard let old = blueprints.removeValue(forKey: id) else { return }
        blueprintsByName[old.name.text] = nil
    }

    /// Out of every index; the directory itself never forgets an agent.
    mutating func remove(agent id: String) {
        guard let old = agents.removeValue(forKey: id) else { return }
        disabledAgents.remove(id)
        retiredAgents.remove(id)
        guard old.state != .retired else { return }
        agentsBySPIFFEID[old.spiffeID] = nil
        agentsByName[old.name.text] = nil
    }

    package mutating func remove(resource id: String) { resources[id] = nil }

    package mutating func remove(grant id: String) {
        guard let old = grants.removeValue(forKey: id) else { return }
        let rest = (grantsByAgent[old.agentID] ?? []).filter { $0 != id }
        grantsByAgent[old.agentID] = rest.isEmpty ? nil : rest
    }
}

extension DirectorySnapshot {
    /// By client ID, SPIFFE ID or name, in this order. A retired agent is found by its client ID only.
    package func agent(calledBy text: String) -> AgentIdentity? {
        if let agent = agent(text) { return agent }
        if let id = try? SPIFFEID(text) { return agent(withSPIFFEID: id) }
        return agent(named: text)
    }

    /// By identifier or name, in this order.
    package func blueprint(calledBy text: String) -> AgentBlueprint? { blueprint(text) ?? blueprint(named: text) }
}
