package import Authentication

/// A transmitter of security events that the operator listens to (Shared Signals Framework 1.0).
package struct SignalIssuer: Sendable {
    /// Who signs, and where the keys are.
    package let issuer: TrustedIssuer
    /// What its tokens name as their audience; nil for the URL of the receiver.
    package let audience: String?
    /// Whether it can end every agent, and not only those with a federated credential of it.
    package let reachesAll: Bool

    package init(issuer: TrustedIssuer, audience: String? = nil, reachesAll: Bool = false) {
        self.issuer = issuer
        self.audience = audience
        self.reachesAll = reachesAll
    }
}
