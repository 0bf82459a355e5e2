/// A dictionary in many small parts: changing a value that others still hold copies one part instead of everything.
struct ShardedMap<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private static var shardCount: Int { 256 }

    private var shards: [[Key: Value]]

    /// Number of keys.
    private(set) var count = 0

    init() {
        shards = Array(repeating: [:], count: Self.shardCount)
    }

    subscript(key: Key) -> Value? {
        get { shards[Self.shard(of: key)][key] }
        set {
            let shard = Self.shard(of: key)
            let old = shards[shard].count
            shards[shard][key] = newValue
            count += shards[shard].count - old
        }
    }

    private static func shard(of key: Key) -> Int {
        Int(UInt(bitPattern: key.hashValue) % UInt(shardCount))
    }
}

extension ShardedMap {
    /// Puts an item into the index of a key.
    mutating func put<Item>(_ item: Item, at position: ListPosition, under key: Key) where Value == OrderedIndex<Item> {
        var index = self[key] ?? OrderedIndex()
        index.put(item, at: position)
        self[key] = index
    }

    /// Takes an item out of the index of a key; an empty index goes.
    mutating func remove<Item>(at position: ListPosition, under key: Key) where Value == OrderedIndex<Item> {
        guard var index = self[key] else { return }
        index.remove(at: position)
        self[key] = index.isEmpty ? nil : index
    }
}
