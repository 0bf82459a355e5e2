package import Registry
import SPIFFE

extension DirectorySnapshot {
    /// Agents that meet a condition, older first.
    package func agents(
        page: PageRequest, where isWanted: (AgentIdentity) -> Bool = { _ in true }
    ) throws(DirectoryError) -> Page<AgentIdentity> {
        try Self.page(allAgents, page, where: isWanted) { ListPosition(createdAt: $0.createdAt, key: $0.id) }
    }

    /// Blueprints, older first.
    package func blueprints(page: PageRequest) throws(DirectoryError) -> Page<AgentBlueprint> {
        try Self.page(allBlueprints, page) { ListPosition(createdAt: $0.createdAt, key: $0.id) }
    }

    /// Resources, older first.
    package func resources(page: PageRequest) throws(DirectoryError) -> Page<ProtectedResource> {
        try Self.page(allResources, page) { ListPosition(createdAt: $0.createdAt, key: $0.id) }
    }

    /// Grants of an agent, or of all, on a resource, or on all; older first.
    package func grants(
        page: PageRequest, ofAgent agentID: String? = nil, onResource resourceID: String? = nil
    ) throws(DirectoryError) -> Page<AgentGrant> {
        let isWanted: (AgentGrant) -> Bool = { resourceID == nil || $0.resourceID == resourceID }
        let position: (AgentGrant) -> ListPosition = { ListPosition(createdAt: $0.createdAt, key: $0.id) }
        guard let agentID else { return try Self.page(allGrants, page, where: isWanted, position) }
        return try Self.page(grants(ofAgent: agentID), page, where: isWanted, position)
    }

    /// The first items after the page token. Goes over everything, and keeps no more than a page of it: lists are asked for
    /// rarely, and an order kept for them would cost memory all the time.
    private static func page<Item: Sendable>(
        _ items: some Sequence<Item>, _ request: PageRequest, where isWanted: (Item) -> Bool = { _ in true },
        _ position: (Item) -> ListPosition
    ) throws(DirectoryError) -> Page<Item> {
        var last: ListPosition?
        if !request.token.isEmpty {
            last = ListPosition(token: request.token)
            guard last != nil else { throw .badPageToken }
        }
        var found: [(position: ListPosition, item: Item)] = []
        var hasMore = false
        for item in items where isWanted(item) {
            let place = position(item)
            if let last, place <= last { continue }
            if found.count == request.count, let end = found.last {
                hasMore = true
                guard place < end.position else { continue }
                found.removeLast()
            }
            var (low, high) = (0, found.count)
            while low < high {
                let middle = (low + high) / 2
                if found[middle].position < place { low = middle + 1 } else { high = middle }
            }
            found.insert((place, item), at: low)
        }
        return Page(items: found.map(\.item), nextToken: hasMore ? found.last?.position.token ?? "" : "")
    }
}
