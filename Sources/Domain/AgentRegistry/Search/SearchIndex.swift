import HashTreeCollections

/// Which agents a word or a value occurs in. Agents are known by slots: small numbers, older first.
///
/// A value: a copy costs nothing, and a change copies the lists that it touches.
struct SearchIndex: Sendable {
    /// Slot in the upper 24 bits, weight in the lower 8; ascending.
    private var words: TreeDictionary<String, [UInt32]> = [:]
    private var values: [SearchQuery.Facet: TreeDictionary<String, [UInt32]>] = [:]
    /// Slots that are in the index; ascending.
    private var slots: [UInt32] = []

    static let maximumSlot: UInt32 = 1 << 24 - 1

    /// How much a word counts by where it stands: the best place of each word.
    private enum Weight {
        static let name: UInt32 = 10
        static let skill: UInt32 = 6
        static let tag: UInt32 = 5
        static let description: UInt32 = 2
        static let best = Double(name)
    }

    /// How many agents are in it.
    var count: Int { slots.count }

    mutating func insert(_ listing: Listing) {
        guard let summary = listing.servedCard?.summary, listing.slot <= Self.maximumSlot else { return }
        Self.insert(listing.slot, into: &slots)
        for (word, weight) in Self.words(of: summary, name: listing.agent.name.text) {
            Self.insert(listing.slot << 8 | weight, into: &words[word, default: []])
        }
        for (facet, texts) in Self.values(of: listing) {
            for text in texts { Self.insert(listing.slot, into: &values[facet, default: [:]][text, default: []]) }
        }
    }

    mutating func remove(_ listing: Listing) {
        guard let summary = listing.servedCard?.summary else { return }
        Self.remove(listing.slot, from: &slots)
        for (word, weight) in Self.words(of: summary, name: listing.agent.name.text) {
            Self.remove(listing.slot << 8 | weight, from: &words[word, default: []])
            if words[word]?.isEmpty ?? false { words[word] = nil }
        }
        for (facet, texts) in Self.values(of: listing) {
            for text in texts {
                Self.remove(listing.slot, from: &values[facet, default: [:]][text, default: []])
                if values[facet]?[text]?.isEmpty ?? false { values[facet]?[text] = nil }
            }
        }
    }

    // MARK: looking

    /// Hits after a position, best first, as many as are wanted and visible.
    func search(
        _ query: SearchQuery, after last: SearchPosition?, count: Int, isVisible: (UInt32) -> Bool
    ) -> [SearchPosition] {
        var found: [SearchPosition] = []
        for hit in ranked(query) {
            if let last, hit.score > last.score || (hit.score == last.score && hit.slot <= last.slot) { continue }
            guard isVisible(hit.slot) else { continue }
            found.append(hit)
            if found.count == count { break }
        }
        return found
    }

    /// How often each value of a facet occurs among the hits, the most frequent first.
    func counts(
        _ query: SearchQuery, of facet: SearchQuery.Facet, limit: Int, isVisible: (UInt32) -> Bool
    ) -> [(value: String, count: Int)] {
        guard let all = values[facet], let end = slots.last else { return [] }
        var isHit = [Bool](repeating: false, count: Int(end) + 1)
        for hit in ranked(query) where isVisible(hit.slot) { isHit[Int(hit.slot)] = true }
        var counts: [(value: String, count: Int)] = []
        for (value, list) in all {
            let count = list.count(where: { isHit[Int($0)] })
            if count > 0 { counts.append((value, count)) }
        }
        counts.sort { ($1.count, $0.value) < ($0.count, $1.value) }
        return Array(counts.prefix(limit))
    }

    /// All hits, best first.
    private func ranked(_ query: SearchQuery) -> [SearchPosition] {
        guard let end = slots.last else { return [] }
        let allowed = candidates(query, end: end)
        let words = Set(SearchText.words(query.text).prefix(SearchQuery.maximumWords))
        guard !words.isEmpty else {
            let all = allowed.map { flags in slots.filter { flags[Int($0)] } } ?? slots
            return all.map { SearchPosition(score: 100, slot: $0) }
        }
        var sums = [Float](repeating: 0, count: Int(end) + 1)
        var best: Float = 0
        for word in words {
            let list = self.words[word] ?? []
            // A word that most agents have says little; one that none has still counts against everybody.
            let rarity = 1 + Float(slots.count) / Float(max(list.count, 1))
            let value = Self.logarithm(rarity)
            best += Float(Weight.best) * value
            for entry in list { sums[Int(entry >> 8)] += Float(entry & 0xff) * value }
        }
        return Self.sorted(sums, best: best, allowed: allowed)
    }

