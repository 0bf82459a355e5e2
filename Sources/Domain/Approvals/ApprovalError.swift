package import AuditTrail
package import Registry

/// Why an approval was not asked for, given, fetched or used.
package enum ApprovalError: Error, Sendable, Equatable {
    case notFound
    /// It was answered, or its time is over.
    case notPending
    /// The approver saw another act than the one that is stored.
    case otherAct
    /// Nobody has said which person the caller is.
    case unknownPerson
    /// The person is no approver of the resource.
    case notApprover
    /// Owner and sponsor of an agent do not approve for it.
    case ownAgent
    /// The resource takes no answers from the administration socket.
    case socketRefused
    /// The resource, the grant or the agent is gone or disabled.
    case nothingToApprove
    /// The resource names nobody who may approve.
    case nobodyMayApprove
    /// The client named somebody who is no approver.
    case unknownApprover
    /// The challenge was answered already.
    case challengeUsed
    /// The agent has asked for too much lately, or too much is waiting.
    case tooMany
    /// The act is too large or too deep to be kept.
    case notStorable
    /// Denied.
    case denied
    case expired
    /// The token was used already, or is not one for this.
    case spent
    case storage(StoreError)
    case audit(AuditError)
}

extension ApprovalError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .notFound: "approval not found"
        case .notPending: "the approval is not waiting any more"
        case .otherAct: "the hash is not that of the act"
        case .unknownPerson:
            "nobody has said who you are: on the administration socket the server's setting `socket_approvers` does"
        case .notApprover: "you are no approver of this resource"
        case .ownAgent: "owner and sponsor of an agent do not approve for it"
        case .socketRefused: "the resource takes no approvals from the administration socket"
        case .nothingToApprove: "the agent, its grant or the resource is gone or disabled"
        case .nobodyMayApprove: "the resource names nobody who may approve"
        case .unknownApprover: "the login hint names no approver"
        case .challengeUsed: "the challenge was used"
        case .tooMany: "too many approvals are asked for"
        case .notStorable: "the act is too large or too deep"
        case .denied: "a person said no"
        case .expired: "nobody answered in time"
        case .spent: "the token was used"
        case .storage(let error): error.description
        case .audit(let error): error.description
        }
    }
}

extension ApprovalError: AuditedError {
    package var code: String {
        switch self {
        case .notFound: "approval_not_found"
        case .notPending: "approval_not_pending"
        case .otherAct: "other_act"
        case .unknownPerson: "unknown_person"
        case .notApprover: "not_approver"
        case .ownAgent: "own_agent"
        case .socketRefused: "socket_refused"
        case .nothingToApprove: "nothing_to_approve"
        case .nobodyMayApprove: "nobody_may_approve"
        case .unknownApprover: "unknown_approver"
        case .challengeUsed: "challenge_used"
        case .tooMany: "too_many"
        case .notStorable: "not_storable"
        case .denied: "denied"
        case .expired: "expired"
        case .spent: "spent"
        case .storage: "storage"
        case .audit: "audit"
        }
    }

    package var isRefusal: Bool {
        switch self {
        case .storage, .audit: false
        default: true
        }
    }
}
