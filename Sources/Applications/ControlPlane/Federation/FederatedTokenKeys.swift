import Issuance
import Registry
import SPIFFE
import Synchronization

/// The JWT authorities of a trust domain, for verifiers of SVIDs: our own, or those of a bundle that we hold. Bundles are
/// read once for each of their versions.
final class FederatedTokenKeys: Sendable {
    private let authorities: Authorities
    private let registry: Registry
    // Guards what was read, by trust domain; there are no more than bundles in the registry.
    private let read = Mutex<[TrustDomain: (bundle: FederatedBundle, keys: [JWTAuthority])]>([:])

    init(authorities: Authorities, registry: Registry) {
        self.authorities = authorities
        self.registry = registry
    }

    /// Nil for a trust domain that we do not federate with.
    func keys(of trustDomain: TrustDomain) -> [JWTAuthority]? {
        if trustDomain == authorities.trustDomain { return authorities.bundle.jwtAuthorities }
        guard let bundle = registry.federatedBundle(trustDomain) else {
            read.withLock { $0[trustDomain] = nil }
            return nil
        }
        if let known = read.withLock({ $0[trustDomain] }), known.bundle == bundle { return known.keys }
        guard let parsed = try? TrustBundle(parsingSPIFFEJSON: bundle.document, trustDomain: trustDomain) else {
            return nil
        }
        read.withLock { $0[trustDomain] = (bundle, parsed.jwtAuthorities) }
        return parsed.jwtAuthorities
    }
}
