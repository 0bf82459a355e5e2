package import JOSE

/// A key that a trust domain signs JWT-SVIDs with.
package struct JWTAuthority: Sendable {
    /// Names the key within its trust domain; never empty.
    package let keyID: String
    /// The key with the one algorithm that it checks: never EdDSA (JWT-SVID §2.1).
    package let publicKey: JWSVerificationKey
    /// When the key stops being used for signing, if the provider has said so.
    package let expiresAt: UnixTime?
    /// Whether it is to be rotated away from; it still verifies until it leaves the bundle.
    package let isTainted: Bool

    /// The key as SubjectPublicKeyInfo in DER.
    package var derSPKI: [UInt8] { publicKey.derSPKI }

    /// Reads a SubjectPublicKeyInfo. Without `algorithm` it is the curve's own, and RS256 for RSA.
    package init(
        keyID: String, derSPKI: [UInt8], algorithm: JWSAlgorithm? = nil, expiresAt: UnixTime? = nil,
        isTainted: Bool = false
    ) throws(BundleError) {
        let key: JWSVerificationKey
        do {
            key = try JWSVerificationKey(derSPKI: derSPKI, keyID: keyID, algorithm: algorithm)
        } catch {
            throw .key(error)
        }
        try self.init(keyID: keyID, publicKey: key, expiresAt: expiresAt, isTainted: isTainted)
    }

    /// An authority of a ready key; refuses an empty or overlong key ID and algorithms that JWT-SVIDs may not have.
    package init(
        keyID: String, publicKey: JWSVerificationKey, expiresAt: UnixTime? = nil, isTainted: Bool = false
    ) throws(BundleError) {
        guard !keyID.isEmpty, keyID.utf8.count <= Self.maximumKeyIDLength else { throw .badKeyID }
        guard JWTSVID.allows(publicKey.algorithm) else { throw .algorithmNotAllowed }
        self.keyID = keyID
        self.publicKey = publicKey
        self.expiresAt = expiresAt
        self.isTainted = isTainted
    }

    /// Longest key ID, in bytes.
    package static let maximumKeyIDLength = 1024

    /// The key for a plain JWKS: `kid` and the key's numbers. `alg` only where the key alone would not tell it.
    func jwk(use: String? = nil) -> JWK {
        let full = publicKey.jwk
        let algorithm = publicKey.algorithm.usesRSA && publicKey.algorithm != .rs256 ? publicKey.algorithm : nil
        // The parts come from a valid key, so the check cannot fail; the full form would be right as well.
        return (try? JWK(key: full.key, kid: keyID, algorithm: algorithm, use: use)) ?? full
    }
}

extension JWTAuthority: Equatable {
    package static func == (left: JWTAuthority, right: JWTAuthority) -> Bool {
        left.keyID.hasSameBytes(as: right.keyID) && left.publicKey.algorithm == right.publicKey.algorithm
            && left.derSPKI == right.derSPKI && left.expiresAt == right.expiresAt
            && left.isTainted == right.isTainted
    }
}

extension JWTAuthority {
    /// Reads the JWKS of one trust domain as the Workload API sends it: every key that is not for something else.
    ///
    /// Keys of types that JWT-SVIDs cannot have are passed over; one without `kid`, or a `kid` twice, refuses all.
    package static func parse(jwks: [UInt8]) throws(BundleError) -> [JWTAuthority] {
        let set: JWKSet
        do {
            set = try JWKSet(parsing: jwks, limits: TrustBundle.jsonLimits)
        } catch {
            throw .key(error)
        }
        var authorities = TokenKeyList()
        for key in set.keys where key.use.map({ $0.hasSameBytes(as: "jwt-svid") }) ?? true {
            try authorities.append(key, to: \.jwt)
        }
        return authorities.jwt
    }
}

/// Collects the keys for tokens and sees to it that no key ID occurs twice, whatever the keys are for (WIT-SVID §6).
struct TokenKeyList {
    var jwt: [JWTAuthority] = []
    var wit: [JWTAuthority] = []
    private var keyIDs: Set<[UInt8]> = []

    mutating func append(
        _ key: JWK, to list: WritableKeyPath<TokenKeyList, [JWTAuthority]>
    ) throws(BundleError) {
        guard let keyID = key.kid, !keyID.isEmpty else { throw .missingKeyID }
        if case .ed25519 = key.key { return }
        guard self[keyPath: list].count < TrustBundle.maximumKeys else { throw .tooManyKeys }
        guard keyIDs.insert(Array(keyID.utf8)).inserted else { throw .duplicateKeyID(keyID) }
        let publicKey: JWSVerificationKey
        do {
            publicKey = try JWSVerificationKey(jwk: key)
        } catch {
            throw .key(error)
        }
        self[keyPath: list].append(try JWTAuthority(keyID: keyID, publicKey: publicKey))
    }
}
