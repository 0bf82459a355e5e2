import GRPCCore
import NIOCore

/// The bytes of one message, as the transport hands them to gRPC and takes them back.
package struct MessageBytes: GRPCContiguousBytes, Sendable, Hashable {
    private(set) var buffer: ByteBuffer

    init(_ buffer: ByteBuffer) {
        self.buffer = buffer
    }

    package init(repeating byte: UInt8, count: Int) {
        buffer = ByteBuffer(repeating: byte, count: count)
    }

    package init(_ bytes: some Sequence<UInt8>) {
        buffer = ByteBuffer(bytes: bytes)
    }

    package var count: Int { buffer.readableBytes }

    /// As it is sent: behind a flag that says it is not compressed, and its length.
    func prefixed(allocator: ByteBufferAllocator) -> ByteBuffer {
        var message = allocator.buffer(capacity: MessageReader.prefixLength + count)
        message.writeInteger(UInt8(0))
        message.writeInteger(UInt32(truncatingIfNeeded: count))
        message.writeImmutableBuffer(buffer)
        return message
    }

    package func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try buffer.withUnsafeReadableBytes(body)
    }

    package mutating func withUnsafeMutableBytes<R>(_ body: (UnsafeMutableRawBufferPointer) throws -> R) rethrows -> R {
        try buffer.withUnsafeMutableReadableBytes(body)
    }
}
