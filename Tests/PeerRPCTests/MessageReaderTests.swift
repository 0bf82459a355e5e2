import NIOCore
import Testing

@testable import PeerRPC

struct MessageReaderTests {
    private static func message(_ length: Int, claimed: UInt32? = nil, flag: UInt8 = 0) -> [UInt8] {
        let claim = claimed ?? UInt32(length)
        return [flag] + (0..<4).map { UInt8(truncatingIfNeeded: claim >> (24 - 8 * $0)) }
            + [UInt8](repeating: 0xff, count: length)
    }

    /// What comes out of bytes that arrive in steps: lengths of messages, and how it ended.
    private static func read(
        _ bytes: [UInt8], step: Int, maximum: Int
    ) -> (lengths: [Int], failure: MessageReader.Failure?, hasPart: Bool) {
        var reader = MessageReader(maximum: maximum)
        var lengths: [Int] = []
        for start in stride(from: 0, to: bytes.count, by: step) {
            reader.append(ByteBuffer(bytes: bytes[start..<min(start + step, bytes.count)]))
            do throws(MessageReader.Failure) {
                while let message = try reader.next() { lengths.append(message.readableBytes) }
            } catch {
                return (lengths, error, reader.hasPart)
            }
        }
        return (lengths, nil, reader.hasPart)
    }

    @Test(arguments: 1...12) func `every cut of the bytes gives the same messages`(_ step: Int) {
        let bytes = [0, 10, 3, 0, 9].flatMap { Self.message($0) }
        let found = Self.read(bytes, step: step, maximum: 10)
        #expect(found.lengths == [0, 10, 3, 0, 9])
        #expect(found.failure == nil)
        #expect(!found.hasPart)
    }

    @Test(arguments: 1...12) func `too long a message is refused at its prefix`(_ step: Int) {
        let found = Self.read(Self.message(10) + Self.message(0, claimed: 11), step: step, maximum: 10)
        #expect(found.lengths == [10])
        #expect(found.failure == .tooLong)
    }

    @Test func `a message that says it is compressed is refused`() {
        #expect(Self.read(Self.message(3, flag: 1), step: 64, maximum: 10).failure == .compressed)
    }

    @Test func `the largest length there is does not overflow`() {
        let found = Self.read(Self.message(1, claimed: .max), step: 64, maximum: .max)
        #expect(found.failure == nil)
        #expect(found.hasPart)
    }

    @Test func `the beginning of a message is told from its end`() {
        #expect(Self.read(Self.message(3) + [0], step: 64, maximum: 10).hasPart)
        #expect(Self.read(Self.message(3).dropLast(), step: 64, maximum: 10).hasPart)
        #expect(!Self.read(Self.message(3), step: 64, maximum: 10).hasPart)
    }
}
