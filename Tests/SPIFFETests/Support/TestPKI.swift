import Crypto
import SPIFFE

/// A fixed moment for tests: 2026-11-23T19:14:00Z.
let now = UnixTime(seconds: 1_795_461_240)

/// A generator whose numbers are the same in every run.
struct SequenceGenerator: RandomNumberGenerator {
    var state: UInt64 = 0x9e37_79b9_7f4a_7c15

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ (state >> 29)
    }
}

/// A CA made with the templates under test.
struct TestAuthority {
    let key = P256.Signing.PrivateKey()
    let der: [UInt8]
    let certificate: ParsedCertificate
    let trustDomain: TrustDomain

    init(
        _ name: String = "example.org", serial: UInt8 = 1, signedBy issuer: TestAuthority? = nil,
        pathLength: Int? = nil, notBefore: UnixTime = now - 3600, notAfter: UnixTime = now + 86_400
    ) throws {
        trustDomain = try TrustDomain(name)
        let template = try CertificateTemplate.authority(
            trustDomain: trustDomain, publicKey: SubjectPublicKey(key.publicKey),
            issuer: issuer.map { CertificateIssuer($0.certificate) }, serialNumber: SerialNumber([serial]),
            notBefore: notBefore, notAfter: notAfter, pathLength: pathLength)
        der = try template.sign(with: issuer?.key ?? key)
        certificate = try ParsedCertificate(der: der)
    }

    var bundle: X509Bundle {
        X509Bundle(trustDomain: trustDomain, authorities: [X509Authority(certificate: certificate)])
    }

    func leaf(
        _ id: String = "spiffe://example.org/agent", dnsNames: [String] = [],
        key leafKey: P256.Signing.PrivateKey = P256.Signing.PrivateKey(), notBefore: UnixTime = now - 10,
        notAfter: UnixTime = now + 3600
    ) throws -> [UInt8] {
        try CertificateTemplate.x509SVID(
            id: SPIFFEID(id), dnsNames: dnsNames, publicKey: SubjectPublicKey(leafKey.publicKey),
            issuer: CertificateIssuer(certificate), serialNumber: SerialNumber([0x7f, 2]), notBefore: notBefore,
            notAfter: notAfter
        ).sign(with: key)
    }
}

/// What `verify` says: the ID, or the rule that was broken.
func outcome(
    _ chain: [[UInt8]], _ bundles: [X509Bundle], at time: UnixTime = now
) -> Result<SPIFFEID, X509VerificationError> {
    do throws(X509VerificationError) {
        return .success(
            try X509SVIDVerifier.verify(
                chain: chain, bundle: { domain in bundles.first { $0.trustDomain == domain } }, at: time
            ).id)
    } catch {
        return .failure(error)
    }
}
