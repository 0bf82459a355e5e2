import SwiftASN1
import X509

/// What a way from a client certificate to its authority has to say beside RFC 5280's rules on times, names and lengths:
/// that the certificates are for this purpose.
struct ClientCertificatePolicy: VerifierPolicy {
    let verifyingCriticalExtensions: [ASN1ObjectIdentifier] = [
        .X509ExtensionID.subjectAlternativeName, .X509ExtensionID.keyUsage, .X509ExtensionID.extendedKeyUsage,
    ]

    func chainMeetsPolicyRequirements(chain: UnverifiedCertificateChain) -> PolicyEvaluationResult {
        for (index, certificate) in chain.enumerated() {
            guard let facts = try? Facts(certificate) else {
                return .failsToMeetPolicy(reason: "an extension cannot be read")
            }
            if let reason = index == 0 ? facts.refusalAsClient : facts.refusalAsIssuer {
                return .failsToMeetPolicy(reason: reason)
            }
        }
        return .meetsPolicy
    }

    /// The extensions that matter.
    private struct Facts {
        let isCA: Bool
        let usage: KeyUsage?
        let purposes: [ExtendedKeyUsage.Usage]?
        let namesSPIFFEID: Bool

        init(_ certificate: Certificate) throws {
            let extensions = certificate.extensions
            if case .isCertificateAuthority? = try extensions.basicConstraints { isCA = true } else { isCA = false }
            usage = try extensions.keyUsage
            purposes = try extensions.extendedKeyUsage.map { Array($0) }
            namesSPIFFEID =
                try extensions.subjectAlternativeNames?.contains { name in
                    guard case .uniformResourceIdentifier(let uri) = name else { return false }
                    return uri.lowercased().utf8.starts(with: "spiffe:".utf8)
                } ?? false
        }

        var refusalAsClient: String? {
            if isCA { return "the certificate is one of an authority" }
            if namesSPIFFEID { return "the certificate names a spiffe id" }
            if let usage, !usage.digitalSignature { return "the certificate is not for digital signatures" }
            if let purposes, !purposes.contains(.clientAuth) { return "the certificate is not for clients" }
            return nil
        }

        var refusalAsIssuer: String? {
            if namesSPIFFEID { return "an authority names a spiffe id" }
            if let usage, !usage.keyCertSign { return "an authority may not sign certificates" }
            if let purposes, !purposes.contains(.clientAuth), !purposes.contains(.any) {
                return "an authority is not for certificates of clients"
            }
            return nil
        }
    }
}
