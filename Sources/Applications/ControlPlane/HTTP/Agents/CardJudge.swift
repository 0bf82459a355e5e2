import A2A
import AgentRegistry
import Crypto
import Issuance
import JOSE
import SPIFFE
import Synchronization

/// What the signatures of a card say to the card keys of this trust domain as they are now. Asked when a card is registered,
/// approved and given out, since a key can go between.
///
/// Verdicts are remembered for as long as the keys are the same.
final class CardJudge: Sendable {
    /// Verdicts that are kept; when there are more, all are made anew.
    private static let limit = 4096

    private struct Verdicts {
        var keyIDs: [String?] = []
        var byDigest: [[UInt8]: CardSignature] = [:]
    }

    private let trustDomain: TrustDomain
    private let keys: @Sendable () -> [JWK]
    private let verdicts = Mutex(Verdicts())

    init(trustDomain: TrustDomain, keys: @escaping @Sendable () -> [JWK]) {
        self.trustDomain = trustDomain
        self.keys = keys
    }

    func judge(_ card: [UInt8]) -> CardSignature {
        let keys = keys()
        let keyIDs = keys.map(\.kid)
        let digest = Array(SHA256.hash(data: card))
        let known = verdicts.withLock { verdicts in
            if verdicts.keyIDs != keyIDs || verdicts.byDigest.count >= Self.limit {
                verdicts = Verdicts(keyIDs: keyIDs)
            }
            return verdicts.byDigest[digest]
        }
        if let known { return known }
        let verdict = verify(card, keys)
        verdicts.withLock { verdicts in
            if verdicts.keyIDs == keyIDs { verdicts.byDigest[digest] = verdict }
        }
        return verdict
    }

    private func verify(_ card: [UInt8], _ keys: [JWK]) -> CardSignature {
        guard let document = try? CardDocument(parsing: card) else { return .invalid }
        let root = CardKeys(keys.compactMap { try? JWSVerificationKey(jwk: $0) }, of: trustDomain)
        do throws(CardVerificationError) {
            let verified = try CardVerifier(trusting: [root]).verify(document)
            // What is given out is the whole card, and not only what a signature is over.
            guard verified.covers(document) else { return .invalid }
            return .verified(keyID: verified.keyID ?? "")
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
