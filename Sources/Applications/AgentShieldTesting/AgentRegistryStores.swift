package import AgentRegistry
package import Registry
import Synchronization

/// The agent registry's store in plain memory.
package final class InMemoryAgentRegistryStore: AgentRegistryStore {
    private struct Stored {
        var agents: [String: RegisteredAgent] = [:]
        var cards: [String: [String: [UInt8]]] = [:]
    }

    private let stored = Mutex(Stored())

    package init() {}

    package func load() async throws(StoreError) -> [StoredAgent] {
        stored.withLock { stored in
            stored.agents.values.map { agent in
                StoredAgent(agent: agent, cards: agent.heldDigests.compactMap { stored.cards[agent.id]?[$0] })
            }
        }
    }

    package func apply(_ changes: [AgentRegistryChange]) async throws(StoreError) {
        stored.withLock { stored in
            for change in changes {
                switch change {
                case .put(let agent): stored.agents[agent.id] = agent
                case .putCard(let id, let digest, let bytes): stored.cards[id, default: [:]][digest] = bytes
                case .deleteCard(let id, let digest): stored.cards[id]?[digest] = nil
                case .delete(let id):
                    stored.agents[id] = nil
                    stored.cards[id] = nil
                }
            }
        }
    }

    package func card(agentID: String, digest: String) async throws(StoreError) -> [UInt8]? {
        stored.withLock { $0.cards[agentID]?[digest] }
    }
}

/// A store of the agent registry that goes wrong by plan.
package struct FaultyAgentRegistryStore: AgentRegistryStore {
    private let base: any AgentRegistryStore
    private let plan: FaultPlan

    package init(_ base: any AgentRegistryStore, plan: FaultPlan) {
        self.base = base
        self.plan = plan
    }

    package func load() async throws(StoreError) -> [StoredAgent] {
        try await plan.read(failingWith: injected) { () async throws(StoreError) in try await base.load() }
    }

    package func apply(_ changes: [AgentRegistryChange]) async throws(StoreError) {
        try await plan.write(failingWith: injected) { () async throws(StoreError) in try await base.apply(changes) }
    }

    package func card(agentID: String, digest: String) async throws(StoreError) -> [UInt8]? {
        try await plan.read(failingWith: injected) { () async throws(StoreError) in
            try await base.card(agentID: agentID, digest: digest)
        }
    }
}
