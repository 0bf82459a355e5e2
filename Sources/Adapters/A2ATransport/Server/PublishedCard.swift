package import A2A
import Crypto
import JOSE
import SPIFFE

/// A card as an agent publishes it: made once, with the tag by which caches ask whether it is still the same.
package struct PublishedCard: Sendable {
    /// The card as JSON text, byte for byte as it was signed.
    package let json: [UInt8]
    /// A weak tag over the text (RFC 9110 §8.8.3).
    package let entityTag: String

    package init(json: [UInt8]) {
        self.json = json
        entityTag = "W/\"\(HexText.encode(Array(SHA256.hash(data: json).prefix(16))))\""
    }

    package init(_ card: AgentCard) {
        self.init(json: card.jsonBytes)
    }

    /// The card as old peers read it too, when one of its interfaces is one of version 0.3 (``LegacyCard``).
    package static func forOldPeers(json: [UInt8]) throws(FieldViolation) -> PublishedCard {
        guard case .object(let card)? = try? JSONValue(parsing: json) else {
            throw FieldViolation("", "must be an object")
        }
        let both = try LegacyCard.adding(to: card)
        // A card without such an interface stays as it is, to the byte.
        return PublishedCard(json: both == card ? json : both.serializedBytes)
    }

    /// Whether an `If-None-Match` names it (RFC 9110 §13.1.2: compared weakly).
    func matches(_ condition: String?) -> Bool {
        guard let condition else { return false }
        let own = entityTag.dropFirst(2)
        return condition.split(separator: ",").contains { part in
            var tag = part.drop { $0 == " " }
            while tag.last == " " { tag.removeLast() }
            if tag == "*" { return true }
            if tag.hasPrefix("W/") { tag = tag.dropFirst(2) }
            return tag == own
        }
    }
}
