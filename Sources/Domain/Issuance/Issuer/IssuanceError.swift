package import A2A
package import AuditTrail
package import SPIFFE

/// Why no credential was issued. In every case nothing has left the issuer.
package enum IssuanceError: Error, Equatable, Sendable, CustomStringConvertible {
    // What was asked for is refused before anything is signed.
    /// The SPIFFE ID belongs to another trust domain.
    case otherTrustDomain(TrustDomain)
    /// The SPIFFE ID has no path.
    case rootPath
    /// The SPIFFE ID is `/spire` or below it, which workloads do not get.
    case reservedID
    /// A node's ID that is not below `/spire/agent`.
    case notANodeID
    /// The registration entry no longer holds.
    case entryExpired
    /// No registration entry gives an agent this SPIFFE ID.
    case noEntry
    /// The agent is disabled, retired or has ended.
    case agentNotEnabled
    /// The agent card may not be signed.
    case card(CardSigningError)
    /// The agent card is another agent's.
    case otherAgentsCard
    /// The registration entry does not make its workload a downstream control plane.
    case notDownstream
    /// The request names no URI or more than one; a minted SVID takes its ID from there.
    case uriCount(Int)
    /// The URI in the request is not a SPIFFE ID.
    case badSPIFFEID(SPIFFEIDError)
    /// The URI in the request for a certificate authority is not the trust domain's ID.
    case notTheTrustDomainID
    /// The identity is revoked.
    case revoked
    /// A negative lifetime.
    case negativeLifetime
    /// The audience breaks this rule.
    case audience(AudienceError)
    /// The claims that configuration adds cannot be made for this identity.
    case claims(ClaimRefusal)
    /// The public key for a WIT-SVID is not one that a proof can be made with.
    case publicKey
    /// The certificate cannot be made from these values, a DNS name for example.
    case certificate(CertificateTemplateError)

    // The issuer cannot do it.
    /// No authority can sign now.
    case noAuthority
    /// The source of randomness gave too little.
    case badRandomness
    /// The audit log did not take the intent: nothing was signed.
    case intentNotRecorded(AuditError)
    /// The cryptographic library could not sign.
    case signingFailed
    /// What was signed does not verify or is not what was prepared: it was thrown away.
    case selfCheckFailed(String)
    /// The audit log did not take the outcome: what was signed was thrown away.
    case outcomeNotRecorded(AuditError)

    /// Whether the request is at fault, rather than the issuer.
    package var isRefusal: Bool {
        switch self {
        case .otherTrustDomain, .rootPath, .reservedID, .notANodeID, .entryExpired, .notDownstream, .uriCount,
            .badSPIFFEID, .notTheTrustDomainID, .revoked, .negativeLifetime, .audience, .claims,
            .publicKey, .certificate, .noEntry, .agentNotEnabled, .card, .otherAgentsCard:
            true
        case .noAuthority, .badRandomness, .intentNotRecorded, .signingFailed, .selfCheckFailed, .outcomeNotRecorded:
            false
        }
    }

    /// The reason in words.
    package var description: String {
        switch self {
        case .otherTrustDomain(let name): "the SPIFFE ID belongs to the trust domain `\(name)`"
        case .rootPath: "a workload's SPIFFE ID has a path"
        case .reservedID: "SPIFFE IDs below `/spire` are reserved"
        case .notANodeID: "a node's SPIFFE ID is below `/spire/agent`"
        case .entryExpired: "the registration entry has expired"
        case .noEntry: "no registration entry has this SPIFFE ID"
        case .agentNotEnabled: "the agent is not enabled"
        case .card(let error): "the card cannot be signed: \(error.description)"
        case .otherAgentsCard: "the card is another agent's"
        case .notDownstream: "the registration entry is not downstream"
        case .uriCount(let count): "the certificate request has \(count) URI names instead of one"
        case .badSPIFFEID(let error): error.description
        case .notTheTrustDomainID: "the certificate request does not name the trust domain"
        case .revoked: "the identity is revoked"
        case .negativeLifetime: "a lifetime cannot be negative"
        case .audience(let error): error.description
        case .claims(let refusal): refusal.description
        case .publicKey: "the public key is not one for a proof of possession"
        case .certificate(let error): error.description
        case .noAuthority: "no authority can sign now"
        case .badRandomness: "the source of randomness gave too little"
        case .intentNotRecorded(let error): "the intent was not recorded: \(error)"
        case .signingFailed: "signing failed"
        case .selfCheckFailed(let reason): "the signed credential does not verify: \(reason)"
        case .outcomeNotRecorded(let error): "the outcome was not recorded: \(error)"
        }
    }
}
