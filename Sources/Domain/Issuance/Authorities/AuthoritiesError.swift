package import AuditTrail
package import Registry
package import SPIFFE

/// Why the authorities could not be opened or moved on.
package enum AuthoritiesError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The audit log did not take the intent or the outcome.
    case audit(AuditError)
    /// The key store failed.
    case keys(KeyStoreError)
    /// The store of the records failed; the change may or may not be stored.
    case store(StoreError)
    /// What is stored about this authority contradicts itself.
    case damaged(id: String)
    /// No certificate can be made with the configured lifetime.
    case certificate(CertificateTemplateError)
    /// The cryptographic library could not sign.
    case signingFailed
    /// The authority above signs nothing.
    case upstream(UpstreamError)
    /// A certificate that somebody wants in the bundle cannot sign SVIDs of this trust domain, or has ended.
    case notAnAuthority
    /// A key, or a key ID, for tokens of one kind is there already for tokens of another kind.
    case keyForTwoPurposes
    /// There is already as much as a bundle holds.
    case bundleFull
    /// An administrator's act that this authority's state does not allow.
    case refused(AuthorityRefusal)

    /// The reason in words.
    package var description: String {
        switch self {
        case .audit(let error): "the act was not recorded: \(error)"
        case .keys(let error): error.description
        case .store(let error): "authorities: \(error)"
        case .damaged(let id): "the stored authority `\(id)` is damaged: restore the data directory from a backup"
        case .certificate(let error): "the authority's certificate cannot be made: \(error)"
        case .signingFailed: "signing failed"
        case .upstream(let error): error.description
        case .notAnAuthority: "the certificate is not an authority of this trust domain"
        case .keyForTwoPurposes: "a key and its ID are for tokens of one kind"
        case .bundleFull: "the bundle is full"
        case .refused(let refusal): refusal.description
        }
    }
}
