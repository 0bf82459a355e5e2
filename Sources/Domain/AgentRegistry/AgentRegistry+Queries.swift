import SPIFFE

/// One agent as a viewer finds it.
package struct RegistryHit: Sendable {
    package let listing: Listing
    /// 1 to 100.
    package let score: UInt8
}

/// A part of a list.
package struct RegistryPage<Item: Sendable>: Sendable {
    package let items: [Item]
    /// Empty on the last page.
    package let nextToken: String
}

extension AgentRegistry {
    package static let longestPage = 100

    /// The agent of this name, if there is one for the viewer, and if its card is still what was approved.
    package func listing(named name: String, for viewer: RegistryViewer) -> Listing? {
        guard let listing = snapshot.listing(named: name), isVisible(listing, to: viewer, barred()) else { return nil }
        return listing
    }

    /// The card that clients get. A card whose signature turned out to be none is not given out.
    package func servedCard(named name: String, for viewer: RegistryViewer) -> (listing: Listing, card: HeldCard)? {
        guard let listing = listing(named: name, for: viewer), let card = listing.servedCard,
            judge(card.bytes) != .invalid
        else { return nil }
        return (listing, card)
    }

    /// What the card's signatures say now.
    package func signature(of card: HeldCard) -> CardSignature { judge(card.bytes) }

    /// Agents whose cards are served, best first.
    package func search(
        _ query: SearchQuery, for viewer: RegistryViewer, size: Int = 0, token: String = ""
    ) throws(AgentRegistryError) -> RegistryPage<RegistryHit> {
        var last: SearchPosition?
        if !token.isEmpty {
            last = SearchPosition(token: token)
            guard last != nil else { throw .badPageToken }
        }
        let (snapshot, barred) = (snapshot, barred())
        let count = Self.pageSize(size)
        let hits = snapshot.index.search(query, after: last, count: count + 1) { slot in
            snapshot.listing(atSlot: slot).map { isVisible($0, to: viewer, barred) } ?? false
        }
        let page = hits.prefix(count)
        return RegistryPage(
            items: page.compactMap { hit in
                snapshot.listing(atSlot: hit.slot).map { RegistryHit(listing: $0, score: hit.score) }
            },
            nextToken: hits.count > count ? page.last?.token ?? "" : "")
    }

    /// How often each value occurs among the agents that a query finds.
    package func counts(
        _ query: SearchQuery, of facet: SearchQuery.Facet, limit: Int, for viewer: RegistryViewer
    ) -> [(value: String, count: Int)] {
        let (snapshot, barred) = (snapshot, barred())
        return snapshot.index.counts(query, of: facet, limit: limit) { slot in
            snapshot.listing(atSlot: slot).map { isVisible($0, to: viewer, barred) } ?? false
        }
    }

    /// All agents of a state, or of any, older first; for administrators also what is not served.
    package func list(
        state: RegisteredAgent.State? = nil, for viewer: RegistryViewer, size: Int = 0, token: String = ""
    ) throws(AgentRegistryError) -> RegistryPage<Listing> {
        var last: UInt32?
        if !token.isEmpty {
            last = UInt32(token)
            guard let last, token == "\(last)" else { throw .badPageToken }
        }
        let (count, barred) = (Self.pageSize(size), barred())
        let found = snapshot.listings(afterSlot: last, count: count + 1) { listing in
            (state == nil || listing.agent.state == state) && isVisible(listing, to: viewer, barred)
        }
        let page = Array(found.prefix(count))
        return RegistryPage(items: page, nextToken: found.count > count ? page.last.map { "\($0.slot)" } ?? "" : "")
    }

    private func isVisible(_ listing: Listing, to viewer: RegistryViewer, _ barred: Barred) -> Bool {
        // An administrator sees everything: nothing has to be looked up.
        if viewer == .administrator { return true }
        guard listing.agent.visibility == .everyone || viewer != .anyone else { return false }
        return listing.agent.isVisible(to: viewer, isBarred: listing.agent.identity.map(barred) ?? false)
    }

    private static func pageSize(_ size: Int) -> Int { size <= 0 ? longestPage : min(size, longestPage) }
}
