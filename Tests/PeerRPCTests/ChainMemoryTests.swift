import Testing

@testable import PeerRPC

struct ChainMemoryTests {
    @Test func `the last chain of a leaf comes back whole`() {
        let memory = ChainMemory()
        memory.remember([[1], [2]])
        #expect(memory.chain(of: [1]) == [[1], [2]])
        memory.remember([[1], [3], [4]])
        #expect(memory.chain(of: [1]) == [[1], [3], [4]])
    }

    @Test func `an unknown leaf, or one that was shown alone, stays alone`() {
        let memory = ChainMemory()
        memory.remember([[5]])
        memory.remember([])
        #expect(memory.chain(of: [5]) == [[5]])
        #expect(memory.chain(of: [6]) == [[6]])
    }

    @Test func `the oldest chains leave when there are too many bytes`() {
        let memory = ChainMemory()
        let issuer = [UInt8](repeating: 0, count: 1 << 20)
        for leaf in UInt8(1)...5 { memory.remember([[leaf], issuer]) }
        #expect(memory.chain(of: [1]) == [[1]])
        #expect(memory.chain(of: [5]) == [[5], issuer])
    }
}
