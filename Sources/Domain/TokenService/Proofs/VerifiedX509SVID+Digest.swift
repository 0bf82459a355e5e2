import Crypto
import SPIFFE

extension VerifiedX509SVID {
    /// SHA-256 of the leaf in DER (`x5t#S256`, RFC 8705 §3.1).
    var leafDigest: [UInt8] { [UInt8](SHA256.hash(data: leaf.der)) }
}
