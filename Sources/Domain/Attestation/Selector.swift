/// One attested property of a node or workload, such as type `unix`, value `uid:1000`.
///
/// Selectors of unknown types are legal: an entry may wait for an attestor that is not installed yet.
package struct Selector: Hashable, Sendable {
    /// Longest accepted selector, type and value together with the colon, in UTF-8 bytes.
    package static let maximumLength = 4096

    /// The attestor that makes this selector, for instance `unix`; never empty, never holds a colon.
    package let type: String

    /// What the attestor says; never empty, may hold colons.
    package let value: String

    /// A selector from its two parts, as they come over the wire.
    package init(type: String, value: String) throws(SelectorError) {
        guard !type.isEmpty else { throw .emptyType }
        guard !type.utf8.contains(UInt8(ascii: ":")) else { throw .colonInType }
        guard !value.isEmpty else { throw .emptyValue }
        guard type.utf8.count + value.utf8.count < Self.maximumLength else { throw .tooLong }
        self.type = type
        self.value = value
    }

    /// A selector from its text form `type:value`, cut at the first colon.
    package init(parsing text: String) throws(SelectorError) {
        guard text.utf8.count <= Self.maximumLength else { throw .tooLong }
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) else { throw .missingColon }
        try self.init(type: String(text[..<colon]), value: String(text[text.utf8.index(after: colon)...]))
    }

    /// INVARIANT: callers pass a non-empty type without a colon and a non-empty value within the length limit.
    init(knownType type: String, value: String) {
        self.type = type
        self.value = value
    }
}

extension Selector: CustomStringConvertible {
    package var description: String { "\(type):\(value)" }
}

extension Selector: Comparable {
    /// By type, then by value.
    package static func < (left: Selector, right: Selector) -> Bool {
        (left.type, left.value) < (right.type, right.value)
    }
}

/// Why a text is not a selector.
package enum SelectorError: Error, Hashable {
    case emptyType
    case emptyValue
    case missingColon
    case colonInType
    case tooLong
}

extension SelectorError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .emptyType: "selector type is empty"
        case .emptyValue: "selector value is empty"
        case .missingColon: "selector is not of the form type:value"
        case .colonInType: "selector type holds a colon"
        case .tooLong: "selector is longer than \(Selector.maximumLength) bytes"
        }
    }
}
