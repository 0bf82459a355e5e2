package import Crypto
package import CryptoExtras

/// A private key that signs by one algorithm under one key ID; it cannot be printed or written out.
package struct JWSSigningKey: Sendable {
    private enum PrivateKey: Sendable {
        case p256(P256.Signing.PrivateKey)
        case p384(P384.Signing.PrivateKey)
        case ed25519(Curve25519.Signing.PrivateKey)
        case rsa(_RSA.Signing.PrivateKey)
    }

    /// The key ID that tokens name.
    package let keyID: String

    /// The algorithm of every signature.
    package let algorithm: JWSAlgorithm

    /// The public half, under the same key ID.
    package let verificationKey: JWSVerificationKey

    private let privateKey: PrivateKey

    /// A key for ES256.
    package init(p256 key: P256.Signing.PrivateKey, keyID: String) {
        self.keyID = keyID
        algorithm = .es256
        verificationKey = JWSVerificationKey(p256: key.publicKey, keyID: keyID)
        privateKey = .p256(key)
    }

    /// A key for ES384.
    package init(p384 key: P384.Signing.PrivateKey, keyID: String) {
        self.keyID = keyID
        algorithm = .es384
        verificationKey = JWSVerificationKey(p384: key.publicKey, keyID: keyID)
        privateKey = .p384(key)
    }

    /// A key for EdDSA with Ed25519.
    package init(ed25519 key: Curve25519.Signing.PrivateKey, keyID: String) {
        self.keyID = keyID
        algorithm = .eddsa
        verificationKey = JWSVerificationKey(ed25519: key.publicKey, keyID: keyID)
        privateKey = .ed25519(key)
    }

    /// A key for RS256; throws `.refusedRSASize` for one of fewer than 2048 bits (RFC 7518 §3.3) or of more than
    /// ``JWK/allowedRSAModulusBits`` has.
    package init(rsa key: _RSA.Signing.PrivateKey, keyID: String) throws(JWKError) {
        let bits = key.keySizeInBits
        guard JWK.allowedRSAModulusBits.contains(bits) else { throw .refusedRSASize(bits: bits) }
        self.keyID = keyID
        algorithm = .rs256
        verificationKey = try JWSVerificationKey(
            derSPKI: [UInt8](key.publicKey.derRepresentation), keyID: keyID, algorithm: .rs256)
        privateKey = .rsa(key)
    }

    /// Signs bytes in the form of RFC 7518 §3.3, §3.4 or RFC 8037 §3.1; throws what the cryptographic library throws.
    package func sign(_ input: [UInt8]) throws -> [UInt8] {
        switch privateKey {
        case .p256(let key): [UInt8](try key.signature(for: SHA256.hash(bytes: input)).rawRepresentation)
        case .p384(let key): [UInt8](try key.signature(for: input).rawRepresentation)
        case .ed25519(let key): [UInt8](try key.signature(for: input))
        // RS256 is the padding of PKCS #1 v1.5; the library's name warns of it in general.
        case .rsa(let key):
            [UInt8](try key.signature(for: SHA256.hash(bytes: input), padding: .insecurePKCS1v1_5).rawRepresentation)
        }
    }
}

extension JWSSigningKey: CustomStringConvertible, CustomReflectable {
    /// Names the algorithm and the key ID only.
    package var description: String { "\(algorithm.rawValue) signing key `\(keyID.truncatedForMessage)`" }

    /// Hides the private half from dumps.
    package var customMirror: Mirror { Mirror(self, children: ["keyID": keyID, "algorithm": algorithm]) }
}
