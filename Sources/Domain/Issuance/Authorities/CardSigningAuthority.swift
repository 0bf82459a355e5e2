package import A2A
import AuditTrail
import Crypto
import JOSE
import Synchronization

/// The key that signs agent cards now; its private half is as far out of reach.
package final class CardSigningAuthority: Sendable {
    /// The `kid` of its signatures: the key's thumbprint (RFC 7638).
    package let id: String
    /// When the key leaves what is published: no card that it signed is good for longer.
    package let notAfter: UnixTime
    private let key: JWSSigningKey
    private let signatures = Atomic<Int>(0)

    init(id: String, notAfter: UnixTime, key: P256.Signing.PrivateKey) {
        self.id = id
        self.notAfter = notAfter
        self.key = JWSSigningKey(p256: key, keyID: id)
    }

    /// How many cards it has signed since the process started: never more than the log has intents.
    package var signatureCount: Int { signatures.load(ordering: .relaxed) }

    /// Signs a card; throws only when the cryptographic library cannot sign.
    func sign(
        _ card: SignableCard, keySetURL: String?, consuming receipt: consuming AuditReceipt
    ) throws(JWSError) -> CardDocument {
        signatures.wrappingAdd(1, ordering: .relaxed)
        return try card.signed(by: key, keySetURL: keySetURL)
    }
}
