/// Items sorted by list position, in short chunks: a change copies one chunk and the list of chunks, never everything,
/// while older copies of the value stay as they were.
struct OrderedIndex<Item: Sendable>: Sendable {
    struct Element: Sendable {
        let position: ListPosition
        let item: Item
    }

    /// Elements in one chunk at most.
    static var chunkLength: Int { 32 }

    // INVARIANT: no chunk is empty; positions grow strictly through all of them.
    private var chunks: [[Element]] = []

    /// Number of items.
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    /// Inserts the item, or replaces the one at its position.
    mutating func put(_ item: Item, at position: ListPosition) {
        let element = Element(position: position, item: item)
        guard let chunk = chunkIndex(for: position) else {
            appendAtEnd(element)
            return
        }
        let index = Self.lowerBound(chunks[chunk], position)
        if index < chunks[chunk].count, chunks[chunk][index].position == position {
            chunks[chunk][index] = element
            return
        }
        chunks[chunk].insert(element, at: index)
        count += 1
        guard chunks[chunk].count > Self.chunkLength else { return }
        let half = chunks[chunk].count / 2
        let tail = Array(chunks[chunk][half...])
        chunks[chunk].removeLast(tail.count)
        chunks.insert(tail, at: chunk + 1)
    }

    /// Removes the item at this position, if there is one.
    mutating func remove(at position: ListPosition) {
        guard let chunk = chunkIndex(for: position) else { return }
        let index = Self.lowerBound(chunks[chunk], position)
        guard index < chunks[chunk].count, chunks[chunk][index].position == position else { return }
        chunks[chunk].remove(at: index)
        count -= 1
        if chunks[chunk].isEmpty { chunks.remove(at: chunk) }
    }

    /// Calls the closure in order, from the first position after `position` on, until it answers false.
    func forEach(after position: ListPosition? = nil, _ visit: (Element) -> Bool) {
        var first = 0
        if let position {
            guard let chunk = chunkIndex(for: position) else { return }
            first = chunk
        }
        for chunk in chunks[first...] {
            for element in chunk {
                if let position, element.position <= position { continue }
                guard visit(element) else { return }
            }
        }
    }

    /// The items in order.
    var items: [Item] {
        var items: [Item] = []
        items.reserveCapacity(count)
        for chunk in chunks {
            for element in chunk { items.append(element.item) }
        }
        return items
    }

    /// One page of the items that satisfy the condition.
    func page<Result>(
        after position: ListPosition?, count: Int, where condition: (Item) -> Bool, transform: (Item) -> Result
    ) -> Page<Result> {
        var items: [Result] = []
        var last: ListPosition?
        var hasMore = false
        forEach(after: position) { element in
            guard condition(element.item) else { return true }
            guard items.count < count else {
                hasMore = true
                return false
            }
            items.append(transform(element.item))
            last = element.position
            return true
        }
        return Page(items: items, nextToken: hasMore ? last?.token ?? "" : "")
    }

    private mutating func appendAtEnd(_ element: Element) {
        count += 1
        if let last = chunks.indices.last, chunks[last].count < Self.chunkLength {
            chunks[last].append(element)
        } else {
            chunks.append([element])
        }
    }

    /// The first chunk whose last position is not before `position`.
    private func chunkIndex(for position: ListPosition) -> Int? {
        // Most of what comes is newer than all there is.
        guard let last = chunks.last?.last, last.position >= position else { return nil }
        var low = 0
        var high = chunks.count
        while low < high {
            let middle = (low + high) / 2
            if let last = chunks[middle].last, last.position < position {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low < chunks.count ? low : nil
    }

    private static func lowerBound(_ chunk: [Element], _ position: ListPosition) -> Int {
        var low = 0
        var high = chunk.count
        while low < high {
            let middle = (low + high) / 2
            if chunk[middle].position < position {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }
}
