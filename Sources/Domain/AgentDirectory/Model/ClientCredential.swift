package import JOSE
package import SPIFFE

/// A secret, key or certificate registered for an agent. Secrets are kept as digests only.
package struct ClientCredential: Sendable, Equatable, Identifiable {
    /// A random identifier of this credential.
    package let id: String
    package let proof: Proof
    package let createdAt: UnixTime
    /// From here on it is refused; nil for no end.
    package let expiresAt: UnixTime?

    /// What the client must show.
    package enum Proof: Sendable, Equatable {
        /// A generated secret of 256 bits, kept as its SHA-256.
        case secret(digest: [UInt8])
        /// Assertions signed by this public key.
        case key(JWK)
        /// This self-signed certificate, by the SHA-256 of its DER.
        case selfSignedCertificate(digest: [UInt8])
        /// A certificate that an authority of the operator's list has issued for exactly this DNS name or URI.
        case certificateName(CertificateName)
    }

    /// The name in a certificate that stands for the client (RFC 8705 §2.1.2).
    package enum CertificateName: Sendable, Hashable {
        case dns(String)
        case uri(String)
    }

    package init(id: String, proof: Proof, createdAt: UnixTime, expiresAt: UnixTime? = nil) {
        self.id = id
        self.proof = proof
        self.createdAt = createdAt
        self.expiresAt = expiresAt
    }

    package var kind: CredentialKind {
        switch proof {
        case .secret: .clientSecret
        case .key: .privateKeyJWT
        case .selfSignedCertificate: .selfSignedCertificate
        case .certificateName: .certificate
        }
    }
}
