import AuditTrail
import Crypto
import Registry
package import SPIFFE

/// A certificate authority for a downstream control plane, signed, read back, checked and recorded. Only the issuer makes
/// values of this type.
package struct IssuedDownstreamCA: Sendable {
    /// DER, the new authority first, without the root.
    package let chain: [[UInt8]]
    /// The roots of the trust domain, DER.
    package let roots: [[UInt8]]
    package let serialNumber: SerialNumber
    package let expiresAt: UnixTime

    fileprivate init(chain: [[UInt8]], roots: [[UInt8]], serialNumber: SerialNumber, expiresAt: UnixTime) {
        self.chain = chain
        self.roots = roots
        self.serialNumber = serialNumber
        self.expiresAt = expiresAt
    }
}

/// A downstream authority about to be signed.
///
/// As in SPIRE it lives as long as an X.509-SVID of its entry, and its path length is not limited, so that it may have
/// downstream control planes itself.
struct DownstreamPreparation: CredentialPreparation {
    let subject: IssuanceSubject
    private let template: CertificateTemplate
    private let authority: X509SigningAuthority
    private let publicKey: SubjectPublicKey
    private let serialNumber: SerialNumber
    private let notAfter: UnixTime

    struct Signed: Sendable {
        let chain: [[UInt8]]
        fileprivate init(chain: [[UInt8]]) { self.chain = chain }
    }

    /// For the control plane of a downstream entry, whose request names the trust domain.
    init(
        _ entry: RegistrationEntry, _ csr: CertificateSigningRequest, _ terms: IssuanceTerms
    ) throws(IssuanceError) {
        guard entry.isDownstream else { throw .notDownstream }
        try terms.checkWorkloadID(entry.spiffeID)
        try terms.checkNotExpired(entry)
        guard csr.uriSANs == [terms.trustDomain.id.string] else { throw .notTheTrustDomainID }
        try terms.checkNotRevoked(csr.publicKey)
        guard let authority = terms.x509 else { throw .noAuthority }
        notAfter = try terms.end(
            ttl: Int64(entry.x509SVIDTTL), defaultTTL: terms.defaults.x509TTL, authorityEnd: authority.notAfter)
        serialNumber = try terms.serialNumber()
        do {
            template = try .authority(
                trustDomain: terms.trustDomain, publicKey: csr.publicKey, issuer: authority.issuer,
                serialNumber: serialNumber, notBefore: terms.time - IssuanceDefaults.backdating, notAfter: notAfter)
        } catch {
            throw .certificate(error)
        }
        publicKey = csr.publicKey
        subject = IssuanceSubject(
            kind: "x509-authority", id: entry.spiffeID, argsHash: HexText.encode(SHA256.hash(data: publicKey.derSPKI)),
            entryID: entry.id)
        self.authority = authority
    }

    func sign(consuming receipt: consuming AuditReceipt) throws(IssuanceError) -> Signed {
        guard let certificate = try? authority.sign(template, consuming: receipt) else { throw .signingFailed }
        return Signed(chain: [certificate] + authority.upstreamChain)
    }

    func verify(
        _ signed: Signed, with authorities: AuthoritySnapshot, at time: UnixTime
    ) throws(IssuanceError) -> IssuedDownstreamCA {
        guard let first = signed.chain.first, let certificate = try? ParsedCertificate(der: first) else {
            throw .selfCheckFailed("it cannot be read back")
        }
        guard certificate.issuer == authority.certificate.subject,
            certificate.isSigned(by: authority.certificate.publicKey), certificate.isValid(at: time)
        else { throw .selfCheckFailed("the authority's signature does not verify") }
        guard certificate.isCA, certificate.keyUsage == [.keyCertSign, .cRLSign],
            certificate.uriSANs == [subject.id.trustDomain.id.string], certificate.publicKey == publicKey,
            certificate.serialNumber == serialNumber, certificate.notAfter == notAfter,
            notAfter <= authority.notAfter
        else { throw .selfCheckFailed("it is not what was prepared") }
        return IssuedDownstreamCA(
            chain: signed.chain, roots: authorities.bundle.x509Authorities.map(\.der), serialNumber: serialNumber,
            expiresAt: notAfter)
    }

    func facts(about issued: IssuedDownstreamCA) -> [String: String] {
        ["serial": serialNumber.hex, "expires": notAfter.description, "authority": authority.id]
    }
}
