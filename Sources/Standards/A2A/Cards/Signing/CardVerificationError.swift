import JOSE
public import SPIFFE

/// Why a card is not taken for genuine. Of a card with several signatures it is the reason of the one that got furthest.
public enum CardVerificationError: Error, Equatable, Sendable, CustomStringConvertible {
    /// It has no signature.
    case unsigned
    /// It has more signatures than anybody needs.
    case tooManySignatures
    /// What a signature would cover cannot be read as a card.
    case unreadable(FieldViolation)
    /// The signature is no JWS, or one that asks for what nothing here understands; says what is wrong.
    case malformedSignature(String)
    /// The signature is of an algorithm that the verifier does not take.
    case refusedAlgorithm
    /// The signature says that it is of something else than a plain JWS.
    case otherType
    /// None of the trusted keys can have made the signature.
    case unknownKey
    /// The signature is not over this card.
    case invalidSignature
    /// Members that the signature covers by their digest only have changed.
    case altered
    /// The card is signed, but its identity is malformed.
    case badIdentity(CardIdentityError)
    /// The card is signed by a key that cannot vouch for the identity in it.
    case foreignIdentity(SPIFFEID)

    /// How far verification got.
    var progress: Int {
        switch self {
        case .unsigned, .tooManySignatures, .unreadable: 0
        case .malformedSignature: 1
        case .refusedAlgorithm, .otherType: 2
        case .unknownKey: 3
        case .invalidSignature: 4
        case .altered: 5
        case .badIdentity, .foreignIdentity: 6
        }
    }

    /// The reason in words.
    public var description: String {
        switch self {
        case .unsigned: "the card has no signature"
        case .tooManySignatures: "the card has more than \(CardVerifier.maximumSignatures) signatures"
        case .unreadable(let violation): violation.description
        case .malformedSignature(let problem): problem
        case .refusedAlgorithm: "the card is signed by an algorithm that is not accepted"
        case .otherType: "the signature is of something else than a card"
        case .unknownKey: "none of the trusted keys has signed the card"
        case .invalidSignature: "the signature is not over this card"
        case .altered: "members that some verifiers do not see have changed since the card was signed"
        case .badIdentity(let error): error.description
        case .foreignIdentity(let id):
            "the key that signed the card cannot vouch for `\(id.string.truncatedForMessage)`"
        }
    }
}
