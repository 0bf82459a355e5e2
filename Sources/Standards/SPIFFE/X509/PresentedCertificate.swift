/// A certificate chain that a client has shown in TLS and that is no X.509-SVID. Nobody has verified it: TLS has proved that
/// the client holds the key of the leaf, and nothing else.
package struct PresentedCertificate: Sendable, Hashable {
    package let leaf: ParsedCertificate
    /// DER as the client sent it, leaf first.
    package let chain: [[UInt8]]

    /// Longest chain, the leaf included.
    package static let maximumChainLength = 5
    /// Largest chain, in bytes of all its certificates: a connection keeps it for as long as it lasts.
    package static let maximumBytes = 32 * 1024

    /// Takes a chain, leaf first, that nobody has verified.
    ///
    /// A leaf that names a SPIFFE ID is refused: it is an SVID or an attempt at one, and there is one verifier for those.
    package init(unverified chain: [[UInt8]]) throws(PresentedCertificateError) {
        guard let first = chain.first else { throw .empty }
        guard chain.count <= Self.maximumChainLength else { throw .tooLong }
        guard chain.allSatisfy({ $0.count <= Self.maximumBytes }),
            chain.reduce(0, { $0 + $1.count }) <= Self.maximumBytes
        else { throw .tooLarge }
        let leaf: ParsedCertificate
        do {
            leaf = try ParsedCertificate(der: first)
        } catch {
            throw .leaf(error)
        }
        guard !leaf.namesSPIFFEID else { throw .namesSPIFFEID }
        self.leaf = leaf
        self.chain = chain
    }
}

extension ParsedCertificate {
    /// Whether a URI name has the scheme of SPIFFE IDs, whether or not it is a good one.
    package var namesSPIFFEID: Bool {
        uriSANs.contains { $0.lowercased().utf8.starts(with: "spiffe:".utf8) }
    }
}

/// Why a chain is not even looked at.
package enum PresentedCertificateError: Error, Equatable, Sendable, CustomStringConvertible {
    case empty
    case tooLong
    case tooLarge
    case leaf(CertificateError)
    /// It is an X.509-SVID, or says so.
    case namesSPIFFEID

    package var description: String {
        switch self {
        case .empty: "no certificate was presented"
        case .tooLong: "more than \(PresentedCertificate.maximumChainLength) certificates were presented"
        case .tooLarge: "more than \(PresentedCertificate.maximumBytes) bytes of certificates were presented"
        case .leaf(let error): error.description
        case .namesSPIFFEID: "the certificate names a spiffe id"
        }
    }
}
