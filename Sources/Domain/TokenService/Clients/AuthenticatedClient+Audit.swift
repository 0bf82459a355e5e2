import AgentDirectory
import AuditTrail

extension AuthenticatedClient {
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
            case .blueprintAssertion: .blueprintAssertion
            case .clientSecret: .clientSecret
            }
    }
}
