package import SPIFFE

/// What a fetched bundle has to be before it takes the place of the one that is stored.
package enum FederatedBundleRules {
    /// Refuses a bundle that is another trust domain's or older than the stored one.
    ///
    /// The document names no trust domain (SPIFFE Federation §5.1 keeps it apart), so the only word against a wrong URL
    /// are the SPIFFE IDs in the certificates. A sequence number that goes back is an old document played again, or a
    /// trust domain that was set up anew; which of the two, an administrator has to say.
    package static func check(
        _ bundle: TrustBundle, replacing stored: TrustBundle?
    ) throws(FederatedBundleRefusal) {
        for authority in bundle.x509Authorities {
            for name in authority.certificate.uriSANs {
                guard let id = try? SPIFFEID(name) else { continue }
                guard id.trustDomain == bundle.trustDomain else {
                    throw .foreignAuthority(id.trustDomain.name)
                }
            }
        }
        if let stored, bundle.sequenceNumber < stored.sequenceNumber {
            throw .sequenceWentBack(from: stored.sequenceNumber, to: bundle.sequenceNumber)
        }
    }
}

/// Why a fetched bundle was refused.
package enum FederatedBundleRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    /// An authority's certificate says that it is of this other trust domain.
    case foreignAuthority(String)
    case sequenceWentBack(from: UInt64, to: UInt64)

    package var description: String {
        switch self {
        case .foreignAuthority(let name): "an authority of the bundle belongs to trust domain `\(name.prefix(255))`"
        case .sequenceWentBack(let from, let to): "the sequence number went back from \(from) to \(to)"
        }
    }

    /// A short word for audit records.
    package var code: String {
        switch self {
        case .foreignAuthority: "foreign_authority"
        case .sequenceWentBack: "sequence_went_back"
        }
    }
}
