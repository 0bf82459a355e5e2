import Crypto

/// A public key that notes are verified with: an Ed25519 key of a log, or of a cosigner such as a witness.
package struct NoteVerifier: Sendable {
    /// The signature types that are understood (signed-note, "Signature types").
    package enum SignatureType: UInt8, Sendable, Hashable {
        /// Ed25519 over the text of the note.
        case ed25519 = 0x01
        /// Timestamped Ed25519 cosignature of a checkpoint, `cosignature/v1` (tlog-cosignature).
        case cosignature = 0x04
    }

    /// The key name.
    package let name: String

    /// The type of the signatures the key makes.
    package let type: SignatureType

    /// The 32 bytes of the Ed25519 public key.
    package let publicKey: [UInt8]

    /// The first four bytes of SHA-256(name || newline || type || public key).
    package let keyID: UInt32

    private let key: Curve25519.Signing.PublicKey

    /// A verifier from its parts: a valid key name and the 32 bytes of the public key.
    package init(name: String, publicKey: [UInt8], type: SignatureType = .ed25519) throws(NoteError) {
        guard NoteSignature.isKeyName(name) else { throw .malformedKeyName }
        guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: publicKey) else {
            throw .malformedVerifierKey
        }
        self.name = name
        self.type = type
        self.publicKey = publicKey
        self.key = key
        keyID = Self.keyID(name: name, typeAndKey: [type.rawValue] + publicKey)
    }

    /// Reads a verifier key, `name+hash+base64`, with the hash in eight lower-case hexadecimal digits.
    package init(vkey: String) throws(NoteError) {
        // Neither name nor hash has a plus sign, but the base64 may.
        let parts = vkey.utf8.split(separator: UInt8(ascii: "+"), maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[2].count <= 64, let typeAndKey = Base64.decode(parts[2]),
            let typeByte = typeAndKey.first, let name = String(parts[0])
        else { throw .malformedVerifierKey }
        guard let type = SignatureType(rawValue: typeByte) else { throw .unsupportedSignatureType(typeByte) }
        try self.init(name: name, publicKey: Array(typeAndKey.dropFirst()), type: type)
        guard parts[1].elementsEqual(Self.hexadecimal(keyID).utf8) else { throw .keyIDMismatch }
    }

    /// The verifier key, `name+hash+base64`, to hand to whoever verifies.
    package var vkey: String {
        "\(name)+\(Self.hexadecimal(keyID))+\(Base64.encode([type.rawValue] + publicKey))"
    }

    /// True if name and key ID of the signature are those of this key.
    func isNamed(by signature: NoteSignature) -> Bool {
        signature.keyID == keyID && LogText.areSame(signature.name, name)
    }

    /// Verifies a signature of this key's type over the text of a note and returns a cosignature's time.
    func verify(_ signature: NoteSignature, over text: [UInt8]) throws(NoteError) -> Int64? {
        switch type {
        case .ed25519:
            guard key.isValidSignature(signature.signature, for: text) else {
                throw .badSignature(name: name)
            }
            return nil
        case .cosignature:
            guard signature.signature.count == 8 + 64,
                let time = Int64(exactly: signature.signature.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }),
                key.isValidSignature(
                    signature.signature.dropFirst(8), for: Cosignature.message(time: time, checkpointBody: text))
            else { throw .badSignature(name: name) }
            return time
        }
    }

    private static func keyID(name: String, typeAndKey: [UInt8]) -> UInt32 {
        var hasher = SHA256()
        hasher.update(data: Array(name.utf8))
        hasher.update(data: [LogText.newline])
        hasher.update(data: typeAndKey)
        return hasher.finalize().prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
    }

    private static func hexadecimal(_ keyID: UInt32) -> String {
        let digits = String(keyID, radix: 16)
        return String(repeating: "0", count: 8 - digits.utf8.count) + digits
    }
}

extension NoteVerifier: Hashable {
    package static func == (left: NoteVerifier, right: NoteVerifier) -> Bool {
        left.type == right.type && left.publicKey == right.publicKey && LogText.areSame(left.name, right.name)
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(type)
        hasher.combine(publicKey)
    }
}

/// What an Ed25519 cosigner signs (tlog-cosignature, "Ed25519 signed message").
enum Cosignature {
    /// Two lines before the checkpoint's body; `time` is in seconds since 1970.
    static func message(time: Int64, checkpointBody: [UInt8]) -> [UInt8] {
        Array("cosignature/v1\ntime \(time)\n".utf8) + checkpointBody
    }
}
