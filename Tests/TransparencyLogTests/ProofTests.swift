import Testing

@testable import TransparencyLog

/// All sizes up to 600, in slices so that they run beside each other.
private let slices = stride(from: 0, to: 600, by: 50).map { ($0 + 1)...($0 + 50) }

/// Every index for small trees and around the edges of tiles; a sample that moves with the size for the rest.
private func indexes(below size: Int) -> [Int] {
    let nearEdge = abs(size - 256) < 3 || abs(size - 512) < 3
    return (0..<size).filter { size <= 100 || nearEdge || $0 % 37 == size % 37 || $0 == size - 1 }
}

@Suite struct ProofTests {
    private static let store = TileStore(leaves: Reference(count: 600).leaves)

    @Test(arguments: slices)
    func `inclusion proofs up to 600 leaves are those of RFC 6962 and hold`(sizes: ClosedRange<Int>) throws {
        var reference = Reference(count: sizes.upperBound)
        for size in sizes {
            let root = reference.root(0..<size)
            for index in indexes(below: size) {
                let proof = try InclusionProof.make(index: Int64(index), size: Int64(size), tiles: Self.store.tiles)
                guard proof.hashes == reference.path(index, 0..<size) else {
                    Issue.record("wrong path for \(index) of \(size)")
                    continue
                }
                try proof.verify(leaf: reference.leaves[index], root: root)
            }
        }
    }

    @Test(arguments: slices)
    func `consistency proofs up to 600 leaves are those of RFC 6962 and hold`(sizes: ClosedRange<Int>) throws {
        var reference = Reference(count: sizes.upperBound)
        for size in sizes {
            let root = reference.root(0..<size)
            for old in indexes(below: size).map({ $0 + 1 }) {
                let proof = try ConsistencyProof.make(
                    oldSize: Int64(old), newSize: Int64(size), tiles: Self.store.tiles)
                guard proof.hashes == reference.proof(old, size) else {
                    Issue.record("wrong proof from \(old) to \(size)")
                    continue
                }
                try proof.verify(oldRoot: reference.root(0..<old), newRoot: root)
            }
        }
    }

