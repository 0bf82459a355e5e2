package import JOSE
public import SPIFFE

/// A card that carries the signature of a key that the verifier chose to trust.
///
/// It says what was signed and no more: what of the presented card the signature does not cover is not here.
public struct VerifiedCard: Sendable, Equatable {
    /// What the signature covers, without signatures. Pass on the document that was verified, not this.
    public let covered: CardDocument
    /// Which form of the card the signature was made over.
    public let form: CardForm
    /// The ID of the key, if it has one.
    public let keyID: String?
    /// The trust domain whose key it is.
    public let trustDomain: TrustDomain?
    /// Whose card it is, with the word of that identity's own trust domain; `nil` for a card of nobody in particular.
    public let identity: CardIdentity?

    /// The card that was signed.
    public var card: AgentCard { covered.card }

    /// Whether the signature covers everything that the document says, and not only what some verifiers see of it.
    public func covers(_ document: CardDocument) -> Bool {
        (try? document.covered(by: .standard))?.object == covered.object
    }

    /// Whether a peer, with the SPIFFE ID that was verified at its end of the connection, is the agent of this card.
    public func binding(to peer: SPIFFEID?) -> CardBinding { CardBinding(identity, peer: peer) }

    /// INVARIANT: only for what `CardVerifier` has verified.
    fileprivate init(
        covered: CardDocument, form: CardForm, keyID: String?, trustDomain: TrustDomain?, identity: CardIdentity?
    ) {
        self.covered = covered
        self.form = form
        self.keyID = keyID
        self.trustDomain = trustDomain
        self.identity = identity
    }
}

/// Verifies signatures on cards (A2A 1.0.1 §8.4.3) with keys that its owner chose. It fetches nothing: where a signature says
/// that its keys are (`jku`), and which of them it is (`kid`), are hints of whoever made it.
public struct CardVerifier: Sendable {
    /// The most signatures that a card may have.
    public static let maximumSignatures = 8

    private let roots: [CardKeys]
    private let algorithms: Set<JWSAlgorithm>

    /// A verifier that trusts these keys.
    public init(trusting roots: [CardKeys]) {
        self.init(trusting: roots, algorithms: Set(JWSAlgorithm.allCases))
    }

    /// A verifier that takes only some algorithms.
    package init(trusting roots: [CardKeys], algorithms: Set<JWSAlgorithm>) {
        self.roots = roots
        self.algorithms = algorithms
    }

    /// Finds a signature that holds, and the identity that its key can vouch for. One is enough; one over the standard's form
    /// is preferred.
    public func verify(_ document: CardDocument) throws(CardVerificationError) -> VerifiedCard {
        let signatures = document.card.signatures
        guard !signatures.isEmpty else { throw .unsigned }
        guard signatures.count <= Self.maximumSignatures else { throw .tooManySignatures }
        let forms = try Forms(document)
        var failure: CardVerificationError?
        for form in forms.distinct {
            for signature in signatures {
                do {
                    return try verify(signature, form, forms)
                } catch {
                    // The reason that got furthest says most.
                    if failure.map({ $0.progress < error.progress }) ?? true { failure = error }
                }
            }
        }
        throw failure ?? .unsigned
    }

    /// What a signature of either form would cover.
    private struct Forms {
        let standard: CardDocument
        let pruned: CardDocument

        init(_ document: CardDocument) throws(CardVerificationError) {
            do {
                standard = try document.covered(by: .standard)
                pruned = try document.covered(by: .pruned)
            } catch {
                throw .unreadable(error)
            }
        }

        /// The forms that differ.
        var distinct: [CardForm] { standard.object == pruned.object ? [.standard] : [.standard, .pruned] }

        func covered(by form: CardForm) -> CardDocument { form == .standard ? standard : pruned }
    }

    private func verify(
        _ signature: AgentCardSignature, _ form: CardForm, _ forms: Forms
    ) throws(CardVerificationError) -> VerifiedCard {
        let jws = try Self.parse(signature, over: forms.covered(by: form).payload)
        guard algorithms.contains(jws.header.algorithm) else { throw .refusedAlgorithm }
        if let type = jws.header.type, !Self.isJOSE(type) { throw .otherType }
        let (key, root) = try key(of: jws)
        var covered = forms.covered(by: form)
        if form == .pruned, let digest = jws.header.json[SignableCard.digestMember] {
            // Its signer says what the whole card was: nothing that pruning hides may have changed.
            guard digest == .string(forms.standard.digest) else { throw .altered }
            covered = forms.standard
        }
        return VerifiedCard(
            covered: covered, form: form, keyID: key.keyID, trustDomain: root.trustDomain,
            identity: try Self.identity(of: covered.card, root))
    }

    /// The key that made the signature.
    private func key(of jws: CompactJWS) throws(CardVerificationError) -> (JWSVerificationKey, CardKeys) {
        var isKnown = false
        for root in roots {
            for key in root.candidates(keyID: jws.header.keyID) where key.algorithm == jws.header.algorithm {
                isKnown = true
                if (try? jws.verify(with: key)) != nil { return (key, root) }
            }
        }
        throw isKnown ? .invalidSignature : .unknownKey
    }

    /// The identity, if its own trust domain signed the card.
    private static func identity(of card: AgentCard, _ root: CardKeys) throws(CardVerificationError) -> CardIdentity? {
        let identity: CardIdentity?
        do {
            identity = try CardIdentity(of: card)
        } catch {
            throw .badIdentity(error)
        }
        guard let identity else { return nil }
        guard identity.trustDomain == root.trustDomain else { throw .foreignIdentity(identity.spiffeID) }
        return identity
    }

    private static func parse(
        _ signature: AgentCardSignature, over payload: [UInt8]
    ) throws(CardVerificationError) -> CompactJWS {
        guard signature.protected.utf8.count <= maximumPartBytes, signature.signature.utf8.count <= maximumPartBytes
        else { throw .malformedSignature("the signature is too large") }
        let payload = Base64URL.encode(payload)
        let token = "\(signature.protected).\(payload).\(signature.signature)"
        do {
            return try CompactJWS(parsing: token, limits: JWSLimits(maximumBytes: 2 * CardDocument.maximumBytes))
        } catch {
            throw .malformedSignature(error.description)
        }
    }

    /// The header of a signature that says what a verifier has to know.
    package static func header(of signature: AgentCardSignature) throws(CardVerificationError) -> JOSEHeader {
        try parse(signature, over: []).header
    }

    /// The most bytes of a protected header and of a signature.
    private static let maximumPartBytes = 8 << 10

    private static func isJOSE(_ type: String) -> Bool {
        type.utf8.elementsEqual("jose".utf8) { $0 | 0x20 == $1 }
    }
}
