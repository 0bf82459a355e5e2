/// A short name that people give to an agent, a blueprint or a federated credential.
///
/// 1 to 120 bytes: a letter or digit, then letters, digits, `-`, `_` and `.`. Names are unique within their kind.
package struct AgentName: Sendable, Hashable, CustomStringConvertible {
    package let text: String

    package static let maximumLength = 120

    package init(_ text: String) throws(DirectoryError) {
        let bytes = text.utf8
        guard let first = bytes.first, Self.isAlphanumeric(first), bytes.count <= Self.maximumLength,
            bytes.allSatisfy({ Self.isAlphanumeric($0) || Self.punctuation.contains($0) })
        else { throw .badName }
        self.text = text
    }

    package var description: String { text }

    private static let punctuation = Array("-_.".utf8)

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: false
        }
    }
}
