package import SPIFFE

extension SPIFFEID {
    /// Reads the two-part form; throws the rule that it breaks.
    package init(_ message: Spire_Api_Types_SPIFFEID) throws(SPIFFEIDError) {
        try self.init(trustDomain: TrustDomain(message.trustDomain), path: message.path)
    }

    /// The two-part form of SPIRE's server API.
    package var message: Spire_Api_Types_SPIFFEID {
        .with {
            $0.trustDomain = trustDomain.name
            $0.path = path
        }
    }
}

extension Spire_Api_Types_SPIFFEID {
    /// What a certificate names: a SPIFFE ID, or for an authority its trust domain; empty for one without.
    package init(namedBy certificate: ParsedCertificate) {
        self.init()
        guard let uri = certificate.uriSANs.first, let parsed = try? SPIFFEID(uri) else { return }
        self = parsed.message
    }
}
