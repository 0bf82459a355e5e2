import Crypto
import CryptoExtras
import JOSE

extension SubjectPublicKey {
    /// Whether the signature over the message is this key's. `false` also for an algorithm that is not the key's kind.
    package func isValidSignature(
        _ signature: [UInt8], for message: [UInt8], algorithm: X509SignatureAlgorithm
    ) -> Bool {
        switch algorithm {
        case .ecdsaWithSHA256: isValidECDSA(signature, digest: SHA256.hash(bytes: message))
        case .ecdsaWithSHA384: isValidECDSA(signature, digest: SHA384.hash(bytes: message))
        case .ecdsaWithSHA512: isValidECDSA(signature, digest: SHA512.hash(bytes: message))
        case .ed25519: isValidEd25519(signature, message: message)
        case .rsaPKCS1WithSHA256: isValidRSA(signature, SHA256.hash(bytes: message), .insecurePKCS1v1_5)
        case .rsaPKCS1WithSHA384: isValidRSA(signature, SHA384.hash(bytes: message), .insecurePKCS1v1_5)
        case .rsaPKCS1WithSHA512: isValidRSA(signature, SHA512.hash(bytes: message), .insecurePKCS1v1_5)
        case .rsaPSSWithSHA256: isValidRSA(signature, SHA256.hash(bytes: message), .PSS)
        case .rsaPSSWithSHA384: isValidRSA(signature, SHA384.hash(bytes: message), .PSS)
        case .rsaPSSWithSHA512: isValidRSA(signature, SHA512.hash(bytes: message), .PSS)
        }
    }

    private func isValidECDSA(_ signature: [UInt8], digest: some Digest) -> Bool {
        switch material {
        case .p256(let key):
            guard let signature = try? P256.Signing.ECDSASignature(derRepresentation: signature) else { return false }
            return key.isValidSignature(signature, for: digest)
        case .p384(let key):
            guard let signature = try? P384.Signing.ECDSASignature(derRepresentation: signature) else { return false }
            return key.isValidSignature(signature, for: digest)
        case .p521(let key):
            guard let signature = try? P521.Signing.ECDSASignature(derRepresentation: signature) else { return false }
            return key.isValidSignature(signature, for: digest)
        case .ed25519, .rsa:
            return false
        }
    }

    private func isValidEd25519(_ signature: [UInt8], message: [UInt8]) -> Bool {
        guard case .ed25519(let key) = material else { return false }
        return key.isValidSignature(signature, for: message)
    }

    /// PSS with a salt as long as the digest, which certificates have to use here.
    private func isValidRSA(_ signature: [UInt8], _ digest: some Digest, _ padding: _RSA.Signing.Padding) -> Bool {
        guard case .rsa = kind, let key = try? _RSA.Signing.PublicKey(derRepresentation: derSPKI) else { return false }
        return key.isValidSignature(
            _RSA.Signing.RSASignature(rawRepresentation: signature), for: digest, padding: padding)
    }
}
