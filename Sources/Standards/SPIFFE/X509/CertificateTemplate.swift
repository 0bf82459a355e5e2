package import Crypto

/// Who signs a certificate: the name and key identifier that go into it.
package struct CertificateIssuer: Hashable, Sendable {
    /// The signing certificate's subject Name in DER.
    package let name: [UInt8]
    /// The signing certificate's subject key identifier.
    package let keyIdentifier: [UInt8]

    /// The issuer that a CA certificate makes.
    package init(_ certificate: ParsedCertificate) {
        name = certificate.subject
        keyIdentifier = certificate.subjectKeyIdentifier ?? certificate.publicKey.subjectKeyIdentifier
    }
}

/// A certificate about to be signed, written straight into DER: the X509-SVID profile has one shape, so there is
/// nothing to configure and little to spend beside the signature.
package struct CertificateTemplate: Sendable {
    private let serialNumber: SerialNumber
    private let issuerName: [UInt8]
    private let subjectName: [UInt8]
    private let notBefore: UnixTime
    private let notAfter: UnixTime
    private let publicKey: SubjectPublicKey
    private let extensions: [UInt8]

    /// A workload's certificate (X509-SVID §3 to §5): one SPIFFE ID with a path, `digitalSignature` alone, both TLS
    /// purposes. The first DNS name also becomes the common name when it is short enough for one.
    package static func x509SVID(
        id: SPIFFEID, dnsNames: [String] = [], ipAddresses: [IPAddress] = [], publicKey: SubjectPublicKey,
        issuer: CertificateIssuer, serialNumber: SerialNumber, notBefore: UnixTime, notAfter: UnixTime
    ) throws(CertificateTemplateError) -> CertificateTemplate {
        guard !id.path.isEmpty else { throw .rootPath }
        try check(notBefore, notAfter)
        for name in dnsNames {
            guard DNSName.isValid(name) else { throw .badDNSName(name) }
        }
        var subject = DERWriter(capacity: 128)
        DistinguishedName.write(
            to: &subject,
            commonName: dnsNames.first.flatMap {
                $0.utf8.count <= DistinguishedName.maximumAttributeLength ? $0 : nil
            })
        var extensions = DERWriter(capacity: 320)
        extensions.raw(leafConstants)
        writeKeyIdentifiers(to: &extensions, subject: publicKey, issuer: issuer)
        writeNames(to: &extensions, uri: id.string, dnsNames: dnsNames, ipAddresses: ipAddresses)
        return CertificateTemplate(
            serialNumber: serialNumber, issuerName: issuer.name, subjectName: subject.bytes, notBefore: notBefore,
            notAfter: notAfter, publicKey: publicKey, extensions: extensions.bytes)
    }

    /// A CA certificate of a trust domain. Without an issuer it is self-signed: sign it with the key that it names.
    ///
    /// Its subject carries the serial number, so that every authority of a trust domain has a name of its own.
    package static func authority(
        trustDomain: TrustDomain, publicKey: SubjectPublicKey, issuer: CertificateIssuer? = nil,
        serialNumber: SerialNumber, notBefore: UnixTime, notAfter: UnixTime, pathLength: Int? = nil
    ) throws(CertificateTemplateError) -> CertificateTemplate {
        try check(notBefore, notAfter)
        if let pathLength {
            guard (0...X509SVIDVerifier.maximumChainLength).contains(pathLength) else { throw .badPathLength }
        }
        var subject = DERWriter(capacity: 128)
        DistinguishedName.write(to: &subject, serialNumber: serialNumber.decimal)
        var extensions = DERWriter(capacity: 256)
        extensions.raw(authorityKeyUsage)
        writeExtension(to: &extensions, .basicConstraints, isCritical: true) { value in
            value.element(DERTag.sequence) { fields in
                fields.primitive(DERTag.boolean, [0xff])
                if let pathLength { fields.primitive(DERTag.integer, [UInt8(pathLength)]) }
            }
        }
        writeKeyIdentifiers(to: &extensions, subject: publicKey, issuer: issuer)
        writeNames(to: &extensions, uri: trustDomain.idString, dnsNames: [])
        return CertificateTemplate(
            serialNumber: serialNumber, issuerName: issuer?.name ?? subject.bytes, subjectName: subject.bytes,
            notBefore: notBefore, notAfter: notAfter, publicKey: publicKey, extensions: extensions.bytes)
    }

    /// The bytes that are signed.
    package func tbsCertificate(algorithm: SigningAlgorithm = .ecdsaWithSHA256) -> [UInt8] {
        var writer = DERWriter(capacity: 768)
        writer.element(DERTag.sequence) { tbs in
            tbs.raw(Self.version3)
            tbs.unsignedInteger(serialNumber.bytes)
            tbs.raw(algorithm.identifier)
            tbs.raw(issuerName)
            tbs.element(DERTag.sequence) { validity in
                validity.time(notBefore)
                validity.time(notAfter)
            }
            tbs.raw(subjectName)
            tbs.raw(publicKey.derSPKI)
            tbs.element(DERTag.constructedContext(3)) { field in
                field.element(DERTag.sequence) { $0.raw(extensions) }
            }
        }
        return writer.bytes
    }

    /// The certificate in DER, signed by a key that is not ours; throws only what `signature` throws.
    package func sign(algorithm: SigningAlgorithm, _ signature: ([UInt8]) throws -> [UInt8]) rethrows -> [UInt8] {
        let body = tbsCertificate(algorithm: algorithm)
        return Self.wrap(body, algorithm, try signature(body))
    }

    /// The certificate in DER, signed with ECDSA and SHA-256; throws only if signing fails.
    package func sign(with key: P256.Signing.PrivateKey) throws -> [UInt8] {
        try Self.sign(tbsCertificate(), with: key)
    }
}

