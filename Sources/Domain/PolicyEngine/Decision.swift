package import OAuth

/// The answer of the policy engine. Deny is an ordinary outcome, and the default.
package struct Decision: Sendable, Equatable {
    package let outcome: Outcome
    /// Why, most important first; never empty. For the log and for administrators, not for the caller.
    package let reasons: [Reason]
    /// Hex SHA-256 over the settings that it rests on.
    package let policyHash: String

    package enum Outcome: Sendable, Equatable {
        case permit(Permission)
        /// This much could be permitted, if a person approves it first.
        case needsApproval(Permission)
        case deny
    }

    package init(outcome: Outcome, reasons: [Reason], policyHash: String) {
        self.outcome = outcome
        self.reasons = reasons
        self.policyHash = policyHash
    }
}

/// What may be done, at most.
package struct Permission: Sendable, Equatable {
    /// In the order of the resource's own list; empty only beside details.
    package let scopes: [String]
    package let details: [AuthorizationDetails.Detail]
    /// Longest life of the token, in seconds.
    package let maximumLifetime: Int64
    /// Longest actor chain of the token.
    package let maximumActorDepth: Int
    /// The grants that give it.
    package let grantIDs: [String]
    /// The grants among them that hold only once a person has approved them; empty when they already hold.
    package let dormantGrantIDs: [String]
    /// Whether the approval is of one act, and the token good for one use.
    package let isSingleUse: Bool

    package init(
        scopes: [String], details: [AuthorizationDetails.Detail] = [], maximumLifetime: Int64, maximumActorDepth: Int,
        grantIDs: [String], dormantGrantIDs: [String] = [], isSingleUse: Bool = false
    ) {
        self.scopes = scopes
        self.details = details
        self.maximumLifetime = maximumLifetime
        self.maximumActorDepth = maximumActorDepth
        self.grantIDs = grantIDs
        self.dormantGrantIDs = dormantGrantIDs
        self.isSingleUse = isSingleUse
    }
}
