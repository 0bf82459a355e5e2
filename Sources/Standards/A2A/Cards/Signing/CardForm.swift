import Crypto
import JOSE

/// A canonical form of a card, over which signatures are made. There are two, since verifiers that are in use do not follow
/// the standard where a card has empty members.
public enum CardForm: String, Sendable, CaseIterable {
    /// The standard's: members that are REQUIRED or set stay, be they empty, other defaults go (A2A 1.0.1 §8.4.1). Members
    /// that version 1.0 does not know are part of it.
    case standard
    /// That of the SDKs for Python, JavaScript and Go: only members that version 1.0 knows, and of those nothing that is
    /// empty at any depth, be it REQUIRED.
    case pruned
}

extension CardDocument {
    /// What a signature in this form covers, as a document of its own.
    func covered(by form: CardForm) throws(FieldViolation) -> CardDocument {
        switch form {
        case .standard:
            var object = CardShape.card.canonical(object, keepingUnknown: true)
            object["signatures"] = Optional.none
            return try CardDocument(object)
        case .pruned:
            let known = JSONValue.object(CardShape.card.canonical(object, keepingUnknown: false))
            return try CardDocument(known.pruned?.objectValue ?? JSONObject())
        }
    }

    /// The payload of signatures over a document that is what they cover.
    var payload: [UInt8] { object.canonicalBytes }

    /// The digest of the payload, base64url.
    var digest: String { Base64URL.encode(Array(SHA256.hash(bytes: payload))) }
}

extension JSONValue {
    /// The value without empty texts, lists and objects and without `null`, at every depth; none if nothing is left.
    var pruned: JSONValue? {
        switch self {
        case .null: return Optional.none
        case .bool, .number: return self
        case .string(let text): return text.isEmpty ? Optional.none : self
        case .array(let elements):
            let kept = elements.compactMap(\.pruned)
            return kept.isEmpty ? Optional.none : .array(kept)
        case .object(let object):
            let kept = object.members.compactMap { member in member.value.pruned.map { (member.name, $0) } }
            return kept.isEmpty ? Optional.none : .object(JSONObject(kept))
        }
    }
}