    /// Sorted by counting: there are only a hundred scores.
    private static func sorted(_ sums: [Float], best: Float, allowed: [Bool]?) -> [SearchPosition] {
        var scores = [UInt8](repeating: 0, count: sums.count)
        var starts = [Int](repeating: 0, count: 102)
        for slot in sums.indices where sums[slot] > 0 && (allowed.map { $0[slot] } ?? true) {
            let score = UInt8(max(1, min(100, (100 * sums[slot] / best).rounded())))
            scores[slot] = score
            starts[101 - Int(score)] += 1
        }
        for index in 1..<starts.count { starts[index] += starts[index - 1] }
        let total = starts[101]
        var hits = [SearchPosition](repeating: SearchPosition(score: 1, slot: 0), count: total)
        var next = starts
        for slot in scores.indices where scores[slot] > 0 {
            let bucket = 100 - Int(scores[slot])
            hits[next[bucket]] = SearchPosition(score: scores[slot], slot: UInt32(slot))
            next[bucket] += 1
        }
        return hits
    }

    /// The slots that every facet allows; nil for all.
    private func candidates(_ query: SearchQuery, end: UInt32) -> [Bool]? {
        var allowed: [Bool]?
        for facet in SearchQuery.Facet.allCases {
            let wanted = query.values(facet)
            guard !wanted.isEmpty else { continue }
            var matches = [Bool](repeating: false, count: Int(end) + 1)
            for value in wanted {
                for slot in values[facet]?[value] ?? [] where allowed.map({ $0[Int(slot)] }) ?? true {
                    matches[Int(slot)] = true
                }
            }
            allowed = matches
        }
        return allowed
    }

    // MARK: parts

    private static func words(of summary: CardSummary, name: String) -> [String: UInt32] {
        var words: [String: UInt32] = [:]
        func add(_ text: String, _ weight: UInt32) {
            for word in SearchText.words(text) {
                guard words[word] != nil || words.count < SearchText.maximumWords else { continue }
                words[word] = max(words[word] ?? 0, weight)
            }
        }
        add(name, Weight.name)
        add(summary.name, Weight.name)
        for skill in summary.skills {
            add(skill.id, Weight.skill)
            add(skill.name, Weight.skill)
            for tag in skill.tags { add(tag, Weight.tag) }
        }
        add(summary.description, Weight.description)
        for skill in summary.skills { add(skill.description, Weight.description) }
        return words
    }

    private static func values(of listing: Listing) -> [(SearchQuery.Facet, Set<String>)] {
        guard let summary = listing.servedCard?.summary else { return [] }
        return [
            (.skill, Set(summary.skills.map(\.id))), (.tag, Set(summary.skills.flatMap(\.tags))),
            (.scheme, Set(summary.schemes)),
            (.trustDomain, Set([listing.agent.identity?.trustDomain.name].compactMap(\.self))),
        ]
    }

    /// Newest agents come last, so that most insertions are at the end.
    private static func insert(_ value: UInt32, into list: inout [UInt32]) {
        if let last = list.last, value <= last {
            let place = position(value, in: list)
            guard list[place] != value else { return }
            list.insert(value, at: place)
        } else {
            list.append(value)
        }
    }

    private static func remove(_ value: UInt32, from list: inout [UInt32]) {
        let place = position(value, in: list)
        guard place < list.count, list[place] == value else { return }
        list.remove(at: place)
    }

    /// The first place whose value is not less.
    private static func position(_ value: UInt32, in list: [UInt32]) -> Int {
        var (low, high) = (0, list.count)
        while low < high {
            let middle = (low + high) / 2
            if list[middle] < value { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Of base 2, by the exponent and a straight line between: weights need no more, and this floor has no C library.
    private static func logarithm(_ value: Float) -> Float {
        let exponent = value.exponent
        return Float(exponent) + value.significand - 1
    }
}
