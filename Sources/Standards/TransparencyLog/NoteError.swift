/// Why a note, a signature line, a key or a key name was refused.
package enum NoteError: Error, Hashable, Sendable {
    /// The note is larger than the limit.
    case tooLarge(limit: Int)
    /// The note has more signatures than the limit.
    case tooManySignatures(limit: Int)
    /// The note is not UTF-8, or has a control character other than newline.
    case forbiddenBytes
    /// The note is not a text ending in newline, a blank line, and signature lines.
    case malformedNote
    /// A signature line is not an em dash, a key name and base64 of a key ID and a signature.
    case malformedSignature
    /// The text to sign does not end in newline, is not UTF-8, or has control characters.
    case malformedText
    /// A key name is empty, too long, or has white space or a plus sign.
    case malformedKeyName
    /// A verifier key is not `name+hash+base64`.
    case malformedVerifierKey
    /// The hash in a verifier key is not that of its name and key.
    case keyIDMismatch
    /// The verifier key is of a signature type other than Ed25519 and Ed25519 cosignatures.
    case unsupportedSignatureType(UInt8)
    /// Two known keys share a name and a key ID.
    case ambiguousKey(name: String)
    /// A signature by a known key does not verify.
    case badSignature(name: String)
    /// No signature is by a known key.
    case noKnownSignature
    /// Signing failed in the cryptographic library.
    case signingFailed
}

extension NoteError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .tooLarge(let limit): "the note is over \(limit) bytes"
        case .tooManySignatures(let limit): "the note has more than \(limit) signatures"
        case .forbiddenBytes: "the note is not plain UTF-8 text"
        case .malformedNote: "the note is not a text, a blank line and signature lines"
        case .malformedSignature: "a signature line is malformed"
        case .malformedText: "the text to sign is not plain text that ends in a newline"
        case .malformedKeyName: "a key name is empty, too long, or has white space or a plus sign"
        case .malformedVerifierKey: "the verifier key is not `name+hash+base64`"
        case .keyIDMismatch: "the hash in the verifier key is not that of its name and key"
        case .unsupportedSignatureType(let type): "signature type \(type) is not supported"
        case .ambiguousKey(let name): "two known keys have the name and key ID of `\(LogText.excerpt(name.utf8))`"
        case .badSignature(let name): "the signature by `\(LogText.excerpt(name.utf8))` does not verify"
        case .noKnownSignature: "no signature is by a known key"
        case .signingFailed: "signing failed"
        }
    }
}
