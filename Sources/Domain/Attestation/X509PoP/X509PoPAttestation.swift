import Crypto
package import SPIFFE

/// Node attestation by a certificate from elsewhere and the proof of its private key: SPIRE's `x509pop`.
package enum X509PoPAttestation {
    /// The name of the method, in attestation requests, node records and selectors.
    package static let type = "x509pop"

    /// Certificates that may come between the node's own and an authority (SPIRE's limit).
    package static let maximumIntermediates = 4

    /// Sizes of an RSA modulus, in bits; the upper end is SPIRE's limit.
    package static let rsaBits = 2048...8192

    /// Longest payload or challenge response, in bytes: five certificates of 16 KiB in base64 have room.
    package static let maximumMessageLength = 128 * 1024

    /// Largest certificate, in bytes.
    package static let maximumCertificateLength = 16 * 1024

    /// Bytes of a nonce.
    package static let nonceLength = 32

    /// SHA-1 over the certificate in lower-case hexadecimal, the name that SPIRE gives a certificate. A name only:
    /// nothing is proved by it.
    package static func fingerprint(_ certificate: ParsedCertificate) -> String {
        let digits = Array("0123456789abcdef".utf8)
        let text = Insecure.SHA1.hash(data: certificate.der).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        return String(decoding: text, as: UTF8.self)
    }

    /// `spiffe://<trust domain>/spire/agent/x509pop/<fingerprint>`.
    package static func nodeID(
        of certificate: ParsedCertificate, trustDomain: TrustDomain
    ) throws(SPIFFEIDError) -> SPIFFEID {
        try SPIFFEID(trustDomain: trustDomain, segments: ["spire", "agent", type, fingerprint(certificate)])
    }

    /// What the certificates say of a node: `subject:cn`, `serialnumber` and `san` of its own, `ca:fingerprint` of each
    /// one above it.
    static func selectors(
        leaf: ParsedCertificate, above: [ParsedCertificate], trustDomain: TrustDomain
    ) -> [Selector] {
        var values = ["serialnumber:\(leaf.serialNumber.hex)"]
        if let name = leaf.commonName { values.append("subject:cn:\(name)") }
        values += above.map { "ca:fingerprint:\(fingerprint($0))" }
        let prefix = "\(type)://\(trustDomain.name)/"
        for uri in leaf.uriSANs where uri.utf8.starts(with: prefix.utf8) {
            let pair = String(decoding: uri.utf8.dropFirst(prefix.utf8.count), as: UTF8.self)
            guard let colon = pair.utf8.firstIndex(of: UInt8(ascii: ":")), colon != pair.utf8.startIndex,
                pair.utf8.index(after: colon) != pair.utf8.endIndex
            else { continue }
            values.append("san:\(pair)")
        }
        // A common name can be longer than a selector may be; such a one is left out.
        return Set(values.compactMap { try? Selector(type: type, value: $0) }).sorted()
    }
}
