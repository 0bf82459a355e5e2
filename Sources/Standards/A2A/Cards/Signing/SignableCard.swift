import Crypto
package import JOSE

/// A card that may be signed: it has what the standard requires, and an identity.
package struct SignableCard: Sendable {
    /// The card, without signatures.
    package let document: CardDocument
    /// Whose card it is.
    package let identity: CardIdentity
    private let standard: CardDocument
    private let pruned: CardDocument

    /// The header member with which a signature over the pruned form says what the whole card was: the SHA-256 of the
    /// standard's form. Verifiers that do not know it pass it over (RFC 7515 §4.3).
    static let digestMember = "card_sha256"

    /// Checks a card; signatures that it has are dropped.
    package init(_ document: CardDocument) throws(CardSigningError) {
        let document = document.with(signatures: [])
        if let violation = document.violations.first { throw .incomplete(violation) }
        let identity: CardIdentity?
        do {
            identity = try CardIdentity(of: document.card)
        } catch {
            throw .badIdentity(error)
        }
        guard let identity else { throw .unbound }
        do {
            standard = try document.covered(by: .standard)
            pruned = try document.covered(by: .pruned)
        } catch {
            throw .incomplete(error)
        }
        self.document = document
        self.identity = identity
    }

    /// The SHA-256 of the card in the standard's form.
    package var digest: [UInt8] { Array(SHA256.hash(bytes: standard.payload)) }

    /// Whether a document is this card and nothing else but signatures.
    package func isCovered(by document: CardDocument) -> Bool { document.object == standard.object }

    /// The card with a signature over each form that it has: one where both are the same, else two, since no verifier takes
    /// both forms but ours.
    ///
    /// - Parameter keySetURL: where the key can be found, as a hint (`jku`).
    package func signed(by key: JWSSigningKey, keySetURL: String?) throws(JWSError) -> CardDocument {
        var header: [(String, JSONValue)] = [("typ", "JOSE")]
        if let keySetURL { header.append(("jku", .string(keySetURL))) }
        var signatures: [AgentCardSignature] = []
        // Also where both forms are one: what somebody adds afterwards and pruning hides makes two of them.
        header.append((Self.digestMember, .string(standard.digest)))
        if standard.object != pruned.object { signatures.append(try Self.sign(pruned, header, key)) }
        signatures.append(try Self.sign(standard, header, key))
        return document.with(signatures: signatures)
    }

    /// A JWS without its payload, which verifiers make from the card.
    private static func sign(
        _ covered: CardDocument, _ header: [(String, JSONValue)], _ key: JWSSigningKey
    ) throws(JWSError) -> AgentCardSignature {
        let parts = try CompactJWS.sign(header: header, payload: covered.payload, key: key).utf8
            .split(separator: UInt8(ascii: "."))
        guard let protected = parts.first, let signature = parts.last else { throw .signingFailed }
        return AgentCardSignature(
            protected: String(decoding: protected, as: UTF8.self), signature: String(decoding: signature, as: UTF8.self)
        )
    }
}

/// Why a card may not be signed.
package enum CardSigningError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A member that the standard requires is missing or wrong.
    case incomplete(FieldViolation)
    /// The card says nothing of whose it is.
    case unbound
    /// The card's identity is malformed.
    case badIdentity(CardIdentityError)

    package var description: String {
        switch self {
        case .incomplete(let violation): violation.description
        case .unbound: "the card has no identity"
        case .badIdentity(let error): error.description
        }
    }
}
