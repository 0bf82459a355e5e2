import AuditTrail
import SPIFFE

/// A credential that is built and checked but not signed. Values exist only where all checks of the profile have passed.
protocol CredentialPreparation: Sendable {
    associatedtype Signed: Sendable
    associatedtype Issued: Sendable

    /// What the log shall know of it, in the intent and in the outcome.
    var subject: IssuanceSubject { get }

    /// Signs once, for one durable intent: no receipt, no signature.
    func sign(consuming receipt: consuming AuditReceipt) throws(IssuanceError) -> Signed

    /// Reads what was signed back from its bytes, verifies it as a relying party does, and compares it with what was
    /// prepared.
    func verify(_ signed: Signed, with authorities: AuthoritySnapshot, at time: UnixTime) throws(IssuanceError)
        -> Issued

    /// Remembers a certificate by its serial number, for when its identity is revoked.
    func note(_ issued: Issued, in serials: IssuedSerials?)

    /// Small facts for the outcome, by which the credential can be found again.
    func facts(about issued: Issued) -> [String: String]
}

extension CredentialPreparation {
    func note(_ issued: Issued, in serials: IssuedSerials?) {}
}

/// What an issuance is about, in the words of the log.
struct IssuanceSubject: Sendable {
    /// `x509-svid`, `jwt-svid`, `wit-svid`, `x509-authority` or `agent-card`.
    let kind: String
    /// The identity that the credential is for.
    let id: SPIFFEID
    /// Hex SHA-256 of what the caller sent: the public key, the audience or the card.
    var argsHash: String?
    /// The registration entry that allows it.
    var entryID: String?
}
