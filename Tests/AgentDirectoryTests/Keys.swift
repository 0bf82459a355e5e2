import Crypto
import CryptoExtras
import JOSE

/// Public keys of every type.
enum Keys {
    static func p256() throws -> JWK {
        try JWK(key: .p256(rawRepresentation: Array(P256.Signing.PrivateKey().publicKey.rawRepresentation)))
    }
    static func p384() throws -> JWK {
        try JWK(key: .p384(rawRepresentation: Array(P384.Signing.PrivateKey().publicKey.rawRepresentation)))
    }
    static func p521() throws -> JWK {
        try JWK(key: .p521(rawRepresentation: Array(P521.Signing.PrivateKey().publicKey.rawRepresentation)))
    }
    static func ed25519() throws -> JWK {
        try JWK(key: .ed25519(rawRepresentation: Array(Curve25519.Signing.PrivateKey().publicKey.rawRepresentation)))
    }
    static func rsa() throws -> JWK {
        let numbers = try _RSA.Signing.PrivateKey(keySize: .bits2048).publicKey.getKeyPrimitives()
        return try JWK(key: .rsa(modulus: Array(numbers.modulus), exponent: Array(numbers.publicExponent)))
    }
}
