/// A checkpoint whose signature by the log has been made or verified here: there is no other way to have one.
package struct SignedCheckpoint: Sendable {
    /// What the log states.
    package let checkpoint: Checkpoint

    /// The checkpoint with all its signatures, also those by unknown keys.
    package let note: SignedNote

    /// The signatures by witnesses that were known and verified.
    package let cosignatures: [VerifiedSignature]

    private init(checkpoint: Checkpoint, note: SignedNote, cosignatures: [VerifiedSignature]) {
        self.checkpoint = checkpoint
        self.note = note
        self.cosignatures = cosignatures
    }

    /// The bytes to store and serve.
    package var bytes: [UInt8] { note.serialized }

    /// Signs a checkpoint. The caller must never sign two that are inconsistent.
    package static func sign(_ checkpoint: Checkpoint, with signer: NoteSigner) throws(NoteError) -> SignedCheckpoint {
        let note = try signer.note(checkpoint.bodyBytes)
        return SignedCheckpoint(checkpoint: checkpoint, note: note, cosignatures: [])
    }

    /// Reads a checkpoint and verifies the log's signature, its origin and, if asked for, a quorum of witnesses.
    ///
    /// `verifiers` are keys of the log only, one of which must have signed: a witness among them could speak for the
    /// log. Witnesses go into `witnesses`.
    package static func open(
        _ bytes: [UInt8], verifiers: [NoteVerifier], origin: String, witnesses: WitnessQuorum = .none
    ) throws(CheckpointError) -> SignedCheckpoint {
        let note: SignedNote
        do { note = try SignedNote(parsing: bytes) } catch { throw .note(error) }
        return try open(note, verifiers: verifiers, origin: origin, witnesses: witnesses)
    }

    static func open(
        _ note: SignedNote, verifiers: [NoteVerifier], origin: String, witnesses: WitnessQuorum
    ) throws(CheckpointError) -> SignedCheckpoint {
        do { _ = try note.verify(with: verifiers) } catch { throw .note(error) }
        let checkpoint: Checkpoint
        do { checkpoint = try Checkpoint(parsingBody: note.text) } catch { throw .malformed(error) }
        guard LogText.areSame(checkpoint.origin, origin) else { throw .wrongOrigin(checkpoint.origin) }
        return SignedCheckpoint(
            checkpoint: checkpoint, note: note, cosignatures: try witnesses.verifiedCosignatures(of: note))
    }

    /// The checkpoint with the cosignature that a witness answered, after verifying it.
    package func adding(_ signature: NoteSignature, by witness: NoteVerifier) throws(NoteError) -> SignedCheckpoint {
        guard witness.isNamed(by: signature) else { throw .noKnownSignature }
        let added = try SignedNote(text: note.text, signature: signature).verifiedSignatures(by: [witness])
        guard !note.signatures.contains(signature) else { return self }
        return SignedCheckpoint(
            checkpoint: checkpoint, note: try note.adding(signature), cosignatures: cosignatures + added)
    }
}

/// The witnesses that are known, and how many of them must have cosigned a checkpoint.
package struct WitnessQuorum: Sendable {
    /// No witnesses are asked for.
    package static let none = WitnessQuorum(witnesses: [], required: 0)

    /// The keys of the witnesses.
    package let witnesses: [NoteVerifier]

    /// The number of different keys that must have signed.
    package let required: Int

    /// More required than there are witnesses means that nothing is accepted.
    package init(witnesses: [NoteVerifier], required: Int) {
        self.witnesses = witnesses
        self.required = required
    }

    func verifiedCosignatures(of note: SignedNote) throws(CheckpointError) -> [VerifiedSignature] {
        let verified: [VerifiedSignature]
        do {
            verified = try note.verifiedSignatures(by: witnesses)
        } catch .noKnownSignature {
            verified = []
        } catch {
            throw .note(error)
        }
        // One key under two names is one witness.
        let count = Set(verified.map(\.verifier.publicKey)).count
        guard count >= required else { throw .tooFewWitnesses(required: required, found: count) }
        return verified
    }
}

/// Why a checkpoint is not accepted.
package enum CheckpointError: Error, Hashable, Sendable {
    /// The note is malformed, or its signatures do not verify.
    case note(NoteError)
    /// The signed text is not a checkpoint.
    case malformed(Checkpoint.ParseError)
    /// The checkpoint is of another log.
    case wrongOrigin(String)
    /// Fewer witnesses than required have cosigned.
    case tooFewWitnesses(required: Int, found: Int)
}

extension CheckpointError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .note(let error): error.description
        case .malformed(let error): error.description
        case .wrongOrigin(let origin): "the checkpoint is of the log `\(LogText.excerpt(origin.utf8))`"
        case .tooFewWitnesses(let required, let found): "\(found) of \(required) required witnesses have cosigned"
        }
    }
}
