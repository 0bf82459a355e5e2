import Crypto

extension JWK {
    /// The SHA-256 thumbprint (RFC 7638 §3, RFC 8037 §2), 32 bytes.
    package var thumbprint: [UInt8] {
        [UInt8](SHA256.hash(data: thumbprintInput))
    }

    /// The SHA-256 thumbprint in base64url, as `jkt` and key IDs have it.
    package var thumbprintBase64URL: String {
        Base64URL.encode(thumbprint)
    }

    /// The required members alone, sorted, without white space; none of their values needs an escape.
    private var thumbprintInput: [UInt8] {
        var bytes: [UInt8] = []
        switch key {
        case .p256(let raw): Self.appendCurve("P-256", raw, to: &bytes)
        case .p384(let raw): Self.appendCurve("P-384", raw, to: &bytes)
        case .p521(let raw): Self.appendCurve("P-521", raw, to: &bytes)
        case .rsa(let modulus, let exponent):
            bytes.append(contentsOf: #"{"e":""#.utf8)
            Base64URL.append(exponent, to: &bytes)
            bytes.append(contentsOf: #"","kty":"RSA","n":""#.utf8)
            Base64URL.append(modulus, to: &bytes)
        case .ed25519(let raw):
            bytes.append(contentsOf: #"{"crv":"Ed25519","kty":"OKP","x":""#.utf8)
            Base64URL.append(raw, to: &bytes)
        }
        bytes.append(contentsOf: #""}"#.utf8)
        return bytes
    }

    private static func appendCurve(_ curve: String, _ raw: [UInt8], to bytes: inout [UInt8]) {
        bytes.append(contentsOf: #"{"crv":""#.utf8)
        bytes.append(contentsOf: curve.utf8)
        bytes.append(contentsOf: #"","kty":"EC","x":""#.utf8)
        Base64URL.append(raw.prefix(raw.count / 2), to: &bytes)
        bytes.append(contentsOf: #"","y":""#.utf8)
        Base64URL.append(raw.suffix(raw.count / 2), to: &bytes)
    }
}
