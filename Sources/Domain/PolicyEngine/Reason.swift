/// One rule that led to a decision.
package enum Reason: Sendable, Hashable, CustomStringConvertible {
    case agentDisabled
    case agentRevoked
    case agentExpired
    /// The blueprint is disabled or gone.
    case blueprintUnavailable
    case credentialKindNotAllowed(String)
    case unknownResource
    /// The blueprint does not allow the resource.
    case audienceNotAllowed
    case bindingNeeded
    /// No grant on the resource holds now.
    case nothingGranted
    /// Grants on the resource hold, but none for acting on behalf of others.
    case delegationNotGranted
    case impersonationNotGranted
    /// The actor chain would be longer than the limit.
    case chainTooDeep(limit: Int)
    case scopeNotGranted(String)
    /// No grant covers an authorization detail of this type.
    case detailNotGranted(String)
    /// Settings or the resource want a person's word for this one act.
    case actNeedsApproval
    /// The grants hold only once a person has approved them.
    case grantNeedsApproval([String])
    /// The grants that permit it.
    case granted([String])

    /// A short word for the log.
    package var code: String {
        switch self {
        case .agentDisabled: "agent_disabled"
        case .agentRevoked: "agent_revoked"
        case .agentExpired: "agent_expired"
        case .blueprintUnavailable: "blueprint_unavailable"
        case .credentialKindNotAllowed: "credential_kind_not_allowed"
        case .unknownResource: "unknown_resource"
        case .audienceNotAllowed: "audience_not_allowed"
        case .bindingNeeded: "binding_needed"
        case .nothingGranted: "nothing_granted"
        case .delegationNotGranted: "delegation_not_granted"
        case .impersonationNotGranted: "impersonation_not_granted"
        case .chainTooDeep: "chain_too_deep"
        case .scopeNotGranted: "scope_not_granted"
        case .detailNotGranted: "detail_not_granted"
        case .actNeedsApproval: "act_needs_approval"
        case .grantNeedsApproval: "grant_needs_approval"
        case .granted: "granted"
        }
    }

    package var description: String {
        switch self {
        case .agentDisabled: "the agent is disabled"
        case .agentRevoked: "the agent is revoked"
        case .agentExpired: "the agent has expired"
        case .blueprintUnavailable: "the agent's blueprint is disabled or gone"
        case .credentialKindNotAllowed(let kind): "the blueprint does not allow `\(kind)`"
        case .unknownResource: "there is no such resource"
        case .audienceNotAllowed: "the blueprint does not allow this resource"
        case .bindingNeeded: "the resource wants tokens that are bound to a key"
        case .nothingGranted: "nothing on this resource is granted"
        case .delegationNotGranted: "acting for others on this resource is not granted"
        case .impersonationNotGranted: "impersonation on this resource is not granted"
        case .chainTooDeep(let limit): "there would be more than \(limit) actors"
        case .scopeNotGranted(let scope): "scope `\(scope)` is not granted"
        case .detailNotGranted(let type): "no grant covers the authorization details of type `\(type)`"
        case .actNeedsApproval: "a person has to approve this act"
        case .grantNeedsApproval(let ids): "a person has to approve \(ids.joined(separator: ", ")) first"
        case .granted(let ids): "granted by \(ids.joined(separator: ", "))"
        }
    }
}
