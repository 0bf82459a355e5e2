import Crypto
import CryptoExtras
package import SPIFFE

/// The node's half: certificate, intermediates and private key, checked to belong together.
package struct X509PoPCredential: Sendable {
    private enum Key: Sendable {
        case rsa(_RSA.Signing.PrivateKey)
        case p256(P256.Signing.PrivateKey)
        case p384(P384.Signing.PrivateKey)
        case p521(P521.Signing.PrivateKey)
    }

    /// The node's own certificate first.
    package let certificates: [ParsedCertificate]
    private let key: Key

    /// Reads PEM: certificates leaf first, perhaps more of them from another file, and a private key in PKCS#8, SEC1 or
    /// PKCS#1.
    package init(
        certificatePEM: String, intermediatesPEM: String?, privateKeyPEM: String
    ) throws(X509PoPCredentialError) {
        var ders: [[UInt8]] = []
        do throws(PEMError) {
            for text in [certificatePEM] + (intermediatesPEM.map { [$0] } ?? []) {
                ders += try PEM.decodeAll(
                    text, label: PEM.certificateLabel, limit: X509PoPAttestation.maximumIntermediates + 1)
            }
        } catch {
            throw .pem(error)
        }
        guard ders.count <= X509PoPAttestation.maximumIntermediates + 1 else { throw .tooManyCertificates }
        var certificates: [ParsedCertificate] = []
        for der in ders {
            do {
                certificates.append(try ParsedCertificate(der: der, rsaBits: X509PoPAttestation.rsaBits))
            } catch {
                throw .certificate(error)
            }
        }
        self.certificates = certificates
        key = try Self.key(privateKeyPEM)
        guard let leaf = certificates.first else { throw .keyDoesNotMatch }
        try checkKey(of: leaf)
    }

    /// What the node sends first.
    package var payload: X509PoPPayload { X509PoPPayload(certificates: certificates.map(\.der)) }

    /// The answer to a challenge. `nonce` is random and used once.
    package func answer(_ challenge: X509PoPChallenge, nonce: [UInt8]) throws(X509PoPError) -> X509PoPResponse {
        let digest = X509PoPSignature.digest(challenge.nonce, nonce)
        switch (key, challenge.kind) {
        case (.rsa(let key), .rsa):
            guard let signature = try? key.signature(for: digest, padding: .PSS) else { throw .badSignature }
            return X509PoPResponse(nonce: nonce, signature: .rsa([UInt8](signature.rawRepresentation)))
        case (.p256(let key), .ecdsa):
            guard let signature = try? key.signature(for: digest) else { throw .badSignature }
            return Self.response(nonce, [UInt8](signature.rawRepresentation))
        case (.p384(let key), .ecdsa):
            guard let signature = try? key.signature(for: digest) else { throw .badSignature }
            return Self.response(nonce, [UInt8](signature.rawRepresentation))
        case (.p521(let key), .ecdsa):
            guard let signature = try? key.signature(for: digest) else { throw .badSignature }
            return Self.response(nonce, [UInt8](signature.rawRepresentation))
        case (.rsa, .ecdsa), (.p256, .rsa), (.p384, .rsa), (.p521, .rsa):
            throw .wrongKind
        }
    }

    private static func response(_ nonce: [UInt8], _ raw: [UInt8]) -> X509PoPResponse {
        X509PoPResponse(
            nonce: nonce, signature: .ecdsa(r: Array(raw.prefix(raw.count / 2)), s: Array(raw.suffix(raw.count / 2))))
    }

    private static func key(_ pem: String) throws(X509PoPCredentialError) -> Key {
        if let key = try? P256.Signing.PrivateKey(pemRepresentation: pem) { return .p256(key) }
        if let key = try? P384.Signing.PrivateKey(pemRepresentation: pem) { return .p384(key) }
        if let key = try? P521.Signing.PrivateKey(pemRepresentation: pem) { return .p521(key) }
        if let key = try? _RSA.Signing.PrivateKey(pemRepresentation: pem) { return .rsa(key) }
        throw .badPrivateKey
    }

    private func checkKey(of leaf: ParsedCertificate) throws(X509PoPCredentialError) {
        let spki: [UInt8] =
            switch key {
            case .rsa(let key): [UInt8](key.publicKey.derRepresentation)
            case .p256(let key): [UInt8](key.publicKey.derRepresentation)
            case .p384(let key): [UInt8](key.publicKey.derRepresentation)
            case .p521(let key): [UInt8](key.publicKey.derRepresentation)
            }
        guard spki == leaf.publicKey.derSPKI else { throw .keyDoesNotMatch }
    }
}

/// Why files do not make a credential.
package enum X509PoPCredentialError: Error, Equatable, Sendable, CustomStringConvertible {
    case pem(PEMError)
    case certificate(CertificateError)
    case tooManyCertificates
    /// Not an unencrypted RSA or EC key.
    case badPrivateKey
    case keyDoesNotMatch

    package var description: String {
        switch self {
        case .pem(let error): error.description
        case .certificate(let error): error.description
        case .tooManyCertificates:
            "there are more than \(X509PoPAttestation.maximumIntermediates) intermediate certificates"
        case .badPrivateKey: "the private key is not an unencrypted RSA or EC key in PEM"
        case .keyDoesNotMatch: "the private key does not belong to the certificate"
        }
    }
}
