import HashTreeCollections
import SPIFFE

/// An immutable view of all node agents.
struct NodeSnapshot: Sendable {
    private var byID = TreeDictionary<SPIFFEID, NodeRecord>()
    private var ordered = OrderedIndex<NodeRecord>()

    func node(_ id: SPIFFEID) -> NodeRecord? { byID[id] }

    func page(_ filter: NodeFilter, after position: ListPosition?, count: Int) -> Page<NodeRecord> {
        ordered.page(after: position, count: count, where: filter.matches, transform: { $0 })
    }

    func count(_ filter: NodeFilter) -> Int {
        guard filter != NodeFilter() else { return ordered.count }
        var total = 0
        ordered.forEach { element in
            if filter.matches(element.item) { total += 1 }
            return true
        }
        return total
    }

    /// Inserts the node, or replaces the one with its ID.
    mutating func put(_ node: NodeRecord) {
        remove(node.id)
        byID[node.id] = node
        ordered.put(node, at: Self.position(of: node))
    }

    mutating func remove(_ id: SPIFFEID) {
        guard let node = byID[id] else { return }
        byID[id] = nil
        ordered.remove(at: Self.position(of: node))
    }

    private static func position(of node: NodeRecord) -> ListPosition {
        ListPosition(createdAt: node.createdAt, key: node.id.string)
    }
}
