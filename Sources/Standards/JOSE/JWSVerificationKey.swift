package import Crypto
import CryptoExtras

/// A public key together with the one algorithm it checks; a token never chooses the algorithm (RFC 8725 §3.1).
package struct JWSVerificationKey: Sendable {
    /// The key ID, if the key has one.
    package let keyID: String?

    /// The only algorithm whose signatures this key accepts.
    package let algorithm: JWSAlgorithm

    /// INVARIANT: supports `algorithm`.
    private let publicKey: PublicKey

    /// The key material, kept because an RSA key can be asked for it only with an error path.
    private let material: JWK.Key

    /// A key for ES256.
    package init(p256 key: P256.Signing.PublicKey, keyID: String?) {
        self.init(
            .p256(key), material: .p256(rawRepresentation: [UInt8](key.rawRepresentation)), keyID: keyID,
            algorithm: .es256)
    }

    /// A key for ES384.
    package init(p384 key: P384.Signing.PublicKey, keyID: String?) {
        self.init(
            .p384(key), material: .p384(rawRepresentation: [UInt8](key.rawRepresentation)), keyID: keyID,
            algorithm: .es384)
    }

    /// A key for EdDSA.
    package init(ed25519 key: Curve25519.Signing.PublicKey, keyID: String?) {
        self.init(
            .ed25519(key), material: .ed25519(rawRepresentation: [UInt8](key.rawRepresentation)), keyID: keyID,
            algorithm: .eddsa)
    }

    /// A key from SubjectPublicKeyInfo in DER; without `algorithm`, the curve's own, and RS256 for RSA.
    package init(derSPKI: [UInt8], keyID: String?, algorithm: JWSAlgorithm? = nil) throws(JWKError) {
        let publicKey = try PublicKey(derSPKI: derSPKI)
        let algorithm = algorithm ?? publicKey.defaultAlgorithm
        guard publicKey.supports(algorithm) else { throw .algorithmMismatch }
        guard let material = publicKey.material else { throw .invalidKey }
        self.init(publicKey, material: material, keyID: keyID, algorithm: algorithm)
    }

    /// A key from a JWK. The algorithm is the one that the key states; else, for RSA, `defaultAlgorithm` or RS256;
    /// else the curve's own. Keys for encryption, or whose operations lack `verify`, are refused.
    package init(jwk: JWK, defaultAlgorithm: JWSAlgorithm? = nil) throws(JWKError) {
        if jwk.use == "enc" { throw .notForVerification }
        if let operations = jwk.otherMembers["key_ops"] {
            guard let names = operations.stringArrayValue else { throw .wrongType(member: "key_ops") }
            guard names.contains("verify") else { throw .notForVerification }
        }
        let publicKey = try PublicKey(jwk.key)
        var algorithm = jwk.algorithm ?? publicKey.defaultAlgorithm
        if jwk.algorithm == nil, let defaultAlgorithm, case .rsa = publicKey { algorithm = defaultAlgorithm }
        guard publicKey.supports(algorithm) else { throw .algorithmMismatch }
        self.init(publicKey, material: jwk.key, keyID: jwk.kid, algorithm: algorithm)
    }

    private init(_ publicKey: PublicKey, material: JWK.Key, keyID: String?, algorithm: JWSAlgorithm) {
        self.publicKey = publicKey
        self.material = material
        self.keyID = keyID
        self.algorithm = algorithm
    }

    /// The key as SubjectPublicKeyInfo in DER.
    package var derSPKI: [UInt8] { publicKey.derSPKI }

    /// The key as JWK, with key ID and algorithm.
    package var jwk: JWK { JWK(valid: material, kid: keyID, algorithm: algorithm) }
}

extension JWSVerificationKey {
    /// Whether this is the signature of exactly these bytes by this key's algorithm, in the form of RFC 7518 §3
    /// (for ECDSA the two numbers at full width, not DER).
    package func isValid(signature: [UInt8], over message: [UInt8]) -> Bool {
        switch publicKey {
        case .p256(let key):
            guard let value = try? P256.Signing.ECDSASignature(rawRepresentation: signature) else { return false }
            return key.isValidSignature(value, for: SHA256.hash(bytes: message))
        case .p384(let key):
            guard let value = try? P384.Signing.ECDSASignature(rawRepresentation: signature) else { return false }
            return key.isValidSignature(value, for: message)
        case .p521(let key):
            guard let value = try? P521.Signing.ECDSASignature(rawRepresentation: signature) else { return false }
            return key.isValidSignature(value, for: message)
        case .ed25519(let key):
            return key.isValidSignature(signature, for: message)
        case .rsa(let key):
            return isValidRSA(signature, over: message, by: key)
        }
    }

    private func isValidRSA(_ signature: [UInt8], over message: [UInt8], by key: _RSA.Signing.PublicKey) -> Bool {
        let value = _RSA.Signing.RSASignature(rawRepresentation: signature)
        let padding: _RSA.Signing.Padding
        switch algorithm {
        case .rs256, .rs384, .rs512: padding = .insecurePKCS1v1_5
        case .ps256, .ps384, .ps512: padding = .PSS
        case .es256, .es384, .es512, .eddsa: return false
        }
        switch algorithm {
        case .rs256, .ps256: return key.isValidSignature(value, for: SHA256.hash(data: message), padding: padding)
        case .rs384, .ps384: return key.isValidSignature(value, for: SHA384.hash(data: message), padding: padding)
        case .rs512, .ps512: return key.isValidSignature(value, for: SHA512.hash(data: message), padding: padding)
        case .es256, .es384, .es512, .eddsa: return false
        }
    }
}
