import Crypto

extension ParsedCertificate {
    /// SHA-256 of the whole certificate in DER: what tokens name it by (`x5t#S256`, RFC 8705 §3.1), and the log.
    package var sha256: [UInt8] { [UInt8](SHA256.hash(data: der)) }
}
