/// One signature of a note: who signed, and bytes that only a verifier of that key understands.
package struct NoteSignature: Sendable {
    /// The longest key name that is accepted, in bytes.
    package static let maximumNameBytes = 1_024

    /// The longest signature that is accepted, in bytes; room for every post-quantum algorithm.
    package static let maximumSignatureBytes = 65_536

    /// The key name, usually a URL without scheme.
    package let name: String

    /// The first four bytes of a hash over name and key; identifies, but authenticates nothing.
    package let keyID: UInt32

    /// The signature without the key ID; never empty.
    package let signature: [UInt8]

    /// Checks the name, and that there are signature bytes but not too many.
    package init(name: String, keyID: UInt32, signature: [UInt8]) throws(NoteError) {
        guard Self.isKeyName(name) else { throw .malformedKeyName }
        guard (1...Self.maximumSignatureBytes).contains(signature.count) else { throw .malformedSignature }
        self.name = name
        self.keyID = keyID
        self.signature = signature
    }

    /// Reads a signature line without its newline, as a note has it and a witness answers with.
    package init(parsing line: some Collection<UInt8>) throws(NoteError) {
        guard LogText.isPlain(line) else { throw .forbiddenBytes }
        let parts = Array(line).split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].elementsEqual("\u{2014}".utf8),
            let payload = Base64.decode(parts[2]), payload.count > 4
        else { throw .malformedSignature }
        let keyID = payload.prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        try self.init(name: LogText.string(parts[1]), keyID: keyID, signature: Array(payload.dropFirst(4)))
    }

    /// The signature line without its newline.
    package var line: String {
        let keyIDBytes = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: keyID >> UInt32($0)) }
        return "\u{2014} \(name) \(Base64.encode(keyIDBytes + signature))"
    }

    /// True for a name that is not empty and has neither Unicode spaces, plus signs nor control characters.
    static func isKeyName(_ name: String) -> Bool {
        guard !name.isEmpty, name.utf8.count <= maximumNameBytes else { return false }
        return name.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0 != "+" && !$0.properties.isWhitespace }
    }
}

extension NoteSignature: Hashable {
    package static func == (left: NoteSignature, right: NoteSignature) -> Bool {
        left.keyID == right.keyID && left.signature == right.signature && LogText.areSame(left.name, right.name)
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(keyID)
        hasher.combine(signature)
    }
}
