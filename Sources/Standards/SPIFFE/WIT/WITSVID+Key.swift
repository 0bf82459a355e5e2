package import Crypto
import JOSE

extension WITSVID {
    /// A private key in the form of the Workload API: a JWK with `d` and `alg` (WIT-SVID profile). A secret.
    package static func privateJWK(_ key: P256.Signing.PrivateKey) -> String {
        let publicKey = JWSVerificationKey(p256: key.publicKey, keyID: nil)
        var jwk = publicKey.jwk.json()
        jwk["d"] = .string(Base64URL.encode([UInt8](key.rawRepresentation)))
        return String(decoding: jwk.serializedBytes, as: UTF8.self)
    }

    /// Reads such a key; nil unless it is a P-256 key whose two halves belong together.
    package static func privateKey(jwk text: String) -> P256.Signing.PrivateKey? {
        guard let json = try? JSONValue(parsing: Array(text.utf8)).objectValue, let jwk = try? JWK(json: json),
            let encoded = json["d"]?.stringValue, let bytes = try? Base64URL.decode(encoded),
            let key = try? P256.Signing.PrivateKey(rawRepresentation: bytes),
            case .p256(let point) = jwk.key, point == [UInt8](key.publicKey.rawRepresentation)
        else { return nil }
        return key
    }
}
