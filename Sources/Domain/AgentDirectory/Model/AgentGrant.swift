package import OAuth
package import SPIFFE

/// Which agent may get which scopes on which resource, and until when.
package struct AgentGrant: Sendable, Equatable, Identifiable {
    /// A random identifier.
    package let id: String
    package let agentID: String
    package let resourceID: String
    package let scopes: Scope
    /// Whether the agent may also act here for somebody else, by token exchange.
    package let use: Use
    /// Which authorization details (RFC 9396) it covers; none without.
    package let details: [AuthorizationDetailPattern]
    /// Nil for a grant that holds as it is; else it holds for so many seconds after a person has approved it.
    package let activation: Int64?
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

    /// How long an approval may hold, in seconds.
    package static let activations: ClosedRange<Int64> = 10...86_400
    package static let maximumDetails = 16

    package init(
        id: String, agentID: String, resourceID: String, scopes: Scope, use: Use = .own,
        details: [AuthorizationDetailPattern] = [], activation: Int64? = nil, expiresAt: UnixTime? = nil,
        createdAt: UnixTime
    ) {
        self.id = id
        self.agentID = agentID
        self.resourceID = resourceID
        self.scopes = scopes
        self.use = use
        self.details = details
        self.activation = activation
        self.expiresAt = expiresAt
        self.createdAt = createdAt
    }
}
