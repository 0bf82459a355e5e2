/// An OBJECT IDENTIFIER, kept as its DER content.
package struct ObjectIdentifierBytes: Hashable, Sendable, CustomStringConvertible {
    /// The content bytes, without tag and length.
    package let content: [UInt8]

    /// Longest identifier that is read, in bytes.
    package static let maximumLength = 64

    /// Checks the content: arcs in their shortest form and none cut off.
    package init(content: some Collection<UInt8>) throws(DERError) {
        guard !content.isEmpty, content.count <= Self.maximumLength else { throw .badValue }
        var startsArc = true
        for byte in content {
            guard !(startsArc && byte == 0x80) else { throw .badValue }
            startsArc = byte < 0x80
        }
        guard startsArc else { throw .badValue }
        self.content = Array(content)
    }

    /// INVARIANT: only for constants of this target.
    init(_ content: [UInt8]) {
        self.content = content
    }

    /// The dotted form; an arc over 63 bits is shown as `?`.
    package var description: String {
        var arcs: [String] = []
        var value: UInt64 = 0
        var overflow = false
        for byte in content {
            overflow = overflow || value >> 56 != 0
            value = value << 7 | UInt64(byte & 0x7f)
            guard byte < 0x80 else { continue }
            if arcs.isEmpty, !overflow {
                let first = min(value / 40, 2)
                arcs = ["\(first)", "\(value - first * 40)"]
            } else {
                arcs.append(overflow ? "?" : "\(value)")
            }
            value = 0
            overflow = false
        }
        return arcs.joined(separator: ".")
    }
}

extension ObjectIdentifierBytes {
    static let ecPublicKey = Self([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01])
    static let p256 = Self([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07])
    static let p384 = Self([0x2b, 0x81, 0x04, 0x00, 0x22])
    static let p521 = Self([0x2b, 0x81, 0x04, 0x00, 0x23])
    static let ed25519 = Self([0x2b, 0x65, 0x70])
    static let rsaEncryption = Self([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01])
    static let mgf1 = Self([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08])
    static let rsaPSS = Self([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a])
    static let sha256WithRSA = Self([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b])
    static let sha384WithRSA = Self([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c])
    static let sha512WithRSA = Self([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d])
    static let ecdsaWithSHA256 = Self([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02])
    static let ecdsaWithSHA384 = Self([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03])
    static let ecdsaWithSHA512 = Self([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04])
    static let sha256 = Self([0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01])
    static let sha384 = Self([0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02])
    static let sha512 = Self([0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03])
    static let extensionRequest = Self([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e])
    static let commonName = Self([0x55, 0x04, 0x03])
    static let subjectKeyIdentifier = Self([0x55, 0x1d, 0x0e])
    static let keyUsage = Self([0x55, 0x1d, 0x0f])
    static let subjectAlternativeName = Self([0x55, 0x1d, 0x11])
    static let basicConstraints = Self([0x55, 0x1d, 0x13])
    static let nameConstraints = Self([0x55, 0x1d, 0x1e])
    static let authorityKeyIdentifier = Self([0x55, 0x1d, 0x23])
    static let crlNumber = Self([0x55, 0x1d, 0x14])
    static let extendedKeyUsage = Self([0x55, 0x1d, 0x25])
    static let anyExtendedKeyUsage = Self([0x55, 0x1d, 0x25, 0x00])
    static let serverAuth = Self([0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01])
    static let clientAuth = Self([0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02])
}