    @Test func `published consistency proofs are made from the reference entries`() throws {
        let entries = [
            "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
        ]
        let store = TileStore(leaves: entries.map { TreeHasher.leaf(bytes(hex: $0)) })
        let sixToEight = try ConsistencyProof.make(oldSize: 6, newSize: 8, tiles: store.tiles)
        #expect(
            sixToEight.hashes.map { hex($0.bytes) } == [
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ])
        let twoToFive = try ConsistencyProof.make(oldSize: 2, newSize: 5, tiles: store.tiles)
        #expect(
            twoToFive.hashes.map { hex($0.bytes) } == [
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ])
    }

    @Test func `proofs cross tile levels and need only the tiles they name`() throws {
        let size = 70_000
        let store = TileStore(leaves: Reference(count: size).leaves, keepingPartialTiles: false)
        let root = store.frontier.root
        for index in [0, 1, 255, 256, 65_535, 65_536, 69_631, 69_632, 69_887, 69_888, 69_998, 69_999] {
            let needed = try InclusionProof.requiredTiles(index: Int64(index), size: Int64(size))
            #expect(needed.count <= 4)
            #expect(needed.allSatisfy { $0.exists(inTreeOfSize: Int64(size)) })
            let tiles = TileSet(try needed.compactMap { try store.tiles.tile($0) })
            let proof = try InclusionProof.make(index: Int64(index), size: Int64(size), tiles: tiles)
            try proof.verify(leaf: TreeHasher.leaf(Reference.entry(index)), root: root)
            for left in needed {
                let fewer = TileSet(try needed.filter { $0 != left }.compactMap { try store.tiles.tile($0) })
                #expect(throws: ProofError.missingTile(left)) {
                    try InclusionProof.make(index: Int64(index), size: Int64(size), tiles: fewer)
                }
            }
        }
        #expect(try InclusionProof.make(index: 0, size: 70_000, tiles: store.tiles).hashes.count == 17)
        for old in [1, 255, 256, 257, 65_535, 65_536, 65_537, 69_999] {
            var earlier = TreeFrontier()
            for index in 0..<old { _ = earlier.append(TreeHasher.leaf(Reference.entry(index))) }
            // The store has no partial tiles of the older tree: only those of the current size are needed.
            let proof = try ConsistencyProof.make(oldSize: Int64(old), newSize: Int64(size), tiles: store.tiles)
            try proof.verify(oldRoot: earlier.root, newRoot: root)
        }
    }

    @Test func `a full tile stands in for the partial one that it replaced`() async throws {
        let reference = Reference(count: 300)
        let store = TileStore(leaves: reference.leaves, keepingPartialTiles: false)
        var earlier = TreeFrontier()
        for leaf in reference.leaves.prefix(200) { _ = earlier.append(leaf) }
        let proof = try InclusionProof.make(index: 77, size: 200, tiles: store.tiles)
        try proof.verify(leaf: reference.leaves[77], root: earlier.root)
        let awaited = try await InclusionProof.make(index: 77, size: 200) { try store.tiles.tile($0) }
        #expect(awaited == proof)
        let growth = try await ConsistencyProof.make(oldSize: 200, newSize: 300) { try store.tiles.tile($0) }
        try growth.verify(oldRoot: earlier.root, newRoot: store.frontier.root)
    }

    @Test func `a reader that answers with another tile is not believed`() throws {
        let store = TileStore(leaves: Reference(count: 300).leaves)
        let other = try #require(store.tiles.tile(try TileCoordinate(level: 0, index: 0, width: 256)))
        let wrong = ClosureTileReader { _ in other }
        #expect(throws: ProofError.missingTile(try TileCoordinate(level: 0, index: 1, width: 44))) {
            try InclusionProof.make(index: 299, size: 300, tiles: wrong)
        }
    }

    @Test func `sizes and indexes out of range are refused`() {
        let tiles = TileSet()
        for (index, size) in [(Int64(0), Int64(0)), (-1, 5), (5, 5), (6, 5), (0, -1), (.max, .max), (.min, 1)] {
            #expect(throws: ProofError.indexOutOfRange(index: index, size: size)) {
                try InclusionProof.make(index: index, size: size, tiles: tiles)
            }
            #expect(throws: ProofError.indexOutOfRange(index: index, size: size)) {
                try InclusionProof(leafIndex: index, treeSize: size, hashes: [])
                    .verify(leaf: .emptyTree, root: .emptyTree)
            }
        }
        for (old, new) in [(Int64(-1), Int64(0)), (1, 0), (.max, 5), (.min, .max)] {
            #expect(throws: ProofError.sizesOutOfRange(old: old, new: new)) {
                try ConsistencyProof.make(oldSize: old, newSize: new, tiles: tiles)
            }
            #expect(throws: ProofError.sizesOutOfRange(old: old, new: new)) {
                try ConsistencyProof(oldSize: old, newSize: new, hashes: [])
                    .verify(oldRoot: .emptyTree, newRoot: .emptyTree)
            }
        }
    }

    @Test func `the largest sizes neither trap nor hang`() throws {
        let reader = ClosureTileReader {
            try Tile(coordinate: $0, hashes: .init(repeating: .emptyTree, count: $0.width))
        }
        for index in [0, 1, Int64.max / 2, Int64.max - 1] {
            let proof = try InclusionProof.make(index: index, size: .max, tiles: reader)
            #expect(proof.hashes.count <= 63)
            #expect(throws: ProofError.rootMismatch) { try proof.verify(leaf: .emptyTree, root: .emptyTree) }
        }
        for old in [1, 2, Int64.max / 2, Int64.max - 1] {
            let proof = try ConsistencyProof.make(oldSize: old, newSize: .max, tiles: reader)
            #expect(throws: ProofError.self) { try proof.verify(oldRoot: .emptyTree, newRoot: .emptyTree) }
        }
    }

    @Test func `every tree continues the empty one, and only the same root the same size`() throws {
        let root = TreeHasher.leaf([1])
        try ConsistencyProof(oldSize: 0, newSize: 0, hashes: []).verify(oldRoot: .emptyTree, newRoot: .emptyTree)
        try ConsistencyProof(oldSize: 0, newSize: 1, hashes: []).verify(oldRoot: .emptyTree, newRoot: root)
        try ConsistencyProof(oldSize: 1, newSize: 1, hashes: []).verify(oldRoot: root, newRoot: root)
        #expect(throws: ProofError.oldRootMismatch) {
            try ConsistencyProof(oldSize: 0, newSize: 1, hashes: []).verify(oldRoot: root, newRoot: root)
        }
        #expect(throws: ProofError.rootMismatch) {
            try ConsistencyProof(oldSize: 1, newSize: 1, hashes: []).verify(oldRoot: root, newRoot: .emptyTree)
        }
        #expect(throws: ProofError.wrongHashCount(expected: 0, actual: 1)) {
            try ConsistencyProof(oldSize: 1, newSize: 1, hashes: [root]).verify(oldRoot: root, newRoot: root)
        }
        #expect(throws: ProofError.wrongHashCount(expected: 0, actual: 1)) {
            try ConsistencyProof(oldSize: 0, newSize: 1, hashes: [root]).verify(oldRoot: .emptyTree, newRoot: root)
        }
    }

    @Test func `no changed proof holds`() throws {
        var reference = Reference(count: 24)
        let store = TileStore(leaves: reference.leaves)
        let other = TreeHasher.leaf(Array("another".utf8))
        for size in 1...24 {
            let root = reference.root(0..<size)
            for index in 0..<size {
                let proof = try InclusionProof.make(index: Int64(index), size: Int64(size), tiles: store.tiles)
                let leaf = reference.leaves[index]
                for changed in changes(of: proof.hashes) {
                    #expect(throws: ProofError.self) {
                        try InclusionProof(leafIndex: Int64(index), treeSize: Int64(size), hashes: changed)
                            .verify(leaf: leaf, root: root)
                    }
                }
                for wrongIndex in 0..<size where wrongIndex != index {
                    #expect(throws: ProofError.self) {
                        try InclusionProof(leafIndex: Int64(wrongIndex), treeSize: Int64(size), hashes: proof.hashes)
                            .verify(leaf: leaf, root: root)
                    }
                }
                #expect(throws: ProofError.rootMismatch) { try proof.verify(leaf: other, root: root) }
                #expect(throws: ProofError.rootMismatch) { try proof.verify(leaf: leaf, root: other) }
            }
            for old in 1..<size {
                let proof = try ConsistencyProof.make(oldSize: Int64(old), newSize: Int64(size), tiles: store.tiles)
                let oldRoot = reference.root(0..<old)
                for changed in changes(of: proof.hashes) {
                    #expect(throws: ProofError.self) {
                        try ConsistencyProof(oldSize: Int64(old), newSize: Int64(size), hashes: changed)
                            .verify(oldRoot: oldRoot, newRoot: root)
                    }
                }
                #expect(throws: ProofError.self) { try proof.verify(oldRoot: other, newRoot: root) }
                #expect(throws: ProofError.self) { try proof.verify(oldRoot: oldRoot, newRoot: other) }
            }
        }
    }

    /// One hash changed, dropped, doubled or added, and neighbours swapped.
    private func changes(of hashes: [Hash256]) -> [[Hash256]] {
        let other = TreeHasher.leaf(Array("another".utf8))
        var changed = [hashes + [other], [other] + hashes]
        for position in hashes.indices {
            var copy = hashes
            copy[position] = other
            changed.append(copy)
            copy.remove(at: position)
            changed.append(copy)
            copy.insert(contentsOf: [hashes[position], hashes[position]], at: position)
            changed.append(copy)
            if position > 0 {
                copy = hashes
                copy.swapAt(position, position - 1)
                changed.append(copy)
            }
        }
        return changed
    }
}
