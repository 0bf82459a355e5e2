import HashTreeCollections

/// Indexes by a key, in a tree that shares what does not change with older copies of itself: a change of one index of a
/// hundred thousand copies a few small nodes.
typealias SharedIndexes<Key: Hashable, Item: Sendable> = TreeDictionary<Key, OrderedIndex<Item>>

// Both change the index where it lies: a copy taken out and put back would be copied by its first change.
extension TreeDictionary {
    /// Puts an item into the index of a key.
    mutating func put<Item>(_ item: Item, at position: ListPosition, under key: Key) where Value == OrderedIndex<Item> {
        self[key, default: OrderedIndex()].put(item, at: position)
    }

    /// Takes an item out of the index of a key; an empty index goes.
    mutating func remove<Item>(at position: ListPosition, under key: Key) where Value == OrderedIndex<Item> {
        self[key]?.remove(at: position)
        if let index = self[key], index.isEmpty { self[key] = nil }
    }
}
