import HashTreeCollections
package import SPIFFE

/// One agent with the cards of it that are at hand.
package struct Listing: Sendable, Equatable {
    package let agent: RegisteredAgent
    package let cards: [HeldCard]
    let slot: UInt32

    /// The card that clients get.
    package var servedCard: HeldCard? { agent.served.flatMap { card($0.digest) } }

    package func card(_ digest: String) -> HeldCard? { cards.first { $0.digest == digest } }

    /// Of the card that searches find; nil where they find none.
    fileprivate var searchedDigest: String? { agent.state == .revoked ? nil : agent.served?.digest }
}

/// The whole registry at one moment: immutable, so that nobody sees halves of two states.
package struct AgentRegistrySnapshot: Sendable {
    private var listings: TreeDictionary<String, Listing> = [:]
    private var byName: TreeDictionary<String, String> = [:]
    private var byIdentity: TreeDictionary<SPIFFEID, [String]> = [:]
    /// Identifiers by slot; older first. A slot is never used twice.
    private var slots: [String?] = []
    private(set) var index = SearchIndex()

    package init() {}

    package var count: Int { listings.count }
    package func listing(_ id: String) -> Listing? { listings[id] }
    package func listing(named name: String) -> Listing? { byName[name].flatMap { listings[$0] } }
    package func listings(of identity: SPIFFEID) -> [Listing] {
        (byIdentity[identity] ?? []).compactMap { listings[$0] }
    }
    package var identities: some Sequence<SPIFFEID> { byIdentity.keys }

    /// Older first.
    package var all: some Sequence<Listing> { slots.lazy.compactMap { $0.flatMap { listings[$0] } } }

    func listing(atSlot slot: UInt32) -> Listing? {
        Int(slot) < slots.count ? slots[Int(slot)].flatMap { listings[$0] } : nil
    }

    /// Those after a slot, older first, as many as are wanted.
    func listings(afterSlot last: UInt32?, count: Int, where isWanted: (Listing) -> Bool) -> [Listing] {
        var found: [Listing] = []
        let start = last.map { Int($0) + 1 } ?? 0
        guard start < slots.count else { return [] }
        for id in slots[start...] {
            guard let listing = id.flatMap({ listings[$0] }), isWanted(listing) else { continue }
            found.append(listing)
            if found.count == count { break }
        }
        return found
    }

    /// Puts an agent with its cards. Cards that it does not need any more are let go.
    mutating func put(_ agent: RegisteredAgent, cards new: [HeldCard]) {
        let old = listings[agent.id]
        let slot: UInt32
        if let old {
            slot = old.slot
        } else {
            slot = UInt32(clamping: slots.count)
            slots.append(agent.id)
        }
        let held = agent.heldDigests
        var cards: [HeldCard] = []
        for card in new + (old?.cards ?? []) where held.contains(card.digest) {
            if !cards.contains(where: { $0.digest == card.digest }) { cards.append(card) }
        }
        let listing = Listing(agent: agent, cards: cards, slot: slot)
        listings[agent.id] = listing
        byName[agent.name.text] = agent.id
        if old == nil, let identity = agent.identity { byIdentity[identity, default: []].append(agent.id) }
        // Most acts change nothing that is searched for.
        let (before, after) = (old.flatMap(\.searchedDigest), listing.searchedDigest)
        guard before != after else { return }
        if let old { index.remove(old) }
        if after != nil { index.insert(listing) }
    }

    mutating func remove(_ id: String) {
        guard let old = listings.removeValue(forKey: id) else { return }
        index.remove(old)
        slots[Int(old.slot)] = nil
        if byName[old.agent.name.text] == id { byName[old.agent.name.text] = nil }
        guard let identity = old.agent.identity else { return }
        let rest = (byIdentity[identity] ?? []).filter { $0 != id }
        byIdentity[identity] = rest.isEmpty ? nil : rest
    }

    /// Agents that are not the same in both, as they were and as they are; looked for among these only, or among all.
    func differences(
        from earlier: AgentRegistrySnapshot, among changed: Set<String>?
    ) -> [(old: RegisteredAgent?, new: RegisteredAgent?)] {
        let ids = changed ?? Set(listings.keys).union(earlier.listings.keys)
        return ids.sorted().compactMap { id in
            let (old, new) = (earlier.listings[id]?.agent, listings[id]?.agent)
            return old == new ? nil : (old, new)
        }
    }
}
