package import Crypto

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
