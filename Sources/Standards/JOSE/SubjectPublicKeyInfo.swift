import Crypto
import CryptoExtras

/// SubjectPublicKeyInfo (RFC 5280 §4.1.2.7) of the accepted key types, by their fixed leading bytes.
extension PublicKey {
    // Each array is everything up to the key's own bytes, so that a match fixes type, curve and point form at once.
    private static let p256Prefix: [UInt8] = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48,
        0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
    ]
    private static let p384Prefix: [UInt8] = [
        0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x05, 0x2B, 0x81, 0x04,
        0x00, 0x22, 0x03, 0x62, 0x00, 0x04,
    ]
    private static let p521Prefix: [UInt8] = [
        0x30, 0x81, 0x9B, 0x30, 0x10, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x05, 0x2B, 0x81,
        0x04, 0x00, 0x23, 0x03, 0x81, 0x86, 0x00, 0x04,
    ]
    private static let ed25519Prefix: [UInt8] = [
        0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00,
    ]
    /// rsaEncryption with its NULL, behind a sequence header of four bytes (any key of 2048 bits or more has that).
    private static let rsaAlgorithm: [UInt8] = [
        0x30, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05, 0x00,
    ]
    private static let longestSPKI = 1100

    /// Reads a key from DER; only uncompressed points, named curves, rsaEncryption and Ed25519 are accepted.
    init(derSPKI der: [UInt8]) throws(JWKError) {
        guard der.count <= Self.longestSPKI else { throw .invalidKey }
        if let raw = Self.rest(of: der, after: Self.p256Prefix, count: 64) {
            try self.init(.p256(rawRepresentation: raw))
        } else if let raw = Self.rest(of: der, after: Self.p384Prefix, count: 96) {
            try self.init(.p384(rawRepresentation: raw))
        } else if let raw = Self.rest(of: der, after: Self.p521Prefix, count: 132) {
            try self.init(.p521(rawRepresentation: raw))
        } else if let raw = Self.rest(of: der, after: Self.ed25519Prefix, count: 32) {
            try self.init(.ed25519(rawRepresentation: raw))
        } else if der.first == 0x30, der.dropFirst(4).starts(with: Self.rsaAlgorithm) {
            guard let parsed = try? _RSA.Signing.PublicKey(derRepresentation: der),
                let material = PublicKey.rsa(parsed).material
            else { throw .invalidKey }
            try self.init(material)
            // The library reads a little more than the one DER form; only that form is accepted.
            guard derSPKI == der else { throw .invalidKey }
        } else {
            throw .unsupportedKeyType("SubjectPublicKeyInfo")
        }
    }

    /// The key in DER.
    var derSPKI: [UInt8] {
        switch self {
        case .p256(let key): Self.p256Prefix + key.rawRepresentation
        case .p384(let key): Self.p384Prefix + key.rawRepresentation
        case .p521(let key): Self.p521Prefix + key.rawRepresentation
        case .ed25519(let key): Self.ed25519Prefix + key.rawRepresentation
        case .rsa(let key): [UInt8](key.derRepresentation)
        }
    }

    private static func rest(of der: [UInt8], after prefix: [UInt8], count: Int) -> [UInt8]? {
        guard der.count == prefix.count + count, der.starts(with: prefix) else { return nil }
        return [UInt8](der.suffix(count))
    }
}
