package import JOSE

/// A key that a trust domain signs WIT-SVIDs with. A type of its own: a key is for one purpose, and what verifies
/// JWT-SVIDs must never be handed one of these.
package struct WITAuthority: Sendable {
    /// Names the key within its trust domain, JWT keys included; never empty.
    package let keyID: String
    /// The key with the one algorithm that it checks: never EdDSA (WIT-SVID §2).
    package let publicKey: JWSVerificationKey
    /// When the key stops being used for signing, if the provider has said so.
    package let expiresAt: UnixTime?
    /// Whether it is to be rotated away from; it still verifies until it leaves the bundle.
    package let isTainted: Bool

    /// The key as SubjectPublicKeyInfo in DER.
    package var derSPKI: [UInt8] { publicKey.derSPKI }

    /// Reads a SubjectPublicKeyInfo; the algorithm is the curve's own, and RS256 for RSA.
    package init(
        keyID: String, derSPKI: [UInt8], expiresAt: UnixTime? = nil, isTainted: Bool = false
    ) throws(BundleError) {
        // The rules for key IDs and algorithms are those of JWT authorities.
        self.init(
            checked: try JWTAuthority(keyID: keyID, derSPKI: derSPKI, expiresAt: expiresAt, isTainted: isTainted))
    }

    init(checked key: JWTAuthority) {
        keyID = key.keyID
        publicKey = key.publicKey
        expiresAt = key.expiresAt
        isTainted = key.isTainted
    }

    /// The key for a JWKS: `kid` and the key's numbers. `alg` only where the key alone would not tell it.
    func jwk(use: String? = nil) -> JWK {
        let full = publicKey.jwk
        let algorithm = publicKey.algorithm.usesRSA && publicKey.algorithm != .rs256 ? publicKey.algorithm : nil
        // The parts come from a valid key, so the check cannot fail; the full form would be right as well.
        return (try? JWK(key: full.key, kid: keyID, algorithm: algorithm, use: use)) ?? full
    }
}

extension WITAuthority: Equatable {
    package static func == (left: WITAuthority, right: WITAuthority) -> Bool {
        left.keyID.hasSameBytes(as: right.keyID) && left.publicKey.algorithm == right.publicKey.algorithm
            && left.derSPKI == right.derSPKI && left.expiresAt == right.expiresAt
            && left.isTainted == right.isTainted
    }
}

extension WITAuthority {
    /// Reads the JWKS of one trust domain as the Workload API sends it: every key that is not for something else.
    ///
    /// Keys of types that WIT-SVIDs cannot have are passed over; one without `kid`, or a `kid` twice, refuses all.
    package static func parse(jwks: [UInt8]) throws(BundleError) -> [WITAuthority] {
        let set: JWKSet
        do {
            set = try JWKSet(parsing: jwks, limits: TrustBundle.jsonLimits)
        } catch {
            throw .key(error)
        }
        var authorities = TokenKeyList()
        for key in set.keys where key.use.map({ $0.hasSameBytes(as: "wit-svid") }) ?? true {
            try authorities.append(key, to: \.wit)
        }
        return authorities.wit.map { WITAuthority(checked: $0) }
    }
}
