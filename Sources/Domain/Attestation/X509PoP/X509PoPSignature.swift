import Crypto
import SPIFFE

/// Signatures over SHA-256 of the control plane's nonce and the node's, in this order.
enum X509PoPSignature {
    /// What is signed.
    static func digest(_ challenge: [UInt8], _ response: [UInt8]) -> SHA256.Digest {
        var hash = SHA256()
        hash.update(data: challenge)
        hash.update(data: response)
        return hash.finalize()
    }

    /// Whether the response is the key's signature over this challenge. `false` also for another kind of key.
    static func isValid(_ response: X509PoPResponse, challenge: X509PoPChallenge, key: SubjectPublicKey) -> Bool {
        // Nonces of another length would let parts of one stand in for the other.
        guard challenge.nonce.count == X509PoPAttestation.nonceLength,
            response.nonce.count == X509PoPAttestation.nonceLength
        else { return false }
        let digest = digest(challenge.nonce, response.nonce)
        switch response.signature {
        case .rsa(let signature):
            return RSAVerification(key)?.isValidPSS(signature, digest: digest) ?? false
        case .ecdsa(let r, let s):
            return isValid(r, s, digest, key)
        }
    }

    private static func isValid(_ r: [UInt8], _ s: [UInt8], _ digest: SHA256.Digest, _ key: SubjectPublicKey) -> Bool {
        switch key.kind {
        case .p256:
            guard let raw = raw(r, s, size: 32),
                let key = try? P256.Signing.PublicKey(x963Representation: key.keyBytes),
                let signature = try? P256.Signing.ECDSASignature(rawRepresentation: raw)
            else { return false }
            return key.isValidSignature(signature, for: digest)
        case .p384:
            guard let raw = raw(r, s, size: 48),
                let key = try? P384.Signing.PublicKey(x963Representation: key.keyBytes),
                let signature = try? P384.Signing.ECDSASignature(rawRepresentation: raw)
            else { return false }
            return key.isValidSignature(signature, for: digest)
        case .p521:
            guard let raw = raw(r, s, size: 66),
                let key = try? P521.Signing.PublicKey(x963Representation: key.keyBytes),
                let signature = try? P521.Signing.ECDSASignature(rawRepresentation: raw)
            else { return false }
            return key.isValidSignature(signature, for: digest)
        case .ed25519, .rsa:
            return false
        }
    }

    /// Both numbers at full width; `nil` if one is too long.
    private static func raw(_ r: [UInt8], _ s: [UInt8], size: Int) -> [UInt8]? {
        var raw: [UInt8] = []
        for number in [r, s] {
            let number = Array(number.drop { $0 == 0 })
            guard number.count <= size else { return nil }
            raw += [UInt8](repeating: 0, count: size - number.count) + number
        }
        return raw
    }
}
