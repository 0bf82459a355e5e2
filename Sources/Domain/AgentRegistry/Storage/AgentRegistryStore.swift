package import Registry

/// One step of a change to the stored registry.
package enum AgentRegistryChange: Sendable, Equatable {
    /// Inserts, or replaces what has the same identifier.
    case put(RegisteredAgent)
    /// Keeps the bytes of a card of an agent; a card that is there already stays.
    case putCard(agentID: String, digest: String, bytes: [UInt8])
    case deleteCard(agentID: String, digest: String)
    /// Removes an agent and all its cards.
    case delete(id: String)
}

/// What a store has, as far as it has to be in memory.
package struct StoredAgent: Sendable, Equatable {
    package let agent: RegisteredAgent
    /// The bytes of the cards whose digests ``RegisteredAgent/heldDigests`` names.
    package var cards: [[UInt8]]

    package init(agent: RegisteredAgent, cards: [[UInt8]]) {
        self.agent = agent
        self.cards = cards
    }
}

/// Keeps agents and their cards.
///
/// Implementations guarantee: `apply` is one transaction, all or nothing, durable when it returns, and not cut short by
/// the cancellation of the calling task. A stored record that cannot be read exactly is an error, never left out.
package protocol AgentRegistryStore: Sendable {
    func load() async throws(StoreError) -> [StoredAgent]

    /// All changes in order, or none.
    func apply(_ changes: [AgentRegistryChange]) async throws(StoreError)

    /// The bytes of any card that was ever approved.
    func card(agentID: String, digest: String) async throws(StoreError) -> [UInt8]?
}

extension AgentRegistrySnapshot {
    /// What a store has. A card whose bytes are not those that its digest was made of is no card.
    package init(stored: [StoredAgent]) throws(StoreError) {
        self.init()
        for record in stored.sorted(by: {
            ($0.agent.createdAt.milliseconds, $0.agent.id) < ($1.agent.createdAt.milliseconds, $1.agent.id)
        }) {
            let agent = record.agent
            guard listing(agent.id) == nil, listing(named: agent.name.text) == nil else {
                throw .failed("the stored agent `\(agent.id.prefix(80))` has the name of another")
            }
            var cards: [HeldCard] = []
            for bytes in record.cards {
                guard let card = try? AgentRegistryRules.card(bytes) else {
                    throw .failed("a stored card of the agent `\(agent.id.prefix(80))` is damaged")
                }
                cards.append(card)
            }
            guard agent.heldDigests.allSatisfy({ digest in cards.contains { $0.digest == digest } }) else {
                throw .failed("a stored card of the agent `\(agent.id.prefix(80))` is not what was registered")
            }
            put(agent, cards: cards)
        }
    }
}
