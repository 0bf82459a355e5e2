import Crypto
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
        // For RSA, and only there, a certificate's signature has the same form as a token's.
        case .rsaPKCS1WithSHA256: isValidRSA(signature, message: message, algorithm: .rs256)
        case .rsaPKCS1WithSHA384: isValidRSA(signature, message: message, algorithm: .rs384)
        case .rsaPKCS1WithSHA512: isValidRSA(signature, message: message, algorithm: .rs512)
        case .rsaPSSWithSHA256: isValidRSA(signature, message: message, algorithm: .ps256)
        case .rsaPSSWithSHA384: isValidRSA(signature, message: message, algorithm: .ps384)
        case .rsaPSSWithSHA512: isValidRSA(signature, message: message, algorithm: .ps512)
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

    private func isValidRSA(_ signature: [UInt8], message: [UInt8], algorithm: JWSAlgorithm) -> Bool {
        guard case .rsa(let bits) = kind else { return false }
        guard bits <= Self.rsaBits.upperBound else {
            // Larger keys come only from the authorities of an operator's own PKI, which sign by PKCS#1.
            guard let key = RSAVerification(self) else { return false }
            return switch algorithm {
            case .rs256: key.isValidPKCS1(signature, digest: Array(SHA256.hash(data: message)), hash: .sha256)
            case .rs384: key.isValidPKCS1(signature, digest: Array(SHA384.hash(data: message)), hash: .sha384)
            case .rs512: key.isValidPKCS1(signature, digest: Array(SHA512.hash(data: message)), hash: .sha512)
            default: false
            }
        }
        guard
            let key = try? JWSVerificationKey(derSPKI: derSPKI, keyID: nil, algorithm: algorithm)
        else { return false }
        return key.isValid(signature: signature, over: message)
    }
}
