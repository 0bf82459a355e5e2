import Crypto
import CryptoExtras
package import SPIFFE

/// An upstream authority whose certificate and key lie in files, which are read anew for each signature: whoever
/// replaces them lets the next authority stand under the new one.
package struct DiskUpstreamAuthority: UpstreamAuthority {
    /// What the files hold.
    package struct Files: Sendable {
        /// PEM: the signing certificate first, then those above it up to a root, the root itself left out or not.
        package let certificates: [UInt8]
        /// PEM: its private key.
        package let privateKey: [UInt8]
        /// PEM: the roots to trust; `nil` when the first certificate is itself the root.
        package let roots: [UInt8]?

        package init(certificates: [UInt8], privateKey: [UInt8], roots: [UInt8]?) {
            self.certificates = certificates
            self.privateKey = privateKey
            self.roots = roots
        }
    }

    /// Most certificates in one file.
    package static let maximumCertificates = 16

    private let read: @Sendable () throws(UpstreamError) -> Files

    package init(reading read: @escaping @Sendable () throws(UpstreamError) -> Files) {
        self.read = read
    }

    package func sign(
        trustDomain: TrustDomain, publicKey: SubjectPublicKey, serialNumber: SerialNumber, notBefore: UnixTime,
        notAfter: UnixTime
    ) async throws(UpstreamError) -> UpstreamCertificate {
        let files = try read()
        let certificates = try Self.certificates(files.certificates, "certificate file")
        let key = try Key(pem: files.privateKey)
        guard let signer = certificates.first else { throw .badCertificate("the certificate file is empty") }
        guard signer.publicKey == key.publicKey else { throw .keyDoesNotMatch }
        try check(signer)
        let roots = try self.roots(files, signer, trustDomain)
        let (chain, root, end) = try path(from: certificates, to: roots, at: notBefore + IssuanceDefaults.backdating)
        let template: CertificateTemplate
        do throws(CertificateTemplateError) {
            template = try .authority(
                trustDomain: trustDomain, publicKey: publicKey, issuer: CertificateIssuer(signer),
                serialNumber: serialNumber, notBefore: max(notBefore, signer.notBefore), notAfter: min(notAfter, end))
        } catch {
            throw .template(error)
        }
        guard let der = try? template.sign(algorithm: key.algorithm, key.signature),
            let certificate = try? ParsedCertificate(der: der), certificate.isSigned(by: signer.publicKey)
        else { throw .signingFailed }
        return UpstreamCertificate(certificate: certificate, chain: chain, roots: roots, root: root)
    }

    private static func certificates(_ pem: [UInt8], _ file: String) throws(UpstreamError) -> [ParsedCertificate] {
        let ders: [[UInt8]]
        do throws(PEMError) {
            ders = try PEM.decodeAll(
                String(decoding: pem, as: UTF8.self), label: PEM.certificateLabel, limit: maximumCertificates)
        } catch {
            throw .badCertificate("\(file): \(error)")
        }
        var found: [ParsedCertificate] = []
        for der in ders {
            do {
                found.append(try ParsedCertificate(der: der))
            } catch {
                throw .badCertificate("\(file): \(error)")
            }
        }
        return found
    }

    private func check(_ signer: ParsedCertificate) throws(UpstreamError) {
        guard signer.isCA, signer.keyUsage?.contains(.keyCertSign) ?? true, signer.basicConstraints?.pathLength != 0
        else { throw .mayNotSign }
    }

    /// The roots of the bundle file, or the signing certificate if it is one.
    private func roots(
        _ files: Files, _ signer: ParsedCertificate, _ trustDomain: TrustDomain
    ) throws(UpstreamError) -> [ParsedCertificate] {
        let roots =
            try files.roots.map { pem throws(UpstreamError) in try Self.certificates(pem, "bundle file") } ?? [signer]
        guard !roots.isEmpty, files.roots != nil || signer.isSigned(by: signer.publicKey) else { throw .noRoot }
        for root in roots {
            guard root.isCA, root.keyUsage?.contains(.keyCertSign) ?? true else {
                throw .badCertificate("bundle file: a root is no authority")
            }
            guard root.uriSANs.allSatisfy({ $0 == trustDomain.idString }) else { throw .otherTrustDomain }
        }
        return roots
    }

    /// What leads from the signing certificate to a root: the certificates in between, the root, and the earliest end.
    private func path(
        from certificates: [ParsedCertificate], to roots: [ParsedCertificate], at time: UnixTime
    ) throws(UpstreamError) -> (chain: [[UInt8]], root: ParsedCertificate, end: UnixTime) {
        var chain: [[UInt8]] = []
        var end = certificates[0].notAfter
        for (index, certificate) in certificates.enumerated() {
            guard certificate.isValid(at: time) else { throw .notValidNow }
            if index > 0 {
                let child = certificates[index - 1]
                guard child.issuer == certificate.subject, child.isSigned(by: certificate.publicKey) else {
                    throw .noRoot
                }
            }
            end = min(end, certificate.notAfter)
            if let root = roots.first(where: { $0.der == certificate.der }) { return (chain, root, end) }
            chain.append(certificate.der)
            if let root = roots.first(where: {
                $0.subject == certificate.issuer && certificate.isSigned(by: $0.publicKey)
            }) {
                guard root.isValid(at: time) else { throw .notValidNow }
                return (chain, root, min(end, root.notAfter))
            }
        }
        throw .noRoot
    }

    /// A key that signs certificates.
    private enum Key {
        case p256(P256.Signing.PrivateKey)
        case p384(P384.Signing.PrivateKey)
        case rsa(_RSA.Signing.PrivateKey)

        init(pem: [UInt8]) throws(UpstreamError) {
            let pem = String(decoding: pem, as: UTF8.self)
            if let key = try? P256.Signing.PrivateKey(pemRepresentation: pem) {
                self = .p256(key)
            } else if let key = try? P384.Signing.PrivateKey(pemRepresentation: pem) {
                self = .p384(key)
            } else if let key = try? _RSA.Signing.PrivateKey(pemRepresentation: pem) {
                self = .rsa(key)
            } else {
                throw .badKey
            }
        }

        var publicKey: SubjectPublicKey? {
            switch self {
            case .p256(let key): SubjectPublicKey(key.publicKey)
            case .p384(let key): try? SubjectPublicKey(derSPKI: [UInt8](key.publicKey.derRepresentation))
            case .rsa(let key): try? SubjectPublicKey(derSPKI: [UInt8](key.publicKey.derRepresentation))
            }
        }

        var algorithm: CertificateTemplate.SigningAlgorithm {
            switch self {
            case .p256: .ecdsaWithSHA256
            case .p384: .ecdsaWithSHA384
            case .rsa: .sha256WithRSA
            }
        }

        func signature(over body: [UInt8]) throws -> [UInt8] {
            switch self {
            case .p256(let key): [UInt8](try key.signature(for: SHA256.hash(data: body)).derRepresentation)
            case .p384(let key): [UInt8](try key.signature(for: SHA384.hash(data: body)).derRepresentation)
            case .rsa(let key):
                [UInt8](
                    try key.signature(for: SHA256.hash(data: body), padding: .insecurePKCS1v1_5).rawRepresentation)
            }
        }
    }
}
