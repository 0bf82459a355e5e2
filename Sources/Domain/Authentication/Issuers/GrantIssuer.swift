package import SPIFFE

/// An authorization server whose grants count here: it may say on whose behalf a client of ours acts.
///
/// That is more than a ``TrustedIssuer`` may, which says who a client is; so it is a list of its own.
package struct GrantIssuer: Sendable, Equatable {
    package let issuer: TrustedIssuer
    /// The trust domain whose SPIFFE IDs it may name as subjects; it names no SPIFFE ID without one.
    package let trustDomain: TrustDomain?

    package init(_ issuer: TrustedIssuer, trustDomain: TrustDomain? = nil) {
        self.issuer = issuer
        self.trustDomain = trustDomain
    }
}

/// The authorization servers whose grants count, with their keys.
package struct GrantTrust: Sendable {
    /// Nil where there are none.
    package let keyring: IssuerKeyring?
    private let trustDomains: [String: TrustDomain]

    /// Nobody's grants count.
    package static let none = GrantTrust()

    private init() {
        keyring = nil
        trustDomains = [:]
    }

    /// - Parameters:
    ///   - own: the own trust domain, which nobody else speaks for.
    ///   - keyring: holds the keys of exactly these issuers.
    package init(
        _ issuers: [GrantIssuer], own: TrustDomain,
        keyring: ([TrustedIssuer]) throws(IssuerKeyringError) -> IssuerKeyring
    ) throws(GrantTrustError) {
        var trustDomains: [String: TrustDomain] = [:]
        for issuer in issuers {
            guard let trustDomain = issuer.trustDomain else { continue }
            guard trustDomain != own else { throw .ownTrustDomain(issuer.issuer.issuer) }
            guard !trustDomains.values.contains(trustDomain) else { throw .trustDomainTaken(trustDomain) }
            trustDomains[issuer.issuer.issuer] = trustDomain
        }
        self.trustDomains = trustDomains
        do {
            self.keyring = issuers.isEmpty ? nil : try keyring(issuers.map(\.issuer))
        } catch {
            throw .keyring(error)
        }
    }

    /// The trust domain that an issuer of the list speaks for.
    package func trustDomain(of issuer: TrustedIssuer) -> TrustDomain? { trustDomains[issuer.issuer] }
}

/// Why there is no such list.
package enum GrantTrustError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The issuer would speak for agents of ours.
    case ownTrustDomain(String)
    /// Two issuers would speak for the same names.
    case trustDomainTaken(TrustDomain)
    case keyring(IssuerKeyringError)

    package var description: String {
        switch self {
        case .ownTrustDomain(let issuer): "the issuer `\(issuer)` cannot speak for the own trust domain"
        case .trustDomainTaken(let name): "two issuers speak for the trust domain `\(name.name)`"
        case .keyring(let error): error.description
        }
    }
}
