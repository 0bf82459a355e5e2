package import OAuth
package import SPIFFE

/// May this agent have a token for this resource, now? Everything that the answer rests on, as typed settings.
///
/// INVARIANT: a fact about the world enters only through here, so that equal questions get equal answers.
package struct PolicyQuestion: Sendable, Equatable {
    package var agent: AgentFacts
    package var action: TokenAction
    /// Nil for a name that no resource has.
    package var resource: ResourceFacts?
    /// What the agent is granted, on whatever resource.
    package var grants: [GrantFacts]
    /// How the agent proved who it is, as the blueprint names it.
    package var credentialKind: String
    /// Whether the token will be bound to a key or certificate of the client.
    package var isBound: Bool
    package var time: UnixTime

    package init(
        agent: AgentFacts, action: TokenAction, resource: ResourceFacts?, grants: [GrantFacts],
        credentialKind: String, isBound: Bool, time: UnixTime
    ) {
        self.agent = agent
        self.action = action
        self.resource = resource
        self.grants = grants
        self.credentialKind = credentialKind
        self.isBound = isBound
        self.time = time
    }
}

/// The agent that asks.
package struct AgentFacts: Sendable, Hashable {
    package var id: String
    package var isEnabled: Bool
    package var isRevoked: Bool
    package var expiresAt: UnixTime?
    package var template: Template

    /// The ceiling over everything that the agent is granted.
    package enum Template: Sendable, Hashable {
        /// Made from none: its grants alone bound it.
        case none
        /// Made from one that is gone: nothing is allowed.
        case missing
        case blueprint(BlueprintFacts)
    }

    package init(id: String, isEnabled: Bool, isRevoked: Bool, expiresAt: UnixTime?, template: Template) {
        self.id = id
        self.isEnabled = isEnabled
        self.isRevoked = isRevoked
        self.expiresAt = expiresAt
        self.template = template
    }
}

/// The blueprint of the agent that asks.
package struct BlueprintFacts: Sendable, Hashable {
    package var id: String
    package var isEnabled: Bool
    package var scopes: [String]
    package var audiences: [String]
    package var credentialKinds: Set<String>
    /// Seconds.
    package var maximumTokenLifetime: Int64
    package var maximumActorDepth: Int

    package init(
        id: String, isEnabled: Bool, scopes: [String], audiences: [String], credentialKinds: Set<String>,
        maximumTokenLifetime: Int64, maximumActorDepth: Int
    ) {
        self.id = id
        self.isEnabled = isEnabled
        self.scopes = scopes
        self.audiences = audiences
        self.credentialKinds = credentialKinds
        self.maximumTokenLifetime = maximumTokenLifetime
        self.maximumActorDepth = maximumActorDepth
    }
}

/// What the token is for.
package struct TokenAction: Sendable, Equatable {
    package var scopes: RequestedScopes
    package var onBehalf: OnBehalf
    /// Typed details (RFC 9396), each of which some grant has to cover.
    package var details: [AuthorizationDetails.Detail]
    package var approval: Approval

    /// What a person has to do with it.
    package enum Approval: Sendable, Hashable {
        /// Nobody was asked; settings say whether somebody has to be.
        case notAsked
        /// The resource itself asks for the approval of this one act.
        case demanded
        /// A person has approved exactly this.
        case given
    }

    /// Which scopes are asked for.
    package enum RequestedScopes: Sendable, Hashable {
        /// Whatever is granted (`.default`, or no scope named).
        case allGranted
        /// Exactly these: one that is not granted refuses the request.
        case exactly([String])
    }

    /// For whom the agent acts.
    package enum OnBehalf: Sendable, Hashable {
        case itself
        /// For another subject, as the last of this many actors.
        case another(actorDepth: Int)
        /// As another subject, unnamed.
        case impersonating
    }

    package init(
        scopes: RequestedScopes, onBehalf: OnBehalf, details: [AuthorizationDetails.Detail] = [],
        approval: Approval = .notAsked
    ) {
        self.scopes = scopes
        self.onBehalf = onBehalf
        self.details = details
        self.approval = approval
    }
}

/// The resource that the token is for.
package struct ResourceFacts: Sendable, Hashable {
    package var id: String
    package var scopes: [String]
    /// Seconds.
    package var tokenLifetime: Int64
    package var demandsBinding: Bool
    /// Scopes that a person approves each time.
    package var approvedScopes: [String]
    /// Types of authorization details that a person approves each time.
    package var approvedTypes: [String]

    package init(
        id: String, scopes: [String], tokenLifetime: Int64, demandsBinding: Bool, approvedScopes: [String] = [],
        approvedTypes: [String] = []
    ) {
        self.id = id
        self.scopes = scopes
        self.tokenLifetime = tokenLifetime
        self.demandsBinding = demandsBinding
        self.approvedScopes = approvedScopes
        self.approvedTypes = approvedTypes
    }
}

/// One grant of the agent that asks.
package struct GrantFacts: Sendable, Equatable {
    package var id: String
    package var resourceID: String
    package var scopes: [String]
    package var allowsDelegation: Bool
    package var allowsImpersonation: Bool
    package var expiresAt: UnixTime?
    /// Which authorization details it covers.
    package var details: [AuthorizationDetailPattern]
    package var standing: Standing

    /// Whether the grant holds without anybody's doing.
    package enum Standing: Sendable, Hashable {
        case always
        /// Once a person has approved it, for a while: until this time, or not now.
        case approved(until: UnixTime?)
    }

    package init(
        id: String, resourceID: String, scopes: [String], allowsDelegation: Bool, allowsImpersonation: Bool,
        expiresAt: UnixTime?, details: [AuthorizationDetailPattern] = [], standing: Standing = .always
    ) {
        self.id = id
        self.resourceID = resourceID
        self.scopes = scopes
        self.allowsDelegation = allowsDelegation
        self.allowsImpersonation = allowsImpersonation
        self.expiresAt = expiresAt
        self.details = details
        self.standing = standing
    }
}
