package import Crypto
package import SPIFFE
import Synchronization

/// A trust domain in memory: authorities that can be rotated, SVIDs of any shape, bundles.
package final class TestTrustDomain: Sendable {
    /// One authority with its key.
    package struct Authority: Sendable {
        package let key: P256.Signing.PrivateKey
        package let certificate: ParsedCertificate

        /// The authority as a part of a bundle.
        package var authority: X509Authority { X509Authority(certificate: certificate) }
    }

    package let trustDomain: TrustDomain
    /// The clock that validity counts from.
    package let clock: ManualClock

    // Guards the authorities, the newest last; all of them are in the bundle.
    private let authorities: Mutex<[Authority]>

    /// How long an authority lives, in seconds.
    package static let authorityLifetime: Int64 = 86_400

    package init(_ name: String, clock: ManualClock) throws {
        let trustDomain = try TrustDomain(name)
        self.trustDomain = trustDomain
        self.clock = clock
        authorities = Mutex([try Self.makeAuthority(trustDomain, at: clock.time)])
    }

    /// The authority that signs now.
    package var authority: Authority {
        authorities.withLock { $0[$0.endIndex - 1] }
    }

    /// The X.509 bundle with all present authorities.
    package var bundle: X509Bundle {
        X509Bundle(trustDomain: trustDomain, authorities: authorities.withLock { $0.map(\.authority) })
    }

    /// The bundle alone, as a TLS identity takes it.
    package var bundles: [TrustDomain: X509Bundle] { [trustDomain: bundle] }

    /// Adds an authority, which signs from now on; the older ones stay in the bundle.
    package func rotateAuthority() throws {
        let fresh = try Self.makeAuthority(trustDomain, at: clock.time)
        authorities.withLock { $0.append(fresh) }
    }

    /// Drops every authority but the one that signs now.
    package func dropOldAuthorities() {
        authorities.withLock { $0.removeFirst($0.count - 1) }
    }

    /// The ID with this path.
    package func id(_ path: String) throws -> SPIFFEID {
        try SPIFFEID(trustDomain: trustDomain, path: path)
    }

    /// An X509-SVID, signed by this trust domain.
    /// - Parameters:
    ///   - path: of the ID, with its slash.
    ///   - claimedDomain: the trust domain to put into the ID, for an authority that lies.
    ///   - lifetime: in seconds from now; negative for one that has ended.
    package func svid(
        _ path: String, claiming claimedDomain: TrustDomain? = nil, lifetime: Int64 = 3600, dnsNames: [String] = []
    ) throws -> X509SVID {
        let key = P256.Signing.PrivateKey()
        var generator = SystemRandomNumberGenerator()
        let signer = authority
        let end = clock.time + lifetime
        let leaf = try CertificateTemplate.x509SVID(
            id: SPIFFEID(trustDomain: claimedDomain ?? trustDomain, path: path), dnsNames: dnsNames,
            publicKey: SubjectPublicKey(key.publicKey), issuer: CertificateIssuer(signer.certificate),
            serialNumber: SerialNumber(random: &generator), notBefore: min(clock.time, end) - 10, notAfter: end
        ).sign(with: signer.key)
        return try X509SVID(chain: [leaf], privateKey: key)
    }

    /// An X509-SVID whose chain has an intermediate authority in between.
    package func nestedSVID(_ path: String, lifetime: Int64 = 3600) throws -> X509SVID {
        let middle = try Self.makeAuthority(trustDomain, at: clock.time, issuer: authority)
        let key = P256.Signing.PrivateKey()
        var generator = SystemRandomNumberGenerator()
        let leaf = try CertificateTemplate.x509SVID(
            id: SPIFFEID(trustDomain: trustDomain, path: path), publicKey: SubjectPublicKey(key.publicKey),
            issuer: CertificateIssuer(middle.certificate), serialNumber: SerialNumber(random: &generator),
            notBefore: clock.time - 10, notAfter: clock.time + lifetime
        ).sign(with: middle.key)
        return try X509SVID(chain: [leaf, middle.certificate.der], privateKey: key)
    }

    private static func makeAuthority(
        _ trustDomain: TrustDomain, at time: UnixTime, issuer: Authority? = nil
    ) throws -> Authority {
        let key = P256.Signing.PrivateKey()
        var generator = SystemRandomNumberGenerator()
        let template = try CertificateTemplate.authority(
            trustDomain: trustDomain, publicKey: SubjectPublicKey(key.publicKey),
            issuer: issuer.map { CertificateIssuer($0.certificate) }, serialNumber: SerialNumber(random: &generator),
            notBefore: time - 10, notAfter: time + authorityLifetime)
        return Authority(key: key, certificate: try ParsedCertificate(der: template.sign(with: issuer?.key ?? key)))
    }
}
