import A2A
public import SPIFFE

/// Who may do what with an agent, decided before anything is looked up.
public struct CallRules: Sendable {
    /// What a caller needs: the scopes of its token, or one of the identities.
    public struct Requirement: Sendable {
        /// Scopes, all of which the caller's token allows.
        public var scopes: Set<String>
        /// Agents that need no token, once they have proved who they are.
        public var identities: Set<SPIFFEID>
        /// Whether every caller that has proved who it is needs no token.
        public var admitsAnyIdentity: Bool
        /// Whether nobody needs to prove anything.
        public var admitsAnonymous: Bool

        /// A requirement; without parameters nobody meets it.
        public init(
            scopes: Set<String> = [], identities: Set<SPIFFEID> = [], admitsAnyIdentity: Bool = false,
            admitsAnonymous: Bool = false
        ) {
            self.scopes = scopes
            self.identities = identities
            self.admitsAnyIdentity = admitsAnyIdentity
            self.admitsAnonymous = admitsAnonymous
        }

        /// Anybody at all, for tests and for agents that stand behind a proxy which decides.
        public static let anybody = Requirement(admitsAnyIdentity: true, admitsAnonymous: true)

        /// Every caller that has proved who it is.
        public static let anyIdentity = Requirement(admitsAnyIdentity: true)

        /// Whether a caller meets it. A call on somebody's behalf always needs scopes.
        func isMet(by caller: A2ACaller) -> Bool {
            if admitsAnonymous { return true }
            guard caller.method != .none else { return false }
            if let granted = caller.scopes {
                return scopes.isEmpty ? admitsAnyIdentity : scopes.isSubset(of: granted)
            }
            guard caller.subject == nil else { return false }
            return admitsAnyIdentity || caller.id.map(identities.contains) == true
        }
    }

    /// For every operation.
    public var requirement: Requirement
    /// For messages that ask for a skill, beside ``requirement``. A message that names none of these has to meet all of them: an
    /// agent that guesses what a text means could be talked into any of its skills.
    public var skills: [String: Requirement]

    /// Rules for an agent.
    public init(_ requirement: Requirement, skills: [String: Requirement] = [:]) {
        self.requirement = requirement
        self.skills = skills
    }

    /// Refuses who may not do it; says nothing of why.
    func check(_ operation: Operation, caller: A2ACaller, skill: String?) throws(A2AError) {
        guard requirement.isMet(by: caller) else { throw refusal(of: caller) }
        guard operation == .sendMessage || operation == .sendStreamingMessage else { return }
        if let rule = skill.flatMap({ skills[$0] }) {
            guard rule.isMet(by: caller) else { throw refusal(of: caller) }
        } else {
            guard skills.values.allSatisfy({ $0.isMet(by: caller) }) else { throw refusal(of: caller) }
        }
    }

    private func refusal(of caller: A2ACaller) -> A2AError {
        A2AError(caller.method == .none ? .unauthenticated : .permissionDenied)
    }
}
