import Crypto
import JOSE

/// A text that whoever knows it may use: a secret, an assertion, a token. It shows itself in no log, message or dump.
///
/// It cannot be compared: a secret is compared as digest, a token by its signature.
package struct SecretText: Sendable {
    /// The text itself, for the one who checks it or sends it on.
    package let text: String

    /// Holds a text.
    package init(_ text: String) {
        self.text = text
    }

    /// The SHA-256 digest, by which secrets are stored and tokens are named in records.
    package var digest: [UInt8] { [UInt8](SHA256.hash(bytes: Array(text.utf8))) }

    /// Whether the digest is this one; takes as long for a near miss as for a wide one.
    package func matches(digest other: [UInt8]) -> Bool {
        let own = digest
        guard own.count == other.count else { return false }
        var difference: UInt8 = 0
        for index in own.indices { difference |= own[index] ^ other[index] }
        return difference == 0
    }
}

extension SecretText: CustomStringConvertible, CustomReflectable {
    /// Says that there is something, and not what.
    package var description: String { "hidden text of \(text.utf8.count) bytes" }

    /// Hides the text from dumps.
    package var customMirror: Mirror { Mirror(self, children: ["bytes": text.utf8.count]) }
}
