/// A strict view of one X.509 v3 certificate (RFC 5280 §4.1). Parsing says nothing about trust.
package struct ParsedCertificate: Hashable, Sendable {
    /// The certificate as it came.
    package let der: [UInt8]
    /// The bytes that the signature covers.
    package let tbsCertificate: [UInt8]
    package let serialNumber: SerialNumber
    /// The issuer's Name in DER.
    package let issuer: [UInt8]
    /// The subject's Name in DER.
    package let subject: [UInt8]
    /// First moment of validity.
    package let notBefore: UnixTime
    /// Last second of validity; the certificate is good until this second has passed.
    package let notAfter: UnixTime
    package let publicKey: SubjectPublicKey
    package let extensions: CertificateExtensions
    package let signatureAlgorithm: X509SignatureAlgorithm
    /// The content of the signature's BIT STRING.
    package let signature: [UInt8]

    /// Largest certificate that is read, in bytes.
    package static let maximumLength = 64 * 1024

    /// Reads one certificate; no bytes may follow it. `rsaBits` are the sizes of an RSA key to accept.
    package init(
        der: [UInt8], rsaBits: ClosedRange<Int> = SubjectPublicKey.rsaBits
    ) throws(CertificateError) {
        guard der.count <= Self.maximumLength else { throw .tooLarge }
        do {
            self = try Self.parse(der, rsaBits)
        } catch let error as CertificateError {
            throw error
        } catch let error as DERError {
            throw .malformed(error)
        } catch {
            throw .malformed(.badValue)
        }
    }

    /// URI names, in their order.
    package var uriSANs: [String] { extensions.uriSANs }
    /// DNS names, in their order.
    package var dnsSANs: [String] { extensions.dnsSANs }
    package var basicConstraints: BasicConstraints? { extensions.basicConstraints }
    package var keyUsage: KeyUsage? { extensions.keyUsage }
    /// Purposes of the ExtendedKeyUsage extension, `nil` without it.
    package var extendedKeyUsage: [ObjectIdentifierBytes]? { extensions.extendedKeyUsage }
    package var subjectKeyIdentifier: [UInt8]? { extensions.subjectKeyIdentifier }
    package var authorityKeyIdentifier: [UInt8]? { extensions.authorityKeyIdentifier }
    package var unknownCriticalExtensions: [ObjectIdentifierBytes] { extensions.unknownCritical }

    /// Whether BasicConstraints make it a CA certificate.
    package var isCA: Bool { basicConstraints?.isCA ?? false }

    /// The subject's common name, the last if there are several; `nil` without one, or in an unusual character set.
    package var commonName: String? { DistinguishedName.commonName(of: subject) }

    /// Whether issuer and subject are the same name, as in every self-signed certificate.
    package var isSelfIssued: Bool { issuer == subject }

    /// Whether the moment lies within the validity, both ends included (RFC 5280 §4.1.2.5).
    package func isValid(at time: UnixTime) -> Bool {
        notBefore <= time && time.seconds <= notAfter.seconds
    }

    /// Whether the signature over this certificate is the key's. Says nothing about names, times or rights.
    package func isSigned(by key: SubjectPublicKey) -> Bool {
        key.isValidSignature(signature, for: tbsCertificate, algorithm: signatureAlgorithm)
    }

    package static func == (left: ParsedCertificate, right: ParsedCertificate) -> Bool { left.der == right.der }

    package func hash(into hasher: inout Hasher) { hasher.combine(der) }
}

