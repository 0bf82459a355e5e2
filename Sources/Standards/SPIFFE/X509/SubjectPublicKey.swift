package import Crypto

/// A public key as certificates carry it: a checked SubjectPublicKeyInfo (RFC 5280 §4.1.2.7).
///
/// Offered are P-256, P-384 and P-521 (uncompressed points on the curve), RSA of 2048 to 4096 bits and Ed25519.
package struct SubjectPublicKey: Hashable, Sendable, CustomStringConvertible {
    /// What sort of key it is.
    package enum Kind: Hashable, Sendable {
        case p256, p384, p521, ed25519
        case rsa(bits: Int)
    }

    /// The whole SubjectPublicKeyInfo in DER.
    package let derSPKI: [UInt8]
    /// What sort of key it is.
    package let kind: Kind
    /// The content of the BIT STRING: the point, the RSAPublicKey or the Ed25519 key.
    package let keyBytes: [UInt8]
    /// The key ready for use: taking a point apart and checking it costs a tenth of a verification.
    let material: Material

    /// A checked key; RSA keys, which are rare, are made ready when they are used.
    enum Material: Sendable {
        case p256(P256.Signing.PublicKey)
        case p384(P384.Signing.PublicKey)
        case p521(P521.Signing.PublicKey)
        case ed25519(Curve25519.Signing.PublicKey)
        case rsa
    }

    /// Reads a SubjectPublicKeyInfo; no bytes may follow it. `rsaBits` are the sizes of an RSA modulus to accept.
    package init(derSPKI: [UInt8], rsaBits: ClosedRange<Int> = Self.rsaBits) throws(PublicKeyError) {
        let parts: (kind: Kind, keyBytes: [UInt8])?
        do throws(DERError) {
            parts = try Self.takeApart(derSPKI)
        } catch {
            throw .malformed(error)
        }
        guard let parts else { throw .unsupported }
        material = try Self.material(parts.kind, parts.keyBytes, rsaBits)
        kind = parts.kind
        keyBytes = parts.keyBytes
        self.derSPKI = derSPKI
    }

    /// The form of a P-256 key.
    package init(_ key: P256.Signing.PublicKey) {
        let point = [UInt8](key.x963Representation)
        var writer = DERWriter(capacity: 96)
        writer.raw(Self.p256Prefix)
        writer.raw(point)
        derSPKI = writer.bytes
        kind = .p256
        keyBytes = point
        material = .p256(key)
    }

    /// The key as Crypto's type, if it is a P-256 key.
    package var p256: P256.Signing.PublicKey? {
        if case .p256(let key) = material { key } else { nil }
    }

    /// SHA-1 over the BIT STRING's content (RFC 5280 §4.2.1.2, method 1): a name for the key, not a proof of anything.
    package var subjectKeyIdentifier: [UInt8] { Array(Insecure.SHA1.hash(data: keyBytes)) }

    /// Kind and key identifier.
    package var description: String {
        "\(kind) \(subjectKeyIdentifier.prefix(4).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined())"
    }

    package static func == (left: SubjectPublicKey, right: SubjectPublicKey) -> Bool { left.derSPKI == right.derSPKI }

    package func hash(into hasher: inout Hasher) { hasher.combine(derSPKI) }

    /// Smallest and largest RSA modulus, in bits. The upper bound keeps verification cheap for whoever sends the key.
    package static let rsaBits = 2048...4096

    private static let p256Prefix: [UInt8] = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
        0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ]

    /// Structure only; `nil` for a kind that is not offered.
    private static func takeApart(_ derSPKI: [UInt8]) throws(DERError) -> (kind: Kind, keyBytes: [UInt8])? {
        var outer = DERReader(derSPKI)
        var reader = try outer.open(DERTag.sequence)
        try outer.finish()
        var algorithm = try reader.open(DERTag.sequence)
        let keyBytes = Array(try reader.wholeBitString())
        try reader.finish()
        guard let kind = try kind(&algorithm, keyBytes: keyBytes) else { return nil }
        try algorithm.finish()
        return (kind, keyBytes)
    }

    private static func kind(_ algorithm: inout DERReader, keyBytes: [UInt8]) throws(DERError) -> Kind? {
        switch try algorithm.objectIdentifier() {
        case .ecPublicKey:
            switch try algorithm.objectIdentifier() {
            case .p256: return .p256
            case .p384: return .p384
            case .p521: return .p521
            default: return nil
            }
        case .ed25519:
            return .ed25519
        case .rsaEncryption:
            guard try algorithm.element(DERTag.null).content.isEmpty else { throw .badValue }
            return .rsa(bits: try modulusBits(keyBytes))
        default:
            return nil
        }
    }

    /// The key, if its numbers make one: on the curve, within the sizes.
    private static func material(
        _ kind: Kind, _ keyBytes: [UInt8], _ rsaBits: ClosedRange<Int>
    ) throws(PublicKeyError) -> Material {
        do {
            switch kind {
            case .p256 where keyBytes.count == 65:
                return .p256(try P256.Signing.PublicKey(x963Representation: keyBytes))
            case .p384 where keyBytes.count == 97:
                return .p384(try P384.Signing.PublicKey(x963Representation: keyBytes))
            case .p521 where keyBytes.count == 133:
                return .p521(try P521.Signing.PublicKey(x963Representation: keyBytes))
            case .ed25519 where keyBytes.count == 32:
                return .ed25519(try Curve25519.Signing.PublicKey(rawRepresentation: keyBytes))
            case .rsa(let bits):
                guard rsaBits.contains(bits) else { throw PublicKeyError.rsaSize(bits) }
                return .rsa
            default:
                throw PublicKeyError.invalidKey
            }
        } catch let error as PublicKeyError {
            throw error
        } catch {
            throw .invalidKey
        }
    }

    private static func modulusBits(_ keyBytes: [UInt8]) throws(DERError) -> Int {
        var reader = DERReader(keyBytes)
        var key = try reader.open(DERTag.sequence)
        try reader.finish()
        let modulus = try key.integer()
        let exponent = try key.integer()
        try key.finish()
        guard let sign = modulus.first, sign < 0x80, let last = modulus.last, last & 1 == 1 else { throw .badValue }
        // An exponent of up to 31 bits, odd and more than 1, as Go and BoringSSL ask for: bounds the cost of a check.
        guard exponent.count <= 4, let top = exponent.first, top < 0x80, let low = exponent.last, low & 1 == 1,
            exponent.count > 1 || low > 1
        else { throw .badValue }
        let significant = modulus.drop { $0 == 0 }
        return significant.count * 8 - (significant.first?.leadingZeroBitCount ?? 0)
    }
}

/// Why a public key was refused.
package enum PublicKeyError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The bytes are not a SubjectPublicKeyInfo.
    case malformed(DERError)
    /// A kind of key that is not offered.
    case unsupported
    /// An RSA modulus outside the accepted sizes, which are 2048 to 4096 bits where nothing else is said.
    case rsaSize(Int)
    /// A point off its curve or a key of the wrong length.
    case invalidKey

    package var description: String {
        switch self {
        case .malformed(let error): "the public key is malformed: \(error)"
        case .unsupported: "this kind of public key is not offered"
        case .rsaSize(let bits): "an RSA key of \(bits) bits is not accepted"
        case .invalidKey: "the public key is not a valid key of its kind"
        }
    }
}
