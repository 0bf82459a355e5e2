package import A2A
import AuditTrail
import JOSE
import Registry
package import SPIFFE

/// An agent card that was signed, read back, verified and recorded. Only the issuer makes values of this type.
package struct SignedCard: Sendable {
    /// Whose card it is.
    package let id: SPIFFEID
    /// The card with its signatures.
    package let document: CardDocument
    /// The `kid` of the key that signed it.
    package let authorityID: String
    /// When that key ends, and the card with it.
    package let expiresAt: UnixTime

    fileprivate init(_ card: SignableCard, document: CardDocument, authority: CardSigningAuthority) {
        id = card.identity.spiffeID
        self.document = document
        authorityID = authority.id
        expiresAt = authority.notAfter
    }
}

/// An agent card about to be signed: it is whole, and its agent's.
struct CardPreparation: CredentialPreparation {
    let subject: IssuanceSubject
    private let card: SignableCard
    private let keySetURL: String?
    private let authority: CardSigningAuthority

    struct Signed: Sendable {
        let document: CardDocument
        fileprivate init(document: CardDocument) { self.document = document }
    }

    init(
        _ document: CardDocument, of id: SPIFFEID, _ entry: RegistrationEntry?, isEnabled: Bool, keySetURL: String?,
        _ terms: IssuanceTerms
    ) throws(IssuanceError) {
        guard isEnabled else { throw .agentNotEnabled }
        try terms.checkWorkloadID(id)
        guard let entry else { throw .noEntry }
        try terms.checkNotExpired(entry)
        do {
            card = try SignableCard(document)
        } catch {
            throw .card(error)
        }
        guard card.identity.spiffeID == id, entry.spiffeID == id else { throw .otherAgentsCard }
        guard let authority = terms.card, authority.notAfter > terms.time else { throw .noAuthority }
        self.authority = authority
        self.keySetURL = keySetURL
        subject = IssuanceSubject(
            kind: "agent-card", id: id, argsHash: HexText.encode(card.digest), entryID: entry.id)
    }

    func sign(consuming receipt: consuming AuditReceipt) throws(IssuanceError) -> Signed {
        do {
            return Signed(document: try authority.sign(card, keySetURL: keySetURL, consuming: receipt))
        } catch {
            throw .signingFailed
        }
    }

    func verify(
        _ signed: Signed, with authorities: AuthoritySnapshot, at time: UnixTime
    ) throws(IssuanceError) -> SignedCard {
        let verifier = CardVerifier(trusting: [CardKeys(authorities.cardKeys, of: authorities.bundle.trustDomain)])
        // As it will be read, each signature by itself: verifiers that know one form see only one of them.
        do {
            let document = try CardDocument(parsing: signed.document.jsonBytes)
            for signature in document.card.signatures {
                let verified = try verifier.verify(document.with(signatures: [signature]))
                guard verified.identity == card.identity, verified.keyID == authority.id,
                    card.isCovered(by: verified.covered)
                else { throw IssuanceError.selfCheckFailed("it is not what was prepared") }
            }
            guard !document.card.signatures.isEmpty else { throw CardVerificationError.unsigned }
            return SignedCard(card, document: document, authority: authority)
        } catch let error as IssuanceError {
            throw error
        } catch {
            throw .selfCheckFailed("\(error)")
        }
    }

    func facts(about issued: SignedCard) -> [String: String] {
        [
            "kid": authority.id, "expires": authority.notAfter.description,
            "signatures": String(issued.document.card.signatures.count),
        ]
    }
}