extension ParsedCertificate {
    private static func parse(_ der: [UInt8], _ rsaBits: ClosedRange<Int>) throws -> ParsedCertificate {
        var outer = DERReader(der)
        var certificate = try outer.open(DERTag.sequence)
        try outer.finish()
        let tbsElement = try certificate.element(DERTag.sequence)
        let algorithmElement = try certificate.element(DERTag.sequence)
        let signature = Array(try certificate.wholeBitString())
        try certificate.finish()

        var tbs = try tbsElement.reader()
        guard var version = try tbs.optionalElement(DERTag.constructedContext(0))?.reader() else {
            throw CertificateError.unsupportedVersion
        }
        guard try version.smallInteger() == 2 else { throw CertificateError.unsupportedVersion }
        try version.finish()
        let serialNumber = try serialNumber(&tbs)
        let innerAlgorithm = try tbs.element(DERTag.sequence)
        guard innerAlgorithm.encoded.elementsEqual(algorithmElement.encoded) else {
            throw CertificateError.signatureAlgorithmMismatch
        }
        guard let algorithm = try X509SignatureAlgorithm(algorithmElement.reader()) else {
            throw CertificateError.unsupportedSignatureAlgorithm
        }
        let issuer = try DistinguishedName.read(&tbs)
        var validity = try tbs.open(DERTag.sequence)
        let notBefore = try time(&validity)
        let notAfter = try time(&validity)
        try validity.finish()
        let subject = try DistinguishedName.read(&tbs)
        let publicKey = try publicKey(&tbs, rsaBits)
        var extensions = CertificateExtensions()
        if var field = try tbs.optionalElement(DERTag.constructedContext(3))?.reader() {
            let container = try field.open(DERTag.sequence)
            try field.finish()
            do {
                extensions = try CertificateExtensions(container)
            } catch {
                throw CertificateError.extensions(error)
            }
        }
        // Unique identifiers, [1] and [2], must not be used (RFC 5280 §4.1.2.8); they end up here.
        try tbs.finish()
        return ParsedCertificate(
            der: der, tbsCertificate: Array(tbsElement.encoded), serialNumber: serialNumber, issuer: issuer,
            subject: subject, notBefore: notBefore, notAfter: notAfter, publicKey: publicKey, extensions: extensions,
            signatureAlgorithm: algorithm, signature: signature)
    }

    private init(
        der: [UInt8], tbsCertificate: [UInt8], serialNumber: SerialNumber, issuer: [UInt8], subject: [UInt8],
        notBefore: UnixTime, notAfter: UnixTime, publicKey: SubjectPublicKey, extensions: CertificateExtensions,
        signatureAlgorithm: X509SignatureAlgorithm, signature: [UInt8]
    ) {
        self.der = der
        self.tbsCertificate = tbsCertificate
        self.serialNumber = serialNumber
        self.issuer = issuer
        self.subject = subject
        self.notBefore = notBefore
        self.notAfter = notAfter
        self.publicKey = publicKey
        self.extensions = extensions
        self.signatureAlgorithm = signatureAlgorithm
        self.signature = signature
    }

    private static func serialNumber(_ reader: inout DERReader) throws -> SerialNumber {
        let content = try reader.integer()
        guard let first = content.first, first < 0x80 else { throw CertificateError.serialNumber(.notPositive) }
        do {
            return try SerialNumber(content)
        } catch {
            throw CertificateError.serialNumber(error)
        }
    }

    private static func time(_ reader: inout DERReader) throws -> UnixTime {
        let element = try reader.element()
        let time: UnixTime? =
            switch element.tag {
            case DERTag.utcTime: UnixTime(utcTime: element.content)
            case DERTag.generalizedTime: UnixTime(generalizedTime: element.content)
            default: nil
            }
        guard let time else { throw CertificateError.badTime }
        return time
    }

    private static func publicKey(
        _ reader: inout DERReader, _ rsaBits: ClosedRange<Int>
    ) throws -> SubjectPublicKey {
        let element = try reader.element(DERTag.sequence)
        do {
            return try SubjectPublicKey(derSPKI: Array(element.encoded), rsaBits: rsaBits)
        } catch {
            throw CertificateError.publicKey(error)
        }
    }
}

/// Why some bytes were refused as a certificate.
package enum CertificateError: Error, Equatable, Sendable, CustomStringConvertible {
    /// More than 64 KiB.
    case tooLarge
    case malformed(DERError)
    /// Not version 3.
    case unsupportedVersion
    case serialNumber(SerialNumberError)
    case unsupportedSignatureAlgorithm
    /// The algorithm inside the signed part is not the one outside.
    case signatureAlgorithmMismatch
    case badTime
    case publicKey(PublicKeyError)
    case extensions(CertificateExtensionError)

    package var description: String {
        switch self {
        case .tooLarge: "a certificate cannot be larger than \(ParsedCertificate.maximumLength) bytes"
        case .malformed(let error): "the certificate is malformed: \(error)"
        case .unsupportedVersion: "the certificate is not of version 3"
        case .serialNumber(let error): error.description
        case .unsupportedSignatureAlgorithm: "the certificate's signature algorithm is not accepted"
        case .signatureAlgorithmMismatch: "the certificate names two different signature algorithms"
        case .badTime: "the certificate's validity is not a pair of times"
        case .publicKey(let error): error.description
        case .extensions(let error): error.description
        }
    }
}
