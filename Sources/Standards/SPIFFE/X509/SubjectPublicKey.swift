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

    /// Reads a SubjectPublicKeyInfo; no bytes may follow it. `rsaBits` are the sizes of an RSA modulus to accept.
    package init(derSPKI: [UInt8], rsaBits: ClosedRange<Int> = Self.rsaBits) throws(PublicKeyError) {
        let parsed: SubjectPublicKey?
        do throws(DERError) {
            var reader = DERReader(derSPKI)
            let element = try reader.element(DERTag.sequence)
            try reader.finish()
            parsed = try SubjectPublicKey(element)
        } catch {
            throw .malformed(error)
        }
        guard let parsed else { throw .unsupported }
        try parsed.check(rsaBits)
        self = parsed
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
    }

    /// The key as Crypto's type, if it is a P-256 key.
    package var p256: P256.Signing.PublicKey? {
        kind == .p256 ? try? P256.Signing.PublicKey(x963Representation: keyBytes) : nil
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

    /// Structure only, `check` has to follow; `nil` for a kind that is not offered.
    private init?(_ element: DERElement) throws(DERError) {
        var reader = try element.reader()
        var algorithm = try reader.open(DERTag.sequence)
        let keyBytes = Array(try reader.wholeBitString())
        try reader.finish()
        guard let kind = try Self.kind(&algorithm, keyBytes: keyBytes) else { return nil }
        try algorithm.finish()
        self.kind = kind
        self.keyBytes = keyBytes
        derSPKI = Array(element.encoded)
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

    /// Whether the key's numbers make a key: on the curve, within the sizes.
    private func check(_ rsaBits: ClosedRange<Int>) throws(PublicKeyError) {
        switch kind {
        case .p256:
            guard keyBytes.count == 65, (try? P256.Signing.PublicKey(x963Representation: keyBytes)) != nil else {
                throw .invalidKey
            }
        case .p384:
            guard keyBytes.count == 97, (try? P384.Signing.PublicKey(x963Representation: keyBytes)) != nil else {
                throw .invalidKey
            }
        case .p521:
            guard keyBytes.count == 133, (try? P521.Signing.PublicKey(x963Representation: keyBytes)) != nil else {
                throw .invalidKey
            }
        case .ed25519:
            guard keyBytes.count == 32 else { throw .invalidKey }
        case .rsa(let bits):
            guard rsaBits.contains(bits) else { throw .rsaSize(bits) }
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
