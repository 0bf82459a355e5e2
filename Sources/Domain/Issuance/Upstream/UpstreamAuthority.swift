package import SPIFFE

/// Who signs this trust domain's authorities, when they are not their own roots.
package protocol UpstreamAuthority: Sendable {
    /// Signs a certificate for an authority of ours.
    ///
    /// It ends at `notAfter` or with the authority above it, whichever is earlier.
    func sign(
        trustDomain: TrustDomain, publicKey: SubjectPublicKey, serialNumber: SerialNumber, notBefore: UnixTime,
        notAfter: UnixTime
    ) async throws(UpstreamError) -> UpstreamCertificate
}

/// A certificate of one of our authorities, and what leads from it to a root.
package struct UpstreamCertificate: Sendable {
    /// Our authority's own certificate.
    package let certificate: ParsedCertificate
    /// DER of what stands between it and the root; empty when the root itself has signed.
    package let chain: [[UInt8]]
    /// What verifiers are to trust: the root of this chain, and perhaps others that the upstream authority names.
    package let roots: [ParsedCertificate]
    /// The root that the chain ends at.
    package let root: ParsedCertificate

    package init(
        certificate: ParsedCertificate, chain: [[UInt8]], roots: [ParsedCertificate], root: ParsedCertificate
    ) {
        self.certificate = certificate
        self.chain = chain
        self.roots = roots
        self.root = root
    }
}

/// Why an upstream authority signs nothing.
package enum UpstreamError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A file cannot be read.
    case unreadable(String)
    /// The key file can be read by others than its owner.
    case keyIsReadableByOthers(String)
    /// A file does not hold certificates, or not only good ones; the text says which and why.
    case badCertificate(String)
    /// The key file holds no key on P-256 or P-384 and no RSA key.
    case badKey
    /// The key is not that of the first certificate.
    case keyDoesNotMatch
    /// The first certificate may not sign authorities: no CA, no keyCertSign, or a path length of 0.
    case mayNotSign
    /// The first certificate, or one above it, has ended or has not begun.
    case notValidNow
    /// The certificates do not lead from the first one to a root.
    case noRoot
    /// A root names another trust domain than ours.
    case otherTrustDomain
    /// The certificate cannot be made.
    case template(CertificateTemplateError)
    /// The cryptographic library could not sign.
    case signingFailed

    package var description: String {
        switch self {
        case .unreadable(let path): "the upstream authority's file `\(path)` cannot be read"
        case .keyIsReadableByOthers(let path): "others can read the upstream authority's key `\(path)`: chmod 600"
        case .badCertificate(let reason): "the upstream authority's certificates: \(reason)"
        case .badKey: "the upstream authority's key is neither on P-256 or P-384 nor an RSA key"
        case .keyDoesNotMatch: "the upstream authority's key does not belong to its first certificate"
        case .mayNotSign: "the upstream authority may not sign authorities (CA, keyCertSign, path length)"
        case .notValidNow: "the upstream authority's certificate is not valid now"
        case .noRoot: "the upstream authority's certificates do not lead to a root: name the bundle file with it"
        case .otherTrustDomain: "the upstream authority's root names another trust domain"
        case .template(let error): error.description
        case .signingFailed: "the upstream authority could not sign"
        }
    }
}
