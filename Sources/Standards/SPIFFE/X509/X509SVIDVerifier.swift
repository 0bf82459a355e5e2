/// An X509-SVID whose chain led to an authority of its own trust domain. Only the verifier makes values of this type.
package struct VerifiedX509SVID: Sendable {
    /// Who the peer is, provided that it also proves to hold the leaf's key, as TLS does.
    package let id: SPIFFEID
    package let leaf: ParsedCertificate
    /// What was presented, leaf first.
    package let chain: [[UInt8]]
    /// The earliest end of validity along the path, the authority included.
    package let expiresAt: UnixTime

    fileprivate init(id: SPIFFEID, leaf: ParsedCertificate, chain: [[UInt8]], expiresAt: UnixTime) {
        self.id = id
        self.leaf = leaf
        self.chain = chain
        self.expiresAt = expiresAt
    }
}

/// Verifies X509-SVIDs (X509-SVID §5, RFC 5280 §6 for the extensions that SVIDs use).
///
/// Everything that is not understood is refused, name constraints included. Certificates have to come in their order;
/// no other certificates are searched for a path.
package enum X509SVIDVerifier {
    /// Longest chain that is looked at, the leaf included: an attacker's chain costs no more than this.
    package static let maximumChainLength = 8

    /// Verifies a chain, leaf first, at a moment, against the bundle of the leaf's own trust domain and no other.
    package static func verify(
        chain: [[UInt8]], bundle lookup: (TrustDomain) -> X509Bundle?, at time: UnixTime
    ) throws(X509VerificationError) -> VerifiedX509SVID {
        let certificates = try parse(chain)
        guard let leaf = certificates.first else { throw .emptyChain }
        let id = try X509SVIDProfile.leafID(leaf)
        guard let bundle = lookup(id.trustDomain), bundle.trustDomain == id.trustDomain else {
            throw .unknownTrustDomain(id.trustDomain)
        }
        let expiresAt = try followPath(certificates, to: bundle, at: time)
        return VerifiedX509SVID(id: id, leaf: leaf, chain: chain, expiresAt: expiresAt)
    }

    private static func parse(_ chain: [[UInt8]]) throws(X509VerificationError) -> [ParsedCertificate] {
        guard !chain.isEmpty else { throw .emptyChain }
        guard chain.count <= maximumChainLength else { throw .chainTooLong }
        var certificates: [ParsedCertificate] = []
        for der in chain {
            do {
                certificates.append(try ParsedCertificate(der: der))
            } catch {
                throw .certificate(error)
            }
        }
        return certificates
    }

    /// Goes up from the leaf until an authority has signed; gives the earliest end of validity on the way.
    private static func followPath(
        _ certificates: [ParsedCertificate], to bundle: X509Bundle, at time: UnixTime
    ) throws(X509VerificationError) -> UnixTime {
        var expiresAt = UnixTime(milliseconds: .max)
        for (index, certificate) in certificates.enumerated() {
            if index > 0 {
                try X509SVIDProfile.checkIntermediate(certificate, of: bundle.trustDomain)
                try checkPathLength(certificate, intermediatesBelow: index - 1)
                let child = certificates[index - 1]
                guard child.issuer == certificate.subject, child.isSigned(by: certificate.publicKey) else {
                    throw .brokenChain
                }
            }
            try checkValidity(certificate, at: time)
            expiresAt = min(expiresAt, certificate.notAfter)
            if let authority = try anchor(of: certificate, in: bundle, intermediatesBelow: index, at: time) {
                return min(expiresAt, authority.notAfter)
            }
        }
        throw .noAuthority
    }

    /// The authority that signed the certificate and may have done so now; `nil` if there is none.
    private static func anchor(
        of certificate: ParsedCertificate, in bundle: X509Bundle, intermediatesBelow count: Int, at time: UnixTime
    ) throws(X509VerificationError) -> ParsedCertificate? {
        var refusal: X509VerificationError?
        for authority in bundle.authorities {
            let candidate = authority.certificate
            guard certificate.issuer == candidate.subject, certificate.isSigned(by: candidate.publicKey) else {
                continue
            }
            do throws(X509VerificationError) {
                guard X509SVIDProfile.maySign(candidate) else { throw .authorityMayNotSign }
                try checkPathLength(candidate, intermediatesBelow: count)
                try checkValidity(candidate, at: time)
                return candidate
            } catch {
                refusal = error
            }
        }
        if let refusal { throw refusal }
        return nil
    }

    /// Self-issued intermediates count too, unlike in RFC 5280 §6.1.4: no SVID authority makes them.
    private static func checkPathLength(
        _ certificate: ParsedCertificate, intermediatesBelow count: Int
    ) throws(X509VerificationError) {
        guard let limit = certificate.basicConstraints?.pathLength else { return }
        guard count <= limit else { throw .pathTooLong }
    }

    private static func checkValidity(
        _ certificate: ParsedCertificate, at time: UnixTime
    ) throws(X509VerificationError) {
        guard certificate.notBefore <= time else { throw .notYetValid(certificate.notBefore) }
        guard certificate.isValid(at: time) else { throw .expired(certificate.notAfter) }
    }
}

