package import Crypto
package import CryptoExtras
import JOSE

/// The private key of an authority. An authority's kind says which algorithm its key is for; no other is taken.
package enum AuthorityKey: Sendable {
    case p256(P256.Signing.PrivateKey)
    /// Of 2048 bits.
    case rsa(_RSA.Signing.PrivateKey)

    /// What keys are made and kept for.
    package enum Algorithm: Sendable, Hashable, CaseIterable {
        /// ECDSA on P-256.
        case p256
        /// RSA with 2048 bits, for readers of tokens that know nothing else.
        case rsa2048
    }

    /// What the key is for.
    package var algorithm: Algorithm {
        switch self {
        case .p256: .p256
        case .rsa: .rsa2048
        }
    }

    /// The public half as SubjectPublicKeyInfo in DER.
    package var derSPKI: [UInt8] {
        switch self {
        case .p256(let key): [UInt8](key.publicKey.derRepresentation)
        case .rsa(let key): [UInt8](key.publicKey.derRepresentation)
        }
    }

    /// PKCS#8 in PEM.
    var pemRepresentation: String {
        switch self {
        case .p256(let key): key.pemRepresentation
        case .rsa(let key): key.pkcs8PEMRepresentation
        }
    }

    /// Reads PEM; nil if it does not hold a key of this algorithm and, of RSA, of exactly its size.
    init?(pemRepresentation pem: String, _ algorithm: Algorithm) {
        switch algorithm {
        case .p256:
            guard let key = try? P256.Signing.PrivateKey(pemRepresentation: pem) else { return nil }
            self = .p256(key)
        case .rsa2048:
            guard let key = try? _RSA.Signing.PrivateKey(pemRepresentation: pem), key.keySizeInBits == 2048 else {
                return nil
            }
            self = .rsa(key)
        }
    }

    /// The key as signer of tokens; throws for an RSA key that is too small.
    func signer(keyID: String) throws(JWKError) -> JWSSigningKey {
        switch self {
        case .p256(let key): JWSSigningKey(p256: key, keyID: keyID)
        case .rsa(let key): try JWSSigningKey(rsa: key, keyID: keyID)
        }
    }
}
