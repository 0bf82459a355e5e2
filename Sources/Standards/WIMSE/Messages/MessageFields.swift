import JOSE

/// The header fields of a message, by name whatever its case.
package struct MessageFields: Sendable {
    private var lines: [String: [String]] = [:]

    /// The fields in their order, each with its value as it stands in the message.
    package init(_ fields: [(name: String, value: String)] = []) {
        for (name, value) in fields { append(name, value) }
    }

    /// Adds a line.
    package mutating func append(_ name: String, _ value: String) {
        lines[Self.key(name), default: []].append(value.trimmingBlanks)
    }

    /// The values of all fields of a name, without white space around them; empty if there is none.
    package func values(_ name: String) -> [String] { lines[Self.key(name)] ?? [] }

    /// Whether there is a field of this name.
    package func has(_ name: String) -> Bool { lines[Self.key(name)] != nil }

    /// All values of a name as one (RFC 9110 §5.3, RFC 9421 §2.1); nil if there is none.
    package func combined(_ name: String) -> String? {
        lines[Self.key(name)]?.joined(separator: ", ")
    }

    static func key(_ name: String) -> String { String(decoding: name.utf8.map(ByteClass.lowercased), as: UTF8.self) }
}

extension String {
    /// The text without spaces and tabs at both ends.
    var trimmingBlanks: String {
        let bytes = Array(utf8)
        guard let first = bytes.firstIndex(where: { !ByteClass.isBlank($0) }),
            let last = bytes.lastIndex(where: { !ByteClass.isBlank($0) })
        else { return "" }
        return String(decoding: bytes[first...last], as: UTF8.self)
    }
}
