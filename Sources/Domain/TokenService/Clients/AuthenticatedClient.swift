import AgentDirectory
import AuditTrail
import OAuth
import SPIFFE

/// An agent that has proved who it is at the token endpoint. Only ``ClientAuthenticator`` makes values of this type.
struct AuthenticatedClient: Sendable {
    let agent: AgentIdentity
    /// What it showed.
    let kind: CredentialKind
    /// Hex SHA-256 of what it showed, for the log.
    let credentialHash: String
    /// The name of the federated credential or the ID of the registered one that matched.
    let credentialName: String?

    // A proof comes from the authenticator alone.
    init(proof: ClientProof) {
        agent = proof.agent
        kind = proof.kind
        credentialHash = proof.credentialHash
        credentialName = proof.credentialName
    }

    /// The agent as the log names it.
    var audit: AuditEvent.AgentField {
        AuditEvent.AgentField(
            id: agent.spiffeID.string, authMethod: AuthMethod(kind), credentialHash: credentialHash)
    }
}

extension AuthMethod {
    init(_ kind: CredentialKind) {
        self =
            switch kind {
            case .x509SVID: .mtls
            case .jwtSVID: .jwtSVID
            case .certificate, .selfSignedCertificate: .certificate
            case .privateKeyJWT: .privateKeyJWT
            case .federatedAssertion: .federatedAssertion
            case .clientSecret: .clientSecret
            }
    }
}
