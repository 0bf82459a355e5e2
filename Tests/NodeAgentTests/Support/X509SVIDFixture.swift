import Crypto
import SPIFFE

@testable import NodeAgent

/// X509-SVIDs without a control plane.
enum X509SVIDFixture {
    /// A key that belongs to nothing.
    static func otherKeyPEM() throws -> String {
        PEM.encode(label: PEM.privateKeyLabel, der: Array(P256.Signing.PrivateKey().derRepresentation))
    }
}

/// An authority without a control plane.
enum TestAuthority {
    /// A self-signed CA certificate of the lab's trust domain.
    static func certificate(_ key: P256.Signing.PrivateKey) throws -> ParsedCertificate {
        var generator = SystemRandomNumberGenerator()
        let template = try CertificateTemplate.authority(
            trustDomain: Lab.trustDomain, publicKey: SubjectPublicKey(key.publicKey),
            serialNumber: SerialNumber(random: &generator), notBefore: UnixTime(seconds: 0),
            notAfter: UnixTime(seconds: 1_000_000))
        return try ParsedCertificate(der: template.sign(with: key))
    }
}
