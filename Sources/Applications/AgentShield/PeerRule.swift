import PeerTLS
public import SPIFFE

/// Which agents may be the other end: servers that a client talks to, or callers that a server listens to.
///
/// Whoever it is has to prove its SPIFFE ID first; the rule then says whether that ID is welcome.
public struct PeerRule: Sendable, Hashable {
    private enum Kind: Hashable {
        case anyVerified
        case members(Set<TrustDomain>)
        case ids(Set<SPIFFEID>)
    }

    private let kind: Kind

    /// Every agent of every trust domain whose bundle the Workload API hands out.
    public static let anyVerified = PeerRule(kind: .anyVerified)

    /// Every agent of one trust domain.
    public static func trustDomain(_ trustDomain: TrustDomain) -> PeerRule {
        PeerRule(kind: .members([trustDomain]))
    }

    /// Every agent of these trust domains.
    public static func trustDomains(_ trustDomains: Set<TrustDomain>) -> PeerRule {
        PeerRule(kind: .members(trustDomains))
    }

    /// These agents and nobody else.
    public static func ids(_ ids: Set<SPIFFEID>) -> PeerRule {
        PeerRule(kind: .ids(ids))
    }

    /// Whether the rule welcomes an agent that has proved this ID.
    public func allows(_ id: SPIFFEID) -> Bool {
        switch kind {
        case .anyVerified: true
        case .members(let trustDomains): trustDomains.contains(id.trustDomain)
        case .ids(let ids): ids.contains(id)
        }
    }

    /// The rule for the handshake.
    var authorizer: PeerAuthorizer { PeerAuthorizer { self.allows($0) } }

    /// Whether an allowed agent can be of this trust domain.
    func concerns(_ trustDomain: TrustDomain) -> Bool {
        switch kind {
        case .anyVerified: true
        case .members(let trustDomains): trustDomains.contains(trustDomain)
        case .ids(let ids): ids.contains { $0.trustDomain == trustDomain }
        }
    }
}
