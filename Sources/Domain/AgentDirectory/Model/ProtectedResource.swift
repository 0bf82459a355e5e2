package import OAuth
package import SPIFFE

/// Something that agents get tokens for: another agent or an API, named by its audience.
package struct ProtectedResource: Sendable, Hashable, Identifiable {
    /// The audience: an absolute URI such as `api://agent-b`.
    package let id: String
    package var description: String
    /// The scopes that exist here, in the order in which they were named.
    package var scopes: Scope
    package var profile: Profile
    /// Life of its access tokens, in seconds.
    package var tokenLifetime: Int64
    package var binding: Binding
    /// The agent behind it: it may introspect tokens for it, and may exchange them for tokens of its own calls.
    package var agentID: String?
    /// What has to be approved here by a person; nil for nothing.
    package var approval: ApprovalRules?
    package let createdAt: UnixTime

    /// What its access tokens look like.
    package enum Profile: String, Sendable, Hashable, CaseIterable {
        /// RFC 9068, ES256, issued by `/oauth2`.
        case standard
        /// As Microsoft Entra issues them, RS256, issued by `/{tenant}/v2.0`.
        case entra
        /// Another authorization server, whose issuer identifier is the resource's: no access tokens, but grants that are
        /// redeemed there.
        case authorizationServer = "authorization-server"
    }

    /// Whether its tokens must be bound to a key or certificate of the client.
    package enum Binding: String, Sendable, Hashable, CaseIterable {
        /// Bound whenever the client shows a key, else a bearer token, which the audit log marks.
        case preferred
        /// No token without.
        case required
    }

    /// Life of a token when nobody says otherwise: ten minutes, because stock clients renew five minutes before the end.
    package static let defaultTokenLifetime: Int64 = 600

    package init(
        id: String, description: String = "", scopes: Scope, profile: Profile = .standard,
        tokenLifetime: Int64 = defaultTokenLifetime, binding: Binding = .preferred, agentID: String? = nil,
        approval: ApprovalRules? = nil, createdAt: UnixTime
    ) {
        self.id = id
        self.description = description
        self.scopes = scopes
        self.profile = profile
        self.tokenLifetime = tokenLifetime
        self.binding = binding
        self.agentID = agentID
        self.approval = approval
        self.createdAt = createdAt
    }
}
