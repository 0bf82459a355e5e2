import Crypto

/// A SHA-256 hash: 32 bytes stored inline, so that arrays of them are flat memory.
package struct Hash256: Sendable, Hashable {
    /// The number of bytes of a hash.
    package static let byteCount = 32

    /// The hash of the tree without leaves, SHA-256 of nothing (RFC 6962 §2.1).
    package static let emptyTree = Hash256(SHA256().finalize())

    // The words hold the bytes in memory order: they are compared and copied, never read as numbers.
    private var word0: UInt64 = 0
    private var word1: UInt64 = 0
    private var word2: UInt64 = 0
    private var word3: UInt64 = 0

    /// Takes exactly 32 bytes; any other count gives nil.
    package init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        withUnsafeMutableBytes(of: &self) { $0.copyBytes(from: bytes) }
    }

    init(_ digest: SHA256Digest) {
        digest.withUnsafeBytes { source in
            withUnsafeMutableBytes(of: &self) { $0.copyMemory(from: source) }
        }
    }

    /// The 32 bytes.
    package var bytes: [UInt8] {
        withUnsafeBytes { Array($0) }
    }

    /// Lends the 32 bytes without copying them to the heap.
    package func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        try Swift.withUnsafeBytes(of: self, body)
    }
}

extension Hash256 {
    /// Standard base64 with padding, 44 characters: the form of checkpoints and proofs.
    package var base64: String { Base64.encode(bytes) }

    init?(base64 text: ArraySlice<UInt8>) {
        guard text.count == 44, let bytes = Base64.decode(text) else { return nil }
        self.init(bytes)
    }
}

extension Hash256: CustomStringConvertible {
    package var description: String { base64 }
}
