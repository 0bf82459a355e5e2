import Crypto
import CryptoExtras

/// A public key ready for use, of one of the accepted types.
enum PublicKey: Sendable {
    case p256(P256.Signing.PublicKey)
    case p384(P384.Signing.PublicKey)
    case p521(P521.Signing.PublicKey)
    case rsa(_RSA.Signing.PublicKey)
    case ed25519(Curve25519.Signing.PublicKey)

    /// Checks key material: points must lie on their curve, RSA sizes in the allowed range.
    init(_ key: JWK.Key) throws(JWKError) {
        do {
            switch key {
            case .p256(let raw): self = .p256(try P256.Signing.PublicKey(rawRepresentation: raw))
            case .p384(let raw): self = .p384(try P384.Signing.PublicKey(rawRepresentation: raw))
            case .p521(let raw): self = .p521(try P521.Signing.PublicKey(rawRepresentation: raw))
            case .ed25519(let raw): self = .ed25519(try Curve25519.Signing.PublicKey(rawRepresentation: raw))
            case .rsa(let modulus, let exponent):
                try Self.checkRSA(modulus: modulus, exponent: exponent)
                self = .rsa(try _RSA.Signing.PublicKey(n: modulus, e: exponent))
            }
        } catch let error as JWKError {
            throw error
        } catch {
            throw .invalidKey
        }
    }

    /// Refuses padded integers (RFC 7518 §2, Base64urlUInt), even values and refused sizes before any arithmetic.
    private static func checkRSA(modulus: [UInt8], exponent: [UInt8]) throws(JWKError) {
        guard let first = modulus.first, first != 0, let last = modulus.last, last & 1 == 1 else { throw .invalidKey }
        guard let exponentFirst = exponent.first, exponentFirst != 0, let exponentLast = exponent.last,
            exponentLast & 1 == 1, exponent != [1]
        else { throw .invalidKey }
        let bits = modulus.count * 8 - first.leadingZeroBitCount
        guard JWK.allowedRSAModulusBits.contains(bits) else { throw .refusedRSASize(bits: bits) }
    }

    /// Whether signatures by this algorithm can be checked with this type of key.
    func supports(_ algorithm: JWSAlgorithm) -> Bool {
        switch self {
        case .p256: algorithm == .es256
        case .p384: algorithm == .es384
        case .p521: algorithm == .es512
        case .ed25519: algorithm == .eddsa
        case .rsa: algorithm.usesRSA
        }
    }

    /// The only algorithm of a curve's key; for RSA, which has six, RS256.
    var defaultAlgorithm: JWSAlgorithm {
        switch self {
        case .p256: .es256
        case .p384: .es384
        case .p521: .es512
        case .ed25519: .eddsa
        case .rsa: .rs256
        }
    }

    /// The key material in the form of a JWK; nil only if the library cannot tell an RSA key's numbers.
    var material: JWK.Key? {
        switch self {
        case .p256(let key): return .p256(rawRepresentation: [UInt8](key.rawRepresentation))
        case .p384(let key): return .p384(rawRepresentation: [UInt8](key.rawRepresentation))
        case .p521(let key): return .p521(rawRepresentation: [UInt8](key.rawRepresentation))
        case .ed25519(let key): return .ed25519(rawRepresentation: [UInt8](key.rawRepresentation))
        case .rsa(let key):
            guard let numbers = try? key.getKeyPrimitives() else { return nil }
            return .rsa(modulus: [UInt8](numbers.modulus), exponent: [UInt8](numbers.publicExponent))
        }
    }
}
