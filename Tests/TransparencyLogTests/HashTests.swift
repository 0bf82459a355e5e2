import Testing

@testable import TransparencyLog

@Suite struct HashTests {
    @Test func `the empty tree has the hash of nothing`() {
        #expect(hex(Hash256.emptyTree.bytes) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    }
}

func hex(_ bytes: [UInt8]) -> String {
    bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
}
