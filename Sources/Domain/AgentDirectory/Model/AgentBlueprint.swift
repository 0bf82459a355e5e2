package import OAuth
package import SPIFFE

/// A template that agents are made from, and the ceiling over everything that they are granted.
///
/// What a blueprint does not allow, no grant gives. It is looked at when a token is asked for: a change of it holds at once
/// for all its agents.
package struct AgentBlueprint: Sendable, Hashable, Identifiable {
    /// Its identifier in tokens and at the token endpoint: a UUID that is never used again.
    package let id: String
    package var name: AgentName
    /// Free text of at most 600 bytes.
    package var description: String
    /// Scopes that agents may be granted, whatever the resource.
    package var allowedScopes: Scope
    /// Identifiers of the resources that agents may get tokens for.
    package var allowedAudiences: [String]
    /// How agents may prove who they are.
    package var credentialKinds: Set<CredentialKind>
    /// Longest life of an access token, in seconds.
    package var maximumTokenLifetime: Int64
    /// Longest actor chain of a token that an agent of this kind asks for.
    package var maximumActorDepth: Int
    /// Answers for agents that name no sponsor of their own.
    package var sponsor: Person
    /// Without, none of its agents gets a token.
    package var isEnabled: Bool
    /// The client ID of the agent that runs its agents: it gets assertions for them at the token endpoint, as a blueprint of
    /// Microsoft Entra does by credentials of its own. Nil for nobody.
    package var operatorID: String?
    package let createdAt: UnixTime

    /// Longest life of any access token, in seconds: an hour.
    package static let longestTokenLifetime: Int64 = 3600

    package init(
        id: String, name: AgentName, description: String = "", allowedScopes: Scope, allowedAudiences: [String],
        credentialKinds: Set<CredentialKind>, maximumTokenLifetime: Int64 = longestTokenLifetime,
        maximumActorDepth: Int = ActorChain.defaultLimit, sponsor: Person, isEnabled: Bool = true,
        operatorID: String? = nil, createdAt: UnixTime
    ) {
        self.id = id
        self.name = name
        self.description = description
        self.allowedScopes = allowedScopes
        self.allowedAudiences = allowedAudiences
        self.credentialKinds = credentialKinds
        self.maximumTokenLifetime = maximumTokenLifetime
        self.maximumActorDepth = maximumActorDepth
        self.sponsor = sponsor
        self.isEnabled = isEnabled
        self.operatorID = operatorID
        self.createdAt = createdAt
    }
}
