import AgentDirectory
import Crypto
package import SPIFFE

/// Judges client certificates of authorities that are not ours, those of the operator's list (RFC 8705 §2.1).
///
/// Nothing that it vouches for is a SPIFFE ID: a certificate that names one never gets here.
package struct OutsideCertificates: Sendable {
    /// Leads a certificate to an authority at a moment, and gives the earliest end of validity on the way.
    package var verify: @Sendable (PresentedCertificate, UnixTime) async throws(OutsideCertificateError) -> UnixTime

    package init(
        verify: @escaping @Sendable (PresentedCertificate, UnixTime) async throws(OutsideCertificateError) -> UnixTime
    ) {
        self.verify = verify
    }
}

/// No authority of the list vouches for a certificate.
package struct OutsideCertificateError: Error, Sendable {
    /// For the log.
    package let reason: String

    package init(reason: String) { self.reason = reason }
}

extension ClientCredential {
    /// Whether the certificate is the one that is registered (RFC 8705 §2.2).
    func isCertificate(_ leaf: ParsedCertificate) -> Bool {
        guard case .selfSignedCertificate(let digest) = proof else { return false }
        // Digests are compared in constant time.
        return SHA256.hash(data: leaf.der) == digest
    }

    /// Whether the name that is registered is in the certificate, whoever issued that (RFC 8705 §2.1.2). A wildcard is a name
    /// like any other, and nobody can register one.
    func isName(in leaf: ParsedCertificate) -> Bool {
        switch proof {
        case .certificateName(.dns(let name)):
            leaf.dnsSANs.contains { $0.lowercased().utf8.elementsEqual(name.utf8) }
        case .certificateName(.uri(let uri)):
            leaf.uriSANs.contains { $0.utf8.elementsEqual(uri.utf8) }
        case .secret, .key, .selfSignedCertificate: false
        }
    }
}
