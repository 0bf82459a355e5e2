package import Crypto

extension HashFunction {
    /// The digest of an array, taken in one piece: Crypto's own `hash(data:)` walks the regions of any `DataProtocol`.
    package static func hash(bytes: [UInt8]) -> Digest {
        var hash = Self()
        bytes.withUnsafeBytes { hash.update(bufferPointer: $0) }
        return hash.finalize()
    }
}
