/// A PKCS#10 certificate request that its key has signed (RFC 2986).
///
/// Callers take the public key from it and, for the mint calls, the names; nothing else in it has any effect. A value
/// of this type exists only when the self-signature, the proof of possession, was right.
package struct CertificateSigningRequest: Sendable {
    /// The subject's Name in DER.
    package let subject: [UInt8]
    package let publicKey: SubjectPublicKey
    /// URI names that were asked for.
    package let uriSANs: [String]
    /// DNS names that were asked for.
    package let dnsSANs: [String]

    /// Largest request that is read, in bytes.
    package static let maximumLength = 16 * 1024
    /// Most attributes of one request.
    package static let maximumAttributes = 16

    /// Reads a request and verifies its signature; no bytes may follow it.
    package init(parsing der: [UInt8]) throws(CSRError) {
        guard der.count <= Self.maximumLength else { throw .tooLarge }
        do {
            self = try Self.read(der)
        } catch let error as CSRError {
            throw error
        } catch let error as DERError {
            throw .malformed(error)
        } catch {
            throw .malformed(.badValue)
        }
    }

    /// The same as `init(parsing:)`.
    package static func parse(der: [UInt8]) throws(CSRError) -> CertificateSigningRequest {
        try CertificateSigningRequest(parsing: der)
    }

    private init(subject: [UInt8], publicKey: SubjectPublicKey, uriSANs: [String], dnsSANs: [String]) {
        self.subject = subject
        self.publicKey = publicKey
        self.uriSANs = uriSANs
        self.dnsSANs = dnsSANs
    }

    private static func read(_ der: [UInt8]) throws -> CertificateSigningRequest {
        var outer = DERReader(der)
        var request = try outer.open(DERTag.sequence)
        try outer.finish()
        let infoElement = try request.element(DERTag.sequence)
        let algorithmReader = try request.open(DERTag.sequence)
        let signature = Array(try request.wholeBitString())
        try request.finish()
        guard let algorithm = try X509SignatureAlgorithm(algorithmReader) else {
            throw CSRError.unsupportedSignatureAlgorithm
        }

        var info = try infoElement.reader()
        guard try info.smallInteger() == 0 else { throw CSRError.unsupportedVersion }
        let subject = try DistinguishedName.read(&info)
        let keyElement = try info.element(DERTag.sequence)
        var attributes = try info.open(DERTag.constructedContext(0))
        try info.finish()
        let extensions = try readAttributes(&attributes)

        let publicKey: SubjectPublicKey
        do {
            publicKey = try SubjectPublicKey(derSPKI: Array(keyElement.encoded))
        } catch {
            throw CSRError.publicKey(error)
        }
        guard publicKey.isValidSignature(signature, for: Array(infoElement.encoded), algorithm: algorithm) else {
            throw CSRError.badSignature
        }
        return CertificateSigningRequest(
            subject: subject, publicKey: publicKey, uriSANs: extensions.uriSANs, dnsSANs: extensions.dnsSANs)
    }

    /// Checks every attribute's shape and reads the one extension request (RFC 2985 §5.4.2).
    private static func readAttributes(_ attributes: inout DERReader) throws -> CertificateExtensions {
        var extensions: CertificateExtensions?
        var count = 0
        while !attributes.isAtEnd {
            count += 1
            guard count <= maximumAttributes else { throw CSRError.tooManyAttributes }
            var attribute = try attributes.open(DERTag.sequence)
            let type = try attribute.objectIdentifier()
            var values = try attribute.open(DERTag.set)
            try attribute.finish()
            let value = try values.element()
            guard type == .extensionRequest else {
                while !values.isAtEnd { _ = try values.element() }
                continue
            }
            try values.finish()
            guard extensions == nil else { throw CSRError.duplicateExtensionRequest }
            guard value.tag == DERTag.sequence else { throw DERError.unexpectedTag }
            let reader = try value.reader()
            do {
                extensions = reader.isAtEnd ? CertificateExtensions() : try CertificateExtensions(reader)
            } catch {
                throw CSRError.extensions(error)
            }
        }
        return extensions ?? CertificateExtensions()
    }
}

/// Why some bytes were refused as a certificate request.
package enum CSRError: Error, Equatable, Sendable, CustomStringConvertible {
    /// More than 16 KiB.
    case tooLarge
    case malformed(DERError)
    /// Not version 1 (written as 0).
    case unsupportedVersion
    case unsupportedSignatureAlgorithm
    case publicKey(PublicKeyError)
    case tooManyAttributes
    case duplicateExtensionRequest
    case extensions(CertificateExtensionError)
    /// The self-signature is not the key's.
    case badSignature

    package var description: String {
        switch self {
        case .tooLarge: "a certificate request cannot be larger than \(CertificateSigningRequest.maximumLength) bytes"
        case .malformed(let error): "the certificate request is malformed: \(error)"
        case .unsupportedVersion: "the certificate request is not of version 1"
        case .unsupportedSignatureAlgorithm: "the certificate request's signature algorithm is not accepted"
        case .publicKey(let error): error.description
        case .tooManyAttributes:
            "a certificate request cannot have more than \(CertificateSigningRequest.maximumAttributes) attributes"
        case .duplicateExtensionRequest: "the certificate request asks for extensions twice"
        case .extensions(let error): error.description
        case .badSignature: "the certificate request's signature is not valid"
        }
    }
}
