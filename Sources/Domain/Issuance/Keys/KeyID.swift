import SPIFFE

/// The name of a key in a `KeyStore`: 1 to 64 bytes of `a-z 0-9 -`, not starting with a dash, so that it is safe as a
/// file name.
package struct KeyID: Hashable, Sendable, CustomStringConvertible {
    /// The name as text.
    package let string: String

    /// Takes a name; throws `.badID` when it breaks the rule above.
    package init(_ string: String) throws(KeyStoreError) {
        let bytes = string.utf8
        guard !bytes.isEmpty, bytes.count <= Self.maximumLength, bytes.first != UInt8(ascii: "-") else { throw .badID }
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
                continue
            default:
                throw .badID
            }
        }
        self.string = string
    }

    /// The name as text.
    package var description: String { string }

    /// Longest name, in bytes.
    package static let maximumLength = 64

    /// A fresh name: what the key is for, a dash, and 16 random bytes in hex.
    static func fresh(for kind: AuthorityRecord.Kind, randomBytes: RandomBytes) -> KeyID {
        KeyID(checked: "\(kind.rawValue)-\(HexText.encode(randomBytes(16)))")
    }

    /// What the key was made for, read back from a fresh name; nil for a name of another shape.
    var kind: AuthorityRecord.Kind? {
        string.split(separator: "-", maxSplits: 1).first.flatMap { AuthorityRecord.Kind(rawValue: String($0)) }
    }

    private init(checked string: String) {
        self.string = string
    }
}
