public import JOSE

/// A card as somebody wrote it: its JSON with every member, also those that this version does not know, and what the known
/// ones say.
///
/// Signatures are made over JSON, so a card that is passed on, stored or verified stays a document; `card` is for reading.
public struct CardDocument: Sendable, Equatable {
    /// Every member, in the order in which they came.
    public let object: JSONObject
    /// What the members say that version 1.0 of the protocol knows.
    public let card: AgentCard

    /// The most bytes of a card.
    public static let maximumBytes = 256 << 10

    /// Reads a card from JSON text, at most ``maximumBytes`` of it.
    public init(parsing bytes: some Collection<UInt8>) throws(CardDocumentError) {
        let value: JSONValue
        do {
            value = try JSONValue(parsing: bytes, limits: JSONLimits(maximumBytes: Self.maximumBytes))
        } catch {
            throw .notJSON(error.description)
        }
        guard case .object(let object) = value else { throw .unreadable(FieldViolation("", "must be an object")) }
        do {
            try self.init(object)
        } catch {
            throw .unreadable(error)
        }
    }

    /// Takes an object that is a card.
    public init(_ object: JSONObject) throws(FieldViolation) {
        if let both = CardShape.card.membersInBothSpellings(of: object).first { throw both }
        card = try AgentCard(reading: FieldReader(object))
        self.object = object
    }

    /// The document of a card that was made here; throws when its free members are too large or too deep to be read again.
    public init(_ card: AgentCard) throws(CardDocumentError) {
        try self.init(parsing: card.jsonBytes)
    }

    /// The document as JSON text, members in their order.
    public var jsonBytes: [UInt8] { object.serializedBytes }

    private init(object: JSONObject, card: AgentCard) {
        self.object = object
        self.card = card
    }

    /// The document with these signatures and no others.
    package func with(signatures: [AgentCardSignature]) -> CardDocument {
        var (object, card) = (object, card)
        card.signatures = signatures
        object["signatures"] = signatures.isEmpty ? Optional.none : .array(signatures.map { .object($0.json) })
        return CardDocument(object: object, card: card)
    }

    /// The document with this identity among its extensions, in place of one that was there. Its signatures are gone: they
    /// were over another card.
    package func with(identity: CardIdentity) -> CardDocument {
        var (object, card) = (object, card)
        card.capabilities.extensions.removeAll { $0.uri.hasSameBytes(as: CardIdentity.extensionURI) }
        card.capabilities.extensions.append(identity.agentExtension)
        var capabilities = object["capabilities"]?.objectValue ?? JSONObject()
        var extensions = capabilities["extensions"]?.arrayValue ?? []
        extensions.removeAll {
            $0.objectValue?["uri"]?.stringValue?.hasSameBytes(as: CardIdentity.extensionURI) ?? false
        }
        extensions.append(.object(identity.extensionObject))
        capabilities["extensions"] = .array(extensions)
        object["capabilities"] = .object(capabilities)
        return CardDocument(object: object, card: card).with(signatures: [])
    }
}

/// Why bytes are no agent card.
public enum CardDocumentError: Error, Equatable, Sendable, CustomStringConvertible {
    /// They are no acceptable JSON, or too much of it; says what is wrong.
    case notJSON(String)
    /// A member cannot be read.
    case unreadable(FieldViolation)

    /// The reason in words.
    public var description: String {
        switch self {
        case .notJSON(let problem): problem
        case .unreadable(let violation): violation.description
        }
    }
}