extension CertificateTemplate {
    /// Wraps signed bytes, algorithm and signature, the outer shape of certificates and requests alike.
    static func sign(_ body: [UInt8], with key: P256.Signing.PrivateKey) throws -> [UInt8] {
        wrap(body, .ecdsaWithSHA256, [UInt8](try key.signature(for: SHA256.hash(bytes: body)).derRepresentation))
    }

    private static func wrap(_ body: [UInt8], _ algorithm: SigningAlgorithm, _ signature: [UInt8]) -> [UInt8] {
        var writer = DERWriter(capacity: body.count + signature.count + 40)
        writer.element(DERTag.sequence) { outer in
            outer.raw(body)
            outer.raw(algorithm.identifier)
            outer.bitString(signature)
        }
        return writer.bytes
    }

    /// Writes the SubjectAlternativeName extension; not critical, because the subject is not empty.
    static func writeNames(
        to writer: inout DERWriter, uri: String?, dnsNames: [String], ipAddresses: [IPAddress] = []
    ) {
        writeExtension(to: &writer, .subjectAlternativeName, isCritical: false) { value in
            value.element(DERTag.sequence) { names in
                if let uri { names.primitive(DERTag.context(6), uri.utf8) }
                for name in dnsNames { names.primitive(DERTag.context(2), name.utf8) }
                for address in ipAddresses { names.primitive(DERTag.context(7), address.octets) }
            }
        }
    }

    private static func writeExtension(
        to writer: inout DERWriter, _ oid: ObjectIdentifierBytes, isCritical: Bool,
        _ value: (inout DERWriter) -> Void
    ) {
        writer.element(DERTag.sequence) { fields in
            fields.primitive(DERTag.objectIdentifier, oid.content)
            if isCritical { fields.primitive(DERTag.boolean, [0xff]) }
            fields.element(DERTag.octetString, value)
        }
    }

    private static func writeKeyIdentifiers(
        to writer: inout DERWriter, subject: SubjectPublicKey, issuer: CertificateIssuer?
    ) {
        writeExtension(to: &writer, .subjectKeyIdentifier, isCritical: false) { value in
            value.primitive(DERTag.octetString, subject.subjectKeyIdentifier)
        }
        guard let issuer else { return }
        writeExtension(to: &writer, .authorityKeyIdentifier, isCritical: false) { value in
            value.element(DERTag.sequence) { $0.primitive(DERTag.context(0), issuer.keyIdentifier) }
        }
    }

    private static func check(_ notBefore: UnixTime, _ notAfter: UnixTime) throws(CertificateTemplateError) {
        guard notBefore.seconds <= notAfter.seconds, CivilTime.writableSeconds.contains(notBefore.seconds),
            CivilTime.writableSeconds.contains(notAfter.seconds)
        else { throw .badValidity }
    }

    private static let version3: [UInt8] = [0xa0, 0x03, 0x02, 0x01, 0x02]

    /// KeyUsage keyCertSign and cRLSign, critical.
    private static let authorityKeyUsage: [UInt8] = {
        var writer = DERWriter(capacity: 16)
        writeExtension(to: &writer, .keyUsage, isCritical: true) { $0.primitive(DERTag.bitString, [1, 0x06]) }
        return writer.bytes
    }()

    /// KeyUsage digitalSignature and BasicConstraints without CA, both critical, and the two TLS purposes.
    private static let leafConstants: [UInt8] = {
        var writer = DERWriter(capacity: 80)
        writeExtension(to: &writer, .keyUsage, isCritical: true) { $0.primitive(DERTag.bitString, [7, 0x80]) }
        writeExtension(to: &writer, .extendedKeyUsage, isCritical: false) { value in
            value.element(DERTag.sequence) { purposes in
                purposes.primitive(DERTag.objectIdentifier, ObjectIdentifierBytes.serverAuth.content)
                purposes.primitive(DERTag.objectIdentifier, ObjectIdentifierBytes.clientAuth.content)
            }
        }
        writeExtension(to: &writer, .basicConstraints, isCritical: true) { $0.element(DERTag.sequence) { _ in } }
        return writer.bytes
    }()
}

/// Why no certificate can be made of some values.
package enum CertificateTemplateError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A workload's SPIFFE ID needs a path.
    case rootPath
    /// The end comes before the start, or a time cannot be written.
    case badValidity
    case badDNSName(String)
    case badPathLength

    package var description: String {
        switch self {
        case .rootPath: "a workload's SPIFFE ID has a path"
        case .badValidity: "the validity does not end after its start"
        case .badDNSName(let name): "\(quoted(name)) is not a DNS name"
        case .badPathLength: "the path length is out of range"
        }
    }
}

extension CertificateTemplate {
    /// What certificates are signed with: ours with the first, those of an upstream authority with any.
    package struct SigningAlgorithm: Sendable {
        /// The AlgorithmIdentifier in DER.
        let identifier: [UInt8]

        /// RFC 5758 §3.2.
        package static let ecdsaWithSHA256 = SigningAlgorithm(
            identifier: [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02])
        /// RFC 5758 §3.2.
        package static let ecdsaWithSHA384 = SigningAlgorithm(
            identifier: [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03])
        /// RFC 4055 §5, with the NULL that it demands.
        package static let sha256WithRSA = SigningAlgorithm(
            identifier: [
                0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00,
            ])
    }
}
