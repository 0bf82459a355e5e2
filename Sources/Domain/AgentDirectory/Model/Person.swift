/// Who answers for something: an account name or a mail address of a person or team, as the organisation writes it.
///
/// 1 to 254 bytes of printable text without spaces at its ends. Compared byte by byte.
package struct Person: Sendable, Hashable, CustomStringConvertible {
    package let name: String

    /// Longest name, in bytes: that of a mail address (RFC 5321 §4.5.3.1).
    package static let maximumLength = 254

    package init(_ name: String) throws(DirectoryError) {
        guard !name.isEmpty, name.utf8.count <= Self.maximumLength, name.first != " ", name.last != " ",
            name.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7f })
        else { throw .badPerson }
        self.name = name
    }

    package var description: String { name }
}
