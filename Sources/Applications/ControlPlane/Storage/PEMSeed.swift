import SPIFFE

/// An Ed25519 private key as PKCS#8 PEM (RFC 8410 §7): the fixed prefix, then the 32-byte seed.
enum PEMSeed {
    private static let label = "PRIVATE KEY"
    private static let prefix: [UInt8] = [
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
    ]

    static func encode(_ seed: [UInt8]) -> [UInt8] {
        Array(PEM.encode(label: label, der: prefix + seed).utf8)
    }

    /// - Throws: when the text is not exactly one such key.
    static func decode(_ text: [UInt8]) throws -> [UInt8] {
        let blocks = try PEM.decodeAll(String(decoding: text, as: UTF8.self), label: label, limit: 1)
        guard let der = blocks.first, der.count == prefix.count + 32, der.starts(with: prefix) else { throw NotASeed() }
        return Array(der.suffix(32))
    }

    struct NotASeed: Error {}
}
