package import GRDB
package import SPIFFE

extension Row {
    /// The bytes of a column, empty for NULL.
    package func bytes(_ column: Int) throws -> [UInt8] { try optionalBytes(column) ?? [] }

    /// The bytes of a column, nil for NULL. Copies out of SQLite's own buffer, once.
    package func optionalBytes(_ column: Int) throws -> [UInt8]? {
        try withUnsafeData(atIndex: column) { data in data.map { [UInt8]($0) } }
    }

    /// A text that was stored as its bytes.
    package func freeText(_ column: Int) throws -> String { String(decoding: try bytes(column), as: UTF8.self) }

    /// A moment, stored as milliseconds since the epoch.
    package func time(_ column: Int) throws -> UnixTime {
        UnixTime(milliseconds: try decode(Int64.self, atIndex: column))
    }

    /// A moment that may be NULL.
    package func optionalTime(_ column: Int) throws -> UnixTime? {
        try decodeIfPresent(Int64.self, atIndex: column).map { UnixTime(milliseconds: $0) }
    }

    /// Reads a value that may be NULL.
    package func decodeIfPresent<Value: DatabaseValueConvertible>(_ type: Value.Type, atIndex column: Int) throws
        -> Value?
    {
        try decode(Value?.self, atIndex: column)
    }
}
