package import Crypto

/// A private Ed25519 key that signs notes under a name.
package struct NoteSigner: Sendable {
    /// The public half, for those who verify.
    package let verifier: NoteVerifier

    private let privateKey: Curve25519.Signing.PrivateKey

    /// Takes a valid key name: not empty, without white space or plus signs; for a log usually its origin.
    package init(name: String, privateKey: Curve25519.Signing.PrivateKey) throws(NoteError) {
        verifier = try NoteVerifier(name: name, publicKey: Array(privateKey.publicKey.rawRepresentation))
        self.privateKey = privateKey
    }

    /// The key name.
    package var name: String { verifier.name }

    /// The verifier key, `name+hash+base64`.
    package var vkey: String { verifier.vkey }

    /// Signs a plain text that ends in a newline.
    package func sign(_ text: [UInt8]) throws(NoteError) -> NoteSignature {
        guard text.last == LogText.newline, LogText.isPlain(text) else { throw .malformedText }
        guard let signature = try? privateKey.signature(for: text) else { throw .signingFailed }
        return try NoteSignature(name: name, keyID: verifier.keyID, signature: Array(signature))
    }

    /// Signs a text and makes the note of both.
    package func note(_ text: [UInt8]) throws(NoteError) -> SignedNote {
        try SignedNote(text: text, signature: try sign(text))
    }
}
