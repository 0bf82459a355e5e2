import AuditTrail
import Crypto
import Registry
package import SPIFFE

/// An X.509-SVID that was signed, read back, verified and recorded. Only the issuer makes values of this type.
package struct IssuedX509SVID: Sendable {
    /// Whom it names.
    package let id: SPIFFEID
    /// DER, leaf first, without the root.
    package let chain: [[UInt8]]
    /// The leaf, read back.
    package let leaf: ParsedCertificate
    /// When it ends.
    package let expiresAt: UnixTime
    /// The authority that signed it.
    package let authorityID: String

    /// The leaf's serial number, by which the log knows it.
    package var serialNumber: SerialNumber { leaf.serialNumber }

    fileprivate init(_ svid: VerifiedX509SVID, authorityID: String) {
        id = svid.id
        chain = svid.chain
        leaf = svid.leaf
        expiresAt = svid.leaf.notAfter
        self.authorityID = authorityID
    }
}

/// An X.509-SVID about to be signed: identity, key, names and times have passed the checks of its kind.
struct X509Preparation: CredentialPreparation {
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

    /// For the workload of a registration entry. Of the request only the key counts.
    static func workload(
        _ entry: RegistrationEntry, _ csr: CertificateSigningRequest, _ terms: IssuanceTerms
    ) throws(IssuanceError) -> X509Preparation {
        try terms.checkWorkloadID(entry.spiffeID)
        try terms.checkNotExpired(entry)
        return try X509Preparation(
            id: entry.spiffeID, dnsNames: entry.dnsNames, publicKey: csr.publicKey,
            ttl: Int64(entry.x509SVIDTTL), defaultTTL: terms.defaults.x509TTL, entryID: entry.id, terms)
    }

    /// For an administrator, who names identity and DNS names in the request.
    static func minted(
        _ csr: CertificateSigningRequest, ttl: Int64, _ terms: IssuanceTerms
    ) throws(IssuanceError) -> X509Preparation {
        guard csr.uriSANs.count == 1, let uri = csr.uriSANs.first else { throw .uriCount(csr.uriSANs.count) }
        let id: SPIFFEID
        do {
            id = try SPIFFEID(uri)
        } catch {
            throw .badSPIFFEID(error)
        }
        try terms.checkWorkloadID(id)
        return try X509Preparation(
            id: id, dnsNames: csr.dnsSANs, publicKey: csr.publicKey, ttl: ttl, defaultTTL: terms.defaults.x509TTL,
            entryID: nil, terms)
    }

    /// For an attested node agent.
    static func node(
        _ id: SPIFFEID, _ csr: CertificateSigningRequest, _ terms: IssuanceTerms
    ) throws(IssuanceError) -> X509Preparation {
        try terms.checkTrustDomain(id)
        try terms.checkNotRevoked(id)
        guard id.path.utf8.starts(with: "/spire/agent/".utf8) else { throw .notANodeID }
        return try X509Preparation(
            id: id, dnsNames: [], publicKey: csr.publicKey, ttl: 0, defaultTTL: terms.defaults.nodeTTL, entryID: nil,
            terms)
    }

    /// For this control plane itself.
    static func server(
        _ id: SPIFFEID, _ publicKey: SubjectPublicKey, dnsNames: [String], ipAddresses: [IPAddress],
        _ terms: IssuanceTerms
    ) throws(IssuanceError) -> X509Preparation {
        try terms.checkTrustDomain(id)
        return try X509Preparation(
            id: id, dnsNames: dnsNames, ipAddresses: ipAddresses, publicKey: publicKey, ttl: 0,
            defaultTTL: terms.defaults.serverTTL, entryID: nil, terms)
    }

    private init(
        id: SPIFFEID, dnsNames: [String], ipAddresses: [IPAddress] = [], publicKey: SubjectPublicKey, ttl: Int64,
        defaultTTL: Int64, entryID: String?, _ terms: IssuanceTerms
    ) throws(IssuanceError) {
        try terms.checkNotRevoked(publicKey)
        guard let authority = terms.x509 else { throw .noAuthority }
        let end = try terms.end(ttl: ttl, defaultTTL: defaultTTL, authorityEnd: authority.notAfter)
        let serialNumber = try terms.serialNumber()
        do {
            template = try .x509SVID(
                id: id, dnsNames: dnsNames, ipAddresses: ipAddresses, publicKey: publicKey,
                issuer: authority.issuer, serialNumber: serialNumber,
                notBefore: terms.time - IssuanceDefaults.backdating, notAfter: end)
        } catch {
            throw .certificate(error)
        }
        subject = IssuanceSubject(
            kind: "x509-svid", id: id, argsHash: HexText.encode(SHA256.hash(data: publicKey.derSPKI)), entryID: entryID)
        self.authority = authority
        self.publicKey = publicKey
        self.serialNumber = serialNumber
        notAfter = end
    }

    func sign(consuming receipt: consuming AuditReceipt) throws(IssuanceError) -> Signed {
        guard let leaf = try? authority.sign(template, consuming: receipt) else { throw .signingFailed }
        return Signed(chain: [leaf] + authority.upstreamChain)
    }

    func verify(
        _ signed: Signed, with authorities: AuthoritySnapshot, at time: UnixTime
    ) throws(IssuanceError) -> IssuedX509SVID {
        let svid: VerifiedX509SVID
        do {
            svid = try X509SVIDVerifier.verify(
                chain: signed.chain, bundle: { _ in authorities.x509Bundle }, at: time)
        } catch {
            throw .selfCheckFailed(error.description)
        }
        guard svid.id == subject.id, svid.leaf.publicKey == publicKey, svid.leaf.serialNumber == serialNumber,
            svid.leaf.notAfter == notAfter, svid.leaf.notAfter <= authority.notAfter
        else { throw .selfCheckFailed("it is not what was prepared") }
        return IssuedX509SVID(svid, authorityID: authority.id)
    }

    func note(_ issued: IssuedX509SVID, in serials: IssuedSerials?) {
        serials?.note(issued.id, issued.serialNumber, expiresAt: issued.expiresAt)
    }

    func facts(about issued: IssuedX509SVID) -> [String: String] {
        [
            "serial": serialNumber.hex, "expires": notAfter.description, "authority": authority.id,
        ]
    }
}
