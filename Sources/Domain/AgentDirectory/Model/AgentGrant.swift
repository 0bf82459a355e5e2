package import OAuth
package import SPIFFE

/// Which agent may get which scopes on which resource, and until when.
package struct AgentGrant: Sendable, Hashable, Identifiable {
    /// A random identifier.
    package let id: String
    package let agentID: String
    package let resourceID: String
    package let scopes: Scope
    /// Whether the agent may also act here for somebody else, by token exchange.
    package let use: Use
    /// Nil for a standing grant; the end of one given for a while.
    package let expiresAt: UnixTime?
    package let createdAt: UnixTime

    /// For whom the agent may act.
    package enum Use: String, Sendable, Hashable, CaseIterable {
        /// For itself only.
        case own
        /// For the subject of a token that it received, too.
        case delegated
        /// As the subject, without being named in the token: impersonation (RFC 8693 §1.1).
        case impersonation
    }

    package init(
        id: String, agentID: String, resourceID: String, scopes: Scope, use: Use = .own, expiresAt: UnixTime? = nil,
        createdAt: UnixTime
    ) {
        self.id = id
        self.agentID = agentID
        self.resourceID = resourceID
        self.scopes = scopes
        self.use = use
        self.expiresAt = expiresAt
        self.createdAt = createdAt
    }
}
