/// How a client proves who it is at the token endpoint, weakest last.
package enum CredentialKind: String, Sendable, Hashable, CaseIterable {
    /// Its X.509-SVID in mutual TLS (draft-ietf-oauth-spiffe-client-auth, `spiffe_x509`).
    case x509SVID = "spiffe_x509"
    /// Its JWT-SVID as client assertion (`spiffe_jwt`).
    case jwtSVID = "spiffe_jwt"
    /// A certificate of an outside authority, known by its subject (RFC 8705 §2.1, `tls_client_auth`).
    case certificate = "tls_client_auth"
    /// A self-signed certificate that is registered (RFC 8705 §2.2, `self_signed_tls_client_auth`).
    case selfSignedCertificate = "self_signed_tls_client_auth"
    /// An assertion signed by a registered key (RFC 7523 §2.2, `private_key_jwt`).
    case privateKeyJWT = "private_key_jwt"
    /// A token of another issuer that a federated credential names.
    case federatedAssertion = "federated_assertion"
    /// An assertion that the operator of its blueprint got for it at the token endpoint.
    case blueprintAssertion = "blueprint_assertion"
    /// A shared secret: a last resort, marked wherever it is used.
    case clientSecret = "client_secret"
}
