package import SPIFFE

/// Why a list of authorities is of no use. The first certificate has index 0.
package enum ClientAuthoritiesError: Error, Equatable, Sendable, CustomStringConvertible {
    case pem(PEMError)
    case certificate(index: Int, CertificateError)
    case notAnAuthority(index: Int)
    /// It is a signing certificate of a trust domain.
    case ofTrustDomain(index: Int)

    package var description: String {
        switch self {
        case .pem(let error): error.description
        case .certificate(let index, let error): "certificate \(index + 1): \(error.description)"
        case .notAnAuthority(let index): "certificate \(index + 1) is not a CA certificate"
        case .ofTrustDomain(let index):
            "certificate \(index + 1) names a spiffe id: authorities of trust domains do not vouch for other names"
        }
    }
}
