import Testing

@testable import PeerRPC

struct MessageLengthsTests {
    private static func message(_ length: Int, claimed: UInt32? = nil) -> [UInt8] {
        let claim = claimed ?? UInt32(length)
        return [0] + (0..<4).map { UInt8(truncatingIfNeeded: claim >> (24 - 8 * $0)) }
            + [UInt8](repeating: 0xff, count: length)
    }

    @Test(arguments: 1...12) func `every cut of acceptable messages is accepted`(_ step: Int) {
        let bytes = Self.message(0) + Self.message(10) + Self.message(3) + Self.message(0) + Self.message(9)
        var lengths = MessageLengths(maximum: 10)
        for start in stride(from: 0, to: bytes.count, by: step) {
            let isAccepted = lengths.accept(bytes[start..<min(start + step, bytes.count)])
            #expect(isAccepted)
        }
    }

    @Test(arguments: 1...12) func `too long a message is refused at its prefix`(_ step: Int) {
        let bytes = Self.message(10) + Self.message(0, claimed: 11)
        var lengths = MessageLengths(maximum: 10)
        var verdicts: [Bool] = []
        for start in stride(from: 0, to: bytes.count, by: step) {
            verdicts.append(lengths.accept(bytes[start..<min(start + step, bytes.count)]))
        }
        #expect(verdicts.last == false)
        #expect(verdicts.dropLast().allSatisfy { $0 })
    }

    @Test func `the largest length there is does not overflow`() {
        var lengths = MessageLengths(maximum: .max)
        let isAccepted = lengths.accept(Self.message(1, claimed: .max))
        #expect(isAccepted)
    }
}
