import A2A
import AgentRegistry

/// What the signatures of a card say to the keys that are trusted now. Asked when a card is registered, approved and given
/// out, since a key can go between.
struct CardJudge: Sendable {
    /// Whose keys vouch for cards. Nobody's, and every signature is of an unknown key.
    let roots: @Sendable () -> [CardKeys]

    @Sendable func judge(_ card: [UInt8]) -> CardSignature {
        guard let document = try? CardDocument(parsing: card) else { return .invalid }
        do throws(CardVerificationError) {
            return .verified(keyID: try CardVerifier(trusting: roots()).verify(document).keyID ?? "")
        } catch {
            switch error {
            case .unsigned: return .unsigned
            case .unknownKey, .refusedAlgorithm: return .unknownKey
            case .tooManySignatures, .unreadable, .malformedSignature, .otherType, .invalidSignature, .altered,
                .badIdentity, .foreignIdentity:
                return .invalid
            }
        }
    }
}
