package import FoundationEssentials
import GRDB

/// Bytes as GRDB binds them.
package enum BlobValue {
    package static func make(_ bytes: [UInt8]) -> Data { Data(bytes) }

    /// A text that comes from outside: SQLite's own texts end at the first NUL, which JSON and protobuf allow.
    package static func make(text: String) -> Data { Data(text.utf8) }
}
