import JOSE

extension SubjectPublicKey {
    /// The key's RFC 7638 thumbprint in base64url, the same as of its JWK; `nil` for a key that no JWK of ours can have, an
    /// RSA key beyond 4096 bits.
    package var thumbprint: String? {
        (try? JWSVerificationKey(derSPKI: derSPKI, keyID: nil))?.jwk.thumbprintBase64URL
    }
}
