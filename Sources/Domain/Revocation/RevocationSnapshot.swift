package import SPIFFE

/// Everything that is revoked in one trust domain at one moment. A value never changes; the next one replaces it.
package struct RevocationSnapshot: Hashable, Sendable {
    package let trustDomain: TrustDomain
    /// Grows with every change of the content, also across restarts of the control plane.
    package let sequence: Int64
    /// When it was signed. The same content may be signed again later.
    package let issuedAt: UnixTime
    /// Good for nothing from then on, except as the least that is revoked.
    package let expiresAt: UnixTime
    package var subjects: Set<RevokedSubject> { revoked.all }
    /// What verifiers ask.
    package let revoked: RevokedSubjects

    /// Most things that are revoked at once.
    package static let maximumSubjects = 4096
    /// Longest list of them, in bytes of JSON.
    package static let maximumPayloadBytes = 512 << 10

    /// Takes a state; refuses one that is too large.
    package init(
        trustDomain: TrustDomain, sequence: Int64, issuedAt: UnixTime, expiresAt: UnixTime,
        subjects: Set<RevokedSubject>
    ) throws(RevocationError) {
        guard sequence >= 0, issuedAt < expiresAt else { throw .malformed("sequence or times") }
        guard subjects.count <= Self.maximumSubjects else { throw .tooLarge }
        self.trustDomain = trustDomain
        self.sequence = sequence
        self.issuedAt = UnixTime(seconds: issuedAt.seconds)
        self.expiresAt = UnixTime(seconds: expiresAt.seconds)
        revoked = RevokedSubjects(subjects, in: trustDomain)
    }
}

/// Why a snapshot is refused or cannot be made.
package enum RevocationError: Error, Equatable, Sendable, CustomStringConvertible {
    /// More subjects or bytes than a snapshot may have.
    case tooLarge
    /// It is not the shape of a snapshot; the text names the part.
    case malformed(String)
    /// The signature does not verify.
    case badSignature
    /// The signer's certificate does not verify.
    case signer(X509VerificationError)
    /// The certificate is genuine and not that of the snapshots' signer.
    case notTheSigner(SPIFFEID)
    /// It is about another trust domain than its signer's.
    case otherTrustDomain
    /// It has ended.
    case expired
    /// It claims to come from the future.
    case notYetValid
    /// An older state than the one that is held.
    case replayed(held: Int64, offered: Int64)

    package var description: String {
        switch self {
        case .tooLarge: "the revocation snapshot is too large"
        case .malformed(let part): "the revocation snapshot is malformed: \(part)"
        case .badSignature: "the signature of the revocation snapshot does not verify"
        case .signer(let error): "the signer of the revocation snapshot does not verify: \(error)"
        case .notTheSigner(let id): "`\(id)` does not sign revocation snapshots"
        case .otherTrustDomain: "the revocation snapshot is about another trust domain"
        case .expired: "the revocation snapshot has ended"
        case .notYetValid: "the revocation snapshot was issued in the future"
        case .replayed(let held, let offered):
            "the revocation snapshot \(offered) is older than \(held), which is held"
        }
    }
}
