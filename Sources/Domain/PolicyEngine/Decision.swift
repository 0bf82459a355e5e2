/// The answer of the policy engine. Deny is an ordinary outcome, and the default.
package struct Decision: Sendable, Hashable {
    package let outcome: Outcome
    /// Why, most important first; never empty. For the log and for administrators, not for the caller.
    package let reasons: [Reason]
    /// Hex SHA-256 over the settings that it rests on.
    package let policyHash: String

    package enum Outcome: Sendable, Hashable {
        case permit(Permission)
        case deny
    }

    package init(outcome: Outcome, reasons: [Reason], policyHash: String) {
        self.outcome = outcome
        self.reasons = reasons
        self.policyHash = policyHash
    }
}

/// What may be done, at most.
package struct Permission: Sendable, Hashable {
    /// In the order of the resource's own list; never empty.
    package let scopes: [String]
    /// Longest life of the token, in seconds.
    package let maximumLifetime: Int64
    /// Longest actor chain of the token.
    package let maximumActorDepth: Int
    /// The grants that give it.
    package let grantIDs: [String]

    package init(scopes: [String], maximumLifetime: Int64, maximumActorDepth: Int, grantIDs: [String]) {
        self.scopes = scopes
        self.maximumLifetime = maximumLifetime
        self.maximumActorDepth = maximumActorDepth
        self.grantIDs = grantIDs
    }
}
