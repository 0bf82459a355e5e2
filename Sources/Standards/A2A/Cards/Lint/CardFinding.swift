/// Something about a card that is wrong, or that somebody will stumble over.
public struct CardFinding: Sendable, Equatable, CustomStringConvertible {
    /// How bad it is.
    public enum Severity: String, Sendable, Hashable {
        /// The card breaks the standard, or nobody should use it.
        case error
        /// The card can be used; some of those who read it will misunderstand.
        case warning
    }

    /// What is looked for.
    public enum Rule: String, Sendable, Hashable, CaseIterable {
        /// The text is no card.
        case unreadable
        /// The standard requires something else.
        case violation
        /// A URL is not an absolute one for HTTP.
        case badURL = "bad-url"
        /// A URL without TLS.
        case insecureURL = "insecure-url"
        /// A URL without TLS on this very machine.
        case localURL = "local-url"
        /// A member is empty: signatures of the SDKs do not cover it, and those over the standard's form they refuse.
        case lostByPruning = "lost-by-pruning"
        /// A member that version 1.0 does not know: signatures of the SDKs do not cover it.
        case unknownMember = "unknown-member"
        /// A member of version 0.3, beside those of 1.0.
        case oldMember = "old-member"
        /// Callers need not prove anything.
        case noRequirement = "no-requirement"
        /// One of the requirements is met by callers who prove nothing.
        case openRequirement = "open-requirement"
        /// A scheme of a kind that version 1.0 does not know.
        case unknownSchemeKind = "unknown-scheme-kind"
        /// A flow that OAuth has given up.
        case deprecatedFlow = "deprecated-flow"
        /// An authorization code without PKCE.
        case noPKCE = "no-pkce"
        /// A secret that is sent along.
        case apiKey = "api-key"
        /// A password that is sent along.
        case basicAuthentication = "basic-authentication"
        /// Nobody signed the card.
        case unsigned
        /// A signature that no verifier takes.
        case badSignature = "bad-signature"
        /// A signature that does not say its key.
        case noKeyID = "no-key-id"
        /// A signature without `typ`, which the SDK for JavaScript refuses.
        case noType = "no-type"
        /// The card says nothing of a SPIFFE ID.
        case unbound
        /// The identity is malformed.
        case badIdentity = "bad-identity"
        /// Clients that do not know the identity extension cannot call the agent.
        case requiredIdentity = "required-identity"
        /// The identity has scopes for a skill that the card does not have.
        case unknownSkill = "unknown-skill"

        /// How bad it is.
        public var severity: Severity {
            switch self {
            case .unreadable, .violation, .badURL, .insecureURL, .badSignature, .noKeyID, .badIdentity: .error
            case .localURL, .lostByPruning, .unknownMember, .oldMember, .noRequirement, .openRequirement,
                .unknownSchemeKind, .deprecatedFlow, .noPKCE, .apiKey, .basicAuthentication, .unsigned, .noType,
                .unbound, .requiredIdentity, .unknownSkill:
                .warning
            }
        }
    }

    /// What was found.
    public let rule: Rule
    /// Where in the card; empty for the card as a whole.
    public let path: String
    /// What is wrong, as a phrase that follows the path.
    public let problem: String

    /// How bad it is.
    public var severity: Severity { rule.severity }

    init(_ rule: Rule, _ path: String, _ problem: String) {
        self.rule = rule
        self.path = path
        self.problem = problem
    }

    /// Path and problem in one line.
    public var description: String { path.isEmpty ? problem : "\(path): \(problem)" }
}
