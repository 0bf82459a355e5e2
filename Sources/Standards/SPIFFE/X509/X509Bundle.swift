/// A CA certificate that a trust domain vouches with. Being in a bundle makes it an anchor; the verifier still checks
/// that it may sign.
package struct X509Authority: Hashable, Sendable {
    package let certificate: ParsedCertificate
    /// Whether its key is to be rotated away from; it still verifies until it leaves the bundle.
    package let isTainted: Bool

    /// The certificate in DER.
    package var der: [UInt8] { certificate.der }

    /// Parses a CA certificate.
    package init(der: [UInt8], isTainted: Bool = false) throws(CertificateError) {
        self.init(certificate: try ParsedCertificate(der: der), isTainted: isTainted)
    }

    /// An authority of a parsed certificate.
    package init(certificate: ParsedCertificate, isTainted: Bool = false) {
        self.certificate = certificate
        self.isTainted = isTainted
    }
}

/// The X.509 authorities of one trust domain.
package struct X509Bundle: Hashable, Sendable {
    package let trustDomain: TrustDomain
    package let authorities: [X509Authority]

    /// A bundle of these authorities; none of them means that everything is revoked.
    package init(trustDomain: TrustDomain, authorities: [X509Authority]) {
        self.trustDomain = trustDomain
        self.authorities = authorities
    }

    /// Reads certificates that follow each other without separator, as the Workload API sends them.
    package init(trustDomain: TrustDomain, derConcatenated: [UInt8]) throws(X509BundleError) {
        let parts: [[UInt8]]
        do throws(DERError) {
            parts = try DERReader.split(derConcatenated, limit: Self.maximumAuthorities)
        } catch {
            throw .malformed(error)
        }
        var authorities: [X509Authority] = []
        for part in parts {
            do throws(CertificateError) {
                authorities.append(try X509Authority(der: part))
            } catch {
                throw .certificate(error)
            }
        }
        self.init(trustDomain: trustDomain, authorities: authorities)
    }

    /// All certificates, one after the other.
    package var derConcatenated: [UInt8] { authorities.flatMap(\.der) }

    /// Most authorities of one trust domain that are read.
    package static let maximumAuthorities = 256
}

/// Why some bytes were refused as an X.509 bundle.
package enum X509BundleError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The bytes are not a row of DER elements, or there are too many.
    case malformed(DERError)
    case certificate(CertificateError)

    package var description: String {
        switch self {
        case .malformed(let error): "the bundle is malformed: \(error)"
        case .certificate(let error): "a certificate of the bundle was refused: \(error)"
        }
    }
}

extension DERReader {
    /// Splits elements that follow each other without separator; more than `limit` of them are refused.
    package static func split(_ bytes: [UInt8], limit: Int) throws(DERError) -> [[UInt8]] {
        var reader = DERReader(bytes)
        var parts: [[UInt8]] = []
        while !reader.isAtEnd {
            guard parts.count < limit else { throw .trailingBytes }
            parts.append(Array(try reader.element(DERTag.sequence).encoded))
        }
        return parts
    }
}
