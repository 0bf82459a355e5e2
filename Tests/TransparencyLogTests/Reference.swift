import TransparencyLog

/// The definitions of RFC 6962 §2.1 written down as they stand there, as the oracle for everything faster.
struct Reference {
    let leaves: [Hash256]
    private var known: [Range<Int>: Hash256] = [:]

    init(leaves: [Hash256]) { self.leaves = leaves }

    /// `count` leaves that are all different.
    init(count: Int) { self.init(leaves: (0..<count).map { TreeHasher.leaf(Self.entry($0)) }) }

    static func entry(_ index: Int) -> [UInt8] { Array("entry \(index)".utf8) }

    /// MTH(D[range])
    mutating func root(_ range: Range<Int>) -> Hash256 {
        if range.isEmpty { return .emptyTree }
        if range.count == 1 { return leaves[range.lowerBound] }
        if let hash = known[range] { return hash }
        let middle = range.lowerBound + Self.split(range.count)
        let hash = TreeHasher.node(root(range.lowerBound..<middle), root(middle..<range.upperBound))
        known[range] = hash
        return hash
    }

    /// PATH(index, D[range]), with the index counted from the start of the range.
    mutating func path(_ index: Int, _ range: Range<Int>) -> [Hash256] {
        if range.count == 1 { return [] }
        let k = Self.split(range.count)
        let middle = range.lowerBound + k
        if index < k {
            return path(index, range.lowerBound..<middle) + [root(middle..<range.upperBound)]
        }
        return path(index - k, middle..<range.upperBound) + [root(range.lowerBound..<middle)]
    }

    /// PROOF(size, D[0:n])
    mutating func proof(_ size: Int, _ n: Int) -> [Hash256] { subproof(size, 0..<n, true) }

    /// SUBPROOF(size, D[range], whole)
    private mutating func subproof(_ size: Int, _ range: Range<Int>, _ whole: Bool) -> [Hash256] {
        if size == range.count { return whole ? [] : [root(range)] }
        let k = Self.split(range.count)
        let middle = range.lowerBound + k
        if size <= k {
            return subproof(size, range.lowerBound..<middle, whole) + [root(middle..<range.upperBound)]
        }
        return subproof(size - k, middle..<range.upperBound, false) + [root(range.lowerBound..<middle)]
    }

    /// The largest power of two below `n`, by counting up.
    private static func split(_ n: Int) -> Int {
        var k = 1
        while k * 2 < n { k *= 2 }
        return k
    }
}

/// A log in memory that keeps all tiles it ever had, as a tile server does.
struct TileStore {
    var tiles = TileSet()
    var frontier = TreeFrontier()

    init(leaves: some Sequence<Hash256>, keepingPartialTiles: Bool = true) {
        for leaf in leaves {
            for tile in frontier.append(leaf) { tiles.insert(tile) }
            if keepingPartialTiles {
                for tile in frontier.partialTiles { tiles.insert(tile) }
            }
        }
        for tile in frontier.partialTiles { tiles.insert(tile) }
    }
}

func hex(_ bytes: [UInt8]) -> String {
    bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
}

func bytes(hex: String) -> [UInt8] {
    let digits = hex.utf8.map { Int($0 < 0x3a ? $0 - 0x30 : $0 - 0x57) }
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}
