/// A text and the signatures under it (C2SP signed-note). Parsing it proves nothing: the text counts only after
/// `verify`.
package struct SignedNote: Sendable, Hashable {
    /// Bounds on what is read.
    package struct Limits: Sendable {
        /// The largest whole note in bytes.
        package var maximumBytes: Int
        /// The largest number of signatures; the standard asks for at least 16.
        package var maximumSignatures: Int

        /// Room for 64 post-quantum signatures by default.
        package init(maximumBytes: Int = 524_288, maximumSignatures: Int = 64) {
            self.maximumBytes = maximumBytes
            self.maximumSignatures = maximumSignatures
        }
    }

    /// The signed text with its last newline, without the blank line after it.
    package let text: [UInt8]

    /// In the order of the note; at least one.
    package private(set) var signatures: [NoteSignature]

    /// Reads a note, in its one spelling only: `serialized` gives the same bytes back.
    package init(parsing bytes: [UInt8], limits: Limits = Limits()) throws(NoteError) {
        guard bytes.count <= limits.maximumBytes else { throw .tooLarge(limit: limits.maximumBytes) }
        guard LogText.isPlain(bytes) else { throw .forbiddenBytes }
        guard let textEnd = Self.endOfText(bytes) else { throw .malformedNote }
        text = Array(bytes[..<textEnd])
        guard let lines = LogText.lines(bytes[(textEnd + 1)...]) else { throw .malformedNote }
        guard lines.count <= limits.maximumSignatures else {
            throw .tooManySignatures(limit: limits.maximumSignatures)
        }
        signatures = []
        for line in lines { signatures.append(try NoteSignature(parsing: line)) }
    }

    /// A note of a text and the first signature over it.
    init(text: [UInt8], signature: NoteSignature) throws(NoteError) {
        guard text.last == LogText.newline, LogText.isPlain(text) else { throw .malformedText }
        self.text = text
        signatures = [signature]
    }

    /// The note with one more signature, unless it has this one already; throws if it would be over the limits.
    package func adding(_ signature: NoteSignature, limits: Limits = Limits()) throws(NoteError) -> SignedNote {
        guard !signatures.contains(signature) else { return self }
        guard signatures.count < limits.maximumSignatures else {
            throw .tooManySignatures(limit: limits.maximumSignatures)
        }
        var note = self
        note.signatures.append(signature)
        guard note.serialized.count <= limits.maximumBytes else { throw .tooLarge(limit: limits.maximumBytes) }
        return note
    }

    /// The note as it is stored and served.
    package var serialized: [UInt8] {
        signatures.reduce(into: text + [LogText.newline]) { bytes, signature in
            bytes.append(contentsOf: signature.line.utf8)
            bytes.append(LogText.newline)
        }
    }

    /// The position after the text's last newline, where the last blank line of the note is.
    private static func endOfText(_ bytes: [UInt8]) -> Int? {
        let newlinePairs = bytes.indices.dropLast().reversed().lazy
        return newlinePairs.first { bytes[$0] == LogText.newline && bytes[$0 + 1] == LogText.newline }.map { $0 + 1 }
    }
}

/// A signature that has been verified.
package struct VerifiedSignature: Sendable {
    /// The key that made it.
    package let verifier: NoteVerifier

    /// The time the cosigner states, in seconds since 1970; nil for a plain signature.
    package let timestamp: Int64?

    fileprivate init(verifier: NoteVerifier, timestamp: Int64?) {
        self.verifier = verifier
        self.timestamp = timestamp
    }
}

extension SignedNote {
    /// Verifies every signature by a known key and returns the names of those keys, each key once.
    ///
    /// Signatures by unknown keys are ignored. One that fails by a known key rejects the note, and so does having none
    /// by a known key.
    package func verify(with verifiers: [NoteVerifier]) throws(NoteError) -> [String] {
        var seen: Set<NoteVerifier> = []
        return try verifiedSignatures(by: verifiers).filter { seen.insert($0.verifier).inserted }.map(\.verifier.name)
    }

    /// Like `verify`, with the keys and the times that cosigners state; a key may have signed more than once.
    package func verifiedSignatures(by verifiers: [NoteVerifier]) throws(NoteError) -> [VerifiedSignature] {
        var verified: [VerifiedSignature] = []
        for signature in signatures {
            let known = Set(verifiers.filter { $0.isNamed(by: signature) })
            guard known.count <= 1 else { throw .ambiguousKey(name: signature.name) }
            guard let verifier = known.first else { continue }
            verified.append(
                VerifiedSignature(verifier: verifier, timestamp: try verifier.verify(signature, over: text)))
        }
        guard !verified.isEmpty else { throw .noKnownSignature }
        return verified
    }
}
