import GRPCCore
import NIOCore

/// Cuts the bytes of a request into gRPC's length-prefixed messages, whatever their frames were.
struct MessageReader {
    enum Failure: Error, Equatable {
        /// A prefix announces more than the limit.
        case tooLong
        /// A message says that it is compressed, which its call did not agree on.
        case compressed
    }

    /// Longest message, in bytes as sent.
    let maximum: Int
    private var rest = ByteBuffer()

    /// A compression flag and a big-endian 32-bit length.
    static let prefixLength = 5

    init(maximum: Int) {
        self.maximum = maximum
    }

    /// Whether bytes of a message that is not complete are waiting.
    var hasPart: Bool { rest.readableBytes > 0 }

    mutating func append(_ bytes: ByteBuffer) {
        guard rest.readableBytes > 0 else {
            rest = bytes
            return
        }
        rest.writeImmutableBuffer(bytes)
    }

    /// The next whole message; nil until more bytes are there. Refuses at the prefix, before a long message arrives.
    mutating func next() throws(Failure) -> ByteBuffer? {
        guard rest.readableBytes >= Self.prefixLength,
            let flag: UInt8 = rest.getInteger(at: rest.readerIndex),
            let length: UInt32 = rest.getInteger(at: rest.readerIndex + 1)
        else { return nil }
        guard length <= maximum else { throw .tooLong }
        guard flag == 0 else { throw .compressed }
        guard rest.readableBytes >= Self.prefixLength + Int(length) else { return nil }
        rest.moveReaderIndex(forwardBy: Self.prefixLength)
        let message = rest.readSlice(length: Int(length))
        if rest.readableBytes == 0 { rest = ByteBuffer() }
        return message
    }
}

extension RPCError {
    /// A message that cannot be taken.
    init(_ failure: MessageReader.Failure, maximum: Int) {
        switch failure {
        case .tooLong: self.init(code: .resourceExhausted, message: "a message of more than \(maximum) bytes")
        case .compressed:
            self.init(code: .internalError, message: "a message is compressed without an encoding")
        }
    }
}
