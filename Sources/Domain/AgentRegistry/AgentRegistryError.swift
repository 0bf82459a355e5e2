package import A2A
package import AuditTrail
package import Registry

/// Why the registry did not do what it was asked.
package enum AgentRegistryError: Error, Sendable, Equatable {
    case cardTooLarge
    /// Not JSON, or no card that clients of the protocol can read.
    case badCard(FieldViolation)
    /// An interface without TLS that is not on this machine, or a URL that is none.
    case badInterface
    /// The card names no SPIFFE ID, and the caller proved nothing but one.
    case unboundCard
    /// The card names another SPIFFE ID than the caller proved, or than the name is bound to.
    case otherIdentity
    /// The card names the identity of a server or a node agent.
    case reservedIdentity
    /// A signature claims a trusted key and is not its signature.
    case badSignature
    /// The name is another identity's.
    case nameTaken
    /// A card of this version was approved already, with other bytes.
    case versionExists
    case notFound
    /// Visible to the caller and not its own.
    case notYours
    /// Nothing waits for an approver.
    case notPending
    /// The version that waits is not the one that the approver has seen.
    case otherCard
    /// Nobody has said who the caller is.
    case unknownApprover
    /// Nobody approves a card of one's own.
    case ownAgent
    /// No version of the agent is served.
    case notActive
    /// The agent's life is over.
    case revoked
    case badVisibility
    case reasonTooLong
    case badPageToken
    case full(Bound)
    case storage(StoreError)
    case audit(AuditError)

    package enum Bound: String, Sendable, Hashable {
        case agents
        case agentsOfIdentity = "agents_of_identity"
        case versions
    }
}

extension AgentRegistryError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .cardTooLarge: "an agent card has at most \(AgentRegistryRules.maximumCardBytes) bytes"
        case .badCard(let violation): "the agent card cannot be used: \(violation)"
        case .badInterface: "an interface has an https url, or one of this machine"
        case .unboundCard: "the agent card names no spiffe id in its identity extension"
        case .otherIdentity: "the agent card names another spiffe id"
        case .reservedIdentity: "the agent card names the spiffe id of a server or a node agent"
        case .badSignature: "the agent card's signature does not verify"
        case .nameTaken: "the name is taken"
        case .versionExists: "another agent card of this version was approved"
        case .notFound: "agent not found"
        case .notYours: "the agent is another one's"
        case .notPending: "no agent card waits for approval"
        case .otherCard: "the agent card that waits is not the one that was seen"
        case .unknownApprover: "nobody has said which person the caller is"
        case .ownAgent: "nobody approves a card of one's own"
        case .notActive: "no agent card was approved"
        case .revoked: "the agent is revoked"
        case .badVisibility: "at most \(Visibility.maximumEntitled) spiffe ids are entitled"
        case .reasonTooLong: "a reason has at most \(AgentRegistryRules.maximumReasonLength) bytes"
        case .badPageToken: "page token is malformed"
        case .full(.agentsOfIdentity): "the identity has as many agents as one may have"
        case .full(let bound): "there are as many \(bound.rawValue) as there may be"
        case .storage(let error): error.description
        case .audit(let error): error.description
        }
    }
}

extension AgentRegistryError: AuditedError {
    package var code: String {
        switch self {
        case .cardTooLarge: "card_too_large"
        case .badCard: "bad_card"
        case .badInterface: "bad_interface"
        case .unboundCard: "unbound_card"
        case .otherIdentity: "other_identity"
        case .reservedIdentity: "reserved_identity"
        case .badSignature: "bad_signature"
        case .nameTaken: "name_taken"
        case .versionExists: "version_exists"
        case .notFound: "not_found"
        case .notYours: "not_yours"
        case .notPending: "not_pending"
        case .otherCard: "other_card"
        case .unknownApprover: "unknown_approver"
        case .ownAgent: "own_agent"
        case .notActive: "not_active"
        case .revoked: "revoked"
        case .badVisibility: "bad_visibility"
        case .reasonTooLong: "reason_too_long"
        case .badPageToken: "bad_page_token"
        case .full(let bound): "full_" + bound.rawValue
        case .storage: "storage"
        case .audit: "audit"
        }
    }

    /// Whether a rule said no, as opposed to something that broke.
    package var isRefusal: Bool {
        switch self {
        case .storage, .audit: false
        default: true
        }
    }
}