/// Why a chain does not prove a SPIFFE ID.
package enum X509VerificationError: Error, Equatable, Sendable, CustomStringConvertible {
    case emptyChain
    case chainTooLong
    case certificate(CertificateError)
    /// The leaf has no URI name or more than one.
    case uriCount(Int)
    case badSPIFFEID(SPIFFEIDError)
    /// The leaf's ID is a trust domain's own.
    case rootPath
    case leafIsCA
    /// KeyUsage is missing, not critical, or without digitalSignature.
    case leafKeyUsage
    /// The leaf may sign certificates or revocation lists.
    case leafMaySign
    /// ExtendedKeyUsage is there but does not name both TLS purposes.
    case leafPurposes
    /// An empty subject without critical names.
    case emptySubject
    case unknownCriticalExtension
    case unknownTrustDomain(TrustDomain)
    case intermediateIsNotCA
    case intermediateMayNotSign
    case intermediateOfOtherDomain
    /// A certificate is not signed by the next one.
    case brokenChain
    case pathTooLong
    case notYetValid(UnixTime)
    case expired(UnixTime)
    /// The end of the chain is not signed by an authority of the bundle.
    case noAuthority
    /// The authority that signed is not a CA certificate.
    case authorityMayNotSign

    package var description: String {
        switch self {
        case .emptyChain: "no certificate was presented"
        case .chainTooLong: "more than \(X509SVIDVerifier.maximumChainLength) certificates were presented"
        case .certificate(let error): error.description
        case .uriCount(let count): "the leaf has \(count) URI names instead of one"
        case .badSPIFFEID(let error): "the leaf's URI name is not a SPIFFE ID: \(error)"
        case .rootPath: "the leaf's SPIFFE ID has no path"
        case .leafIsCA: "the leaf is a CA certificate"
        case .leafKeyUsage: "the leaf lacks a critical key usage with digitalSignature"
        case .leafMaySign: "the leaf may sign certificates or revocation lists"
        case .leafPurposes: "the leaf is not for both serverAuth and clientAuth"
        case .emptySubject: "the leaf has neither a subject nor critical names"
        case .unknownCriticalExtension: "a certificate has a critical extension that is not supported"
        case .unknownTrustDomain(let trustDomain): "there is no bundle for trust domain \(quoted(trustDomain.name))"
        case .intermediateIsNotCA: "a certificate between leaf and authority is not a CA certificate"
        case .intermediateMayNotSign: "a certificate between leaf and authority may not sign certificates"
        case .intermediateOfOtherDomain: "a certificate between leaf and authority belongs to another trust domain"
        case .brokenChain: "a certificate is not signed by the one after it"
        case .pathTooLong: "the chain is longer than one of its certificates allows"
        case .notYetValid(let time): "a certificate is not valid before \(time)"
        case .expired(let time): "a certificate expired at \(time)"
        case .noAuthority: "the chain does not end at an authority of its trust domain"
        case .authorityMayNotSign: "the authority that signed may not sign certificates"
        }
    }
}
