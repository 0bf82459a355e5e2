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

// Both change the index where it lies: a copy taken out and put back would be copied by its first change.
extension ShardedMap {
    /// Puts an item into the index of a key.
    mutating func put<Item>(_ item: Item, at position: ListPosition, under key: Key) where Value == OrderedIndex<Item> {
        let shard = Self.shard(of: key)
        let old = shards[shard].count
        shards[shard][key, default: OrderedIndex()].put(item, at: position)
        count += shards[shard].count - old
    }

    /// Takes an item out of the index of a key; an empty index goes.
    mutating func remove<Item>(at position: ListPosition, under key: Key) where Value == OrderedIndex<Item> {
        let shard = Self.shard(of: key)
        guard let place = shards[shard].index(forKey: key) else { return }
        shards[shard].values[place].remove(at: position)
        if shards[shard].values[place].isEmpty {
            shards[shard].remove(at: place)
            count -= 1
        }
    }
}
