/// The rules that a certificate has to keep to be an X509-SVID, apart from who signed it and when (X509-SVID §2 to §5).
package enum X509SVIDProfile {
    /// Checks a leaf and gives its SPIFFE ID.
    package static func leafID(_ certificate: ParsedCertificate) throws(X509VerificationError) -> SPIFFEID {
        guard certificate.uriSANs.count == 1, let uri = certificate.uriSANs.first else {
            throw .uriCount(certificate.uriSANs.count)
        }
        let id: SPIFFEID
        do {
            id = try SPIFFEID(uri)
        } catch {
            throw .badSPIFFEID(error)
        }
        guard !id.path.isEmpty else { throw .rootPath }
        guard !certificate.isCA else { throw .leafIsCA }
        guard let usage = certificate.keyUsage, certificate.extensions.keyUsageIsCritical else {
            throw .leafKeyUsage
        }
        guard usage.isDisjoint(with: [.keyCertSign, .cRLSign]) else { throw .leafMaySign }
        guard usage.contains(.digitalSignature) else { throw .leafKeyUsage }
        if let purposes = certificate.extendedKeyUsage, !purposes.contains(.anyExtendedKeyUsage) {
            guard purposes.contains(.serverAuth), purposes.contains(.clientAuth) else { throw .leafPurposes }
        }
        guard
            certificate.subject != DistinguishedName.empty
                || certificate.extensions.subjectAlternativeNameIsCritical
        else { throw .emptySubject }
        guard certificate.unknownCriticalExtensions.isEmpty else { throw .unknownCriticalExtension }
        return id
    }

    /// Checks a certificate that is presented between leaf and anchor.
    static func checkIntermediate(
        _ certificate: ParsedCertificate, of trustDomain: TrustDomain
    ) throws(X509VerificationError) {
        guard certificate.isCA, certificate.extensions.basicConstraintsAreCritical else { throw .intermediateIsNotCA }
        guard let usage = certificate.keyUsage, certificate.extensions.keyUsageIsCritical,
            usage.contains(.keyCertSign)
        else { throw .intermediateMayNotSign }
        guard certificate.unknownCriticalExtensions.isEmpty else { throw .unknownCriticalExtension }
        // A CA's SPIFFE ID is optional, but one of another trust domain shows that it was made for something else.
        for uri in certificate.uriSANs where uri.utf8.starts(with: SPIFFEID.schemePrefix.utf8) {
            guard uri == trustDomain.idString else { throw .intermediateOfOtherDomain }
        }
    }

    /// Whether an authority may have signed certificates at all. Older roots have no KeyUsage; that it is in the bundle
    /// says what it is for.
    static func maySign(_ certificate: ParsedCertificate) -> Bool {
        certificate.isCA && (certificate.keyUsage?.contains(.keyCertSign) ?? true)
            && certificate.unknownCriticalExtensions.isEmpty
    }
}
