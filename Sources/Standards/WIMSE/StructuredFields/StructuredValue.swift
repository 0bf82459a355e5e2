import JOSE

/// One value of a structured field (RFC 9651 §3.3).
package enum BareItem: Sendable, Equatable {
    case integer(Int64)
    /// A decimal number in thousandths, which is as fine as they come.
    case decimal(thousandths: Int64)
    case string(String)
    case token(String)
    case bytes([UInt8])
    case boolean(Bool)
    /// Seconds since 1970.
    case date(Int64)
    case displayString(String)
}

/// The parameters of an item or of a list, in their order.
package struct StructuredParameters: Sendable, Equatable {
    /// A name with its value.
    package struct Entry: Sendable, Equatable {
        package let key: String
        package let value: BareItem
    }

    package private(set) var entries: [Entry]

    /// Parameters of different names.
    package init(_ entries: [(String, BareItem)] = []) {
        self.entries = entries.map { Entry(key: $0.0, value: $0.1) }
    }

    package subscript(key: String) -> BareItem? { entries.first { $0.key == key }?.value }

    mutating func append(_ key: String, _ value: BareItem) { entries.append(Entry(key: key, value: value)) }
}

/// A value with its parameters.
package struct StructuredItem: Sendable, Equatable {
    package let value: BareItem
    package let parameters: StructuredParameters

    package init(_ value: BareItem, _ parameters: StructuredParameters = StructuredParameters()) {
        self.value = value
        self.parameters = parameters
    }
}

/// Items in parentheses, with parameters of the whole.
package struct InnerList: Sendable, Equatable {
    package let items: [StructuredItem]
    package let parameters: StructuredParameters

    package init(_ items: [StructuredItem], _ parameters: StructuredParameters) {
        self.items = items
        self.parameters = parameters
    }
}

/// A dictionary (RFC 9651 §3.2): what `Signature-Input`, `Signature` and `Content-Digest` are.
package struct StructuredDictionary: Sendable, Equatable {
    /// What stands under a name.
    package enum Value: Sendable, Equatable {
        case item(StructuredItem)
        case innerList(InnerList)
    }

    /// A name with what stands under it.
    package struct Entry: Sendable, Equatable {
        package let key: String
        package let value: Value
    }

    package let entries: [Entry]

    package init(_ entries: [Entry]) { self.entries = entries }

    package subscript(key: String) -> Value? { entries.first { $0.key == key }?.value }
}

/// Why a field is not the dictionary that it has to be.
package enum StructuredFieldError: Error, Sendable, Equatable, CustomStringConvertible {
    case tooLong(limit: Int)
    /// More members, items or parameters than are read.
    case tooMany(limit: Int)
    case malformed(offset: Int)
    /// A name that is there twice. RFC 9651 has the last one win; here that could hide what somebody else has looked at.
    case repeatedKey(String)

    package var description: String {
        switch self {
        case .tooLong(let limit): "it is longer than \(limit) bytes"
        case .tooMany(let limit): "it has more than \(limit) parts"
        case .malformed(let offset): "it is malformed at byte \(offset)"
        case .repeatedKey(let key): "it has `\(key.truncatedForMessage)` twice"
        }
    }
}
