package import SPIFFE
package import WIMSE

/// How a workload proves that a message is its own.
package enum WorkloadProofKind: Sendable, Hashable {
    /// By a signature over the message (draft-ietf-wimse-http-signature).
    case signature
    /// By a token for the receiver (draft-ietf-wimse-wpt), which says nothing about method, target and body.
    case proofToken
}

/// Why nobody is believed to have sent a message.
package enum WorkloadMessageRefusal: Error, Sendable, Equatable, CustomStringConvertible {
    /// No proof of a kind that is taken here.
    case noProof
    /// A proof token and a signature: which one counts, two readers could see differently.
    case severalProofs
    case noIdentityToken
    /// The identity token is there more than once.
    case repeatedIdentityToken
    case identity(WITSVIDError)
    /// The keys of identity tokens have not come yet, so nobody can tell.
    case keysUnavailable
    case revoked
    /// Nothing recent is known of revocations, so nobody can tell.
    case revocationsUnknown
    case signature(WorkloadSignatureError)
    case proofToken(WorkloadProofError)
    /// The proof was used before.
    case replayed(WorkloadProofKind)
    /// No more proofs of this sender can be remembered.
    case tooManyProofs

    /// What a server tells the sender of a request.
    package enum Answer: Sendable, Hashable {
        /// 400: an identity token or a signature that is not good (creds-02, http-signature-07).
        case badRequest
        /// 401, with a challenge: no proof, or a proof token that is not good (wpt-02).
        case unauthorized
        /// 503: nobody can tell now.
        case unavailable
    }

    package var answer: Answer {
        switch self {
        case .noIdentityToken, .severalProofs, .repeatedIdentityToken, .identity, .revoked, .signature,
            .proofToken(.repeatedField), .replayed(.signature):
            .badRequest
        case .noProof, .proofToken, .replayed(.proofToken): .unauthorized
        case .keysUnavailable, .revocationsUnknown, .tooManyProofs: .unavailable
        }
    }

    package var description: String {
        switch self {
        case .noProof: "the message has no proof of a kind that is taken"
        case .severalProofs: "the message has a proof token and a signature"
        case .noIdentityToken: "the message has no `\(WorkloadField.identityToken)`"
        case .repeatedIdentityToken: "`\(WorkloadField.identityToken)` is there more than once"
        case .identity(let error): error.description
        case .keysUnavailable: "the keys of identity tokens have not come yet"
        case .revoked: "the identity token is revoked"
        case .revocationsUnknown: "nothing recent is known of revocations"
        case .signature(let error): error.description
        case .proofToken(let error): error.description
        case .replayed: "the proof was used before"
        case .tooManyProofs: "no more proofs can be remembered"
        }
    }
}
