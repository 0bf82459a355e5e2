import FoundationEssentials
import GRDB

/// Bytes as GRDB binds them.
enum BlobValue {
    static func make(_ bytes: [UInt8]) -> Data { Data(bytes) }
}
