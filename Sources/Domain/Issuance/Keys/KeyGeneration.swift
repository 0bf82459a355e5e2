package import Crypto
package import CryptoExtras

extension P256.Signing.PrivateKey {
    /// A fresh key from handed-in randomness, by rejection sampling (FIPS 186-5 A.2.2): 32 bytes that are zero or not
    /// below the group order are thrown away and drawn again.
    ///
    /// The default initializer draws whole keys until one has a compact form, which costs sixteen times as much.
    package static func fresh(randomBytes: RandomBytes) throws(KeyStoreError) -> P256.Signing.PrivateKey {
        // One draw in 2³² is rejected: running out of tries means that the source is broken.
        for _ in 0..<maximumDraws {
            let bytes = randomBytes(32)
            guard bytes.count == 32 else { throw .badRandomness }
            if let key = try? P256.Signing.PrivateKey(rawRepresentation: bytes) { return key }
        }
        throw .badRandomness
    }

    private static var maximumDraws: Int { 8 }
}

/// Makes an RSA key of 2048 bits.
package typealias RSAKeyGenerator = @Sendable () throws(KeyStoreError) -> _RSA.Signing.PrivateKey

extension _RSA.Signing.PrivateKey {
    /// A fresh key of 2048 bits from the library's own source of randomness: it looks for the primes itself, and has no
    /// way in for handed-in randomness. It takes a tenth of a second and more.
    package static func fresh() throws(KeyStoreError) -> _RSA.Signing.PrivateKey {
        guard let key = try? _RSA.Signing.PrivateKey(keySize: .bits2048) else { throw .badRandomness }
        return key
    }
}

extension AuthorityKey {
    /// A fresh key.
    static func fresh(
        _ algorithm: Algorithm, randomBytes: RandomBytes, rsaKeys: RSAKeyGenerator
    ) throws(KeyStoreError) -> AuthorityKey {
        switch algorithm {
        case .p256: .p256(try .fresh(randomBytes: randomBytes))
        case .rsa2048: .rsa(try rsaKeys())
        }
    }
}
