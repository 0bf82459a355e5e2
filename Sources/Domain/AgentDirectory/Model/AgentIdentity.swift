package import SPIFFE

/// One AI agent as the token service knows it: one SPIFFE ID, one client ID, people who answer for it, and the credentials
/// beside its SVIDs that it may show.
package struct AgentIdentity: Sendable, Equatable, Identifiable {
    /// The client ID: a UUID that is never used again, also after the agent is retired.
    package let id: String
    /// Unique among agents that are not retired.
    package var name: AgentName
    /// The identity that its SVIDs carry; unique among agents that are not retired. It never changes.
    package let spiffeID: SPIFFEID
    /// The blueprint's ID; nil for an agent without a template, which only its grants bound.
    package let blueprintID: String?
    /// May change credentials, disable and enable.
    package var owner: Person
    /// Answers for what the agent does, and may approve for it only where policy allows.
    package var sponsor: Person
    package var state: State
    /// From here on it gets no tokens; nil for no end.
    package var expiresAt: UnixTime?
    package let createdAt: UnixTime
    /// At most ``maximumFederatedCredentials``; names are unique, and so are issuer and subject together.
    package var federatedCredentials: [FederatedCredential]
    /// Secrets, keys and certificates registered for it.
    package var clientCredentials: [ClientCredential]

    /// Most federated credentials of one agent.
    package static let maximumFederatedCredentials = 20
    /// Most registered secrets, keys and certificates of one agent.
    package static let maximumClientCredentials = 20

    /// Where the agent is in its life.
    package enum State: String, Sendable, Hashable, CaseIterable {
        case enabled
        /// Gets no tokens, and those that it has are inactive, until it is enabled again.
        case disabled
        /// Over for good; the record stays, so that the log's identifiers can be resolved.
        case retired
    }

    package init(
        id: String, name: AgentName, spiffeID: SPIFFEID, blueprintID: String?, owner: Person, sponsor: Person,
        state: State = .enabled, expiresAt: UnixTime? = nil, createdAt: UnixTime,
        federatedCredentials: [FederatedCredential] = [], clientCredentials: [ClientCredential] = []
    ) {
        self.id = id
        self.name = name
        self.spiffeID = spiffeID
        self.blueprintID = blueprintID
        self.owner = owner
        self.sponsor = sponsor
        self.state = state
        self.expiresAt = expiresAt
        self.createdAt = createdAt
        self.federatedCredentials = federatedCredentials
        self.clientCredentials = clientCredentials
    }
}
