public import A2A

/// A kind of proof that a caller can give to an agent, the strongest last.
public enum AgentProof: Int, Sendable, CaseIterable, Comparable {
    /// A secret of the agent's own making.
    case apiKey
    /// HTTP authentication other than with a token.
    case httpAuthentication
    /// A token in the `Authorization` header, from wherever.
    case bearerToken
    /// A token of an OpenID provider.
    case openIDConnect
    /// An access token of OAuth 2.0.
    case oauth2
    /// A client certificate.
    case mutualTLS

    /// Order of strength.
    public static func < (left: AgentProof, right: AgentProof) -> Bool { left.rawValue < right.rawValue }

    /// What a scheme asks for; `nil` for a kind of scheme that version 1.0 does not know.
    public init?(_ scheme: SecurityScheme) {
        switch scheme {
        case .apiKey: self = .apiKey
        case .httpAuth(let scheme): self = scheme.scheme.lowercased() == "bearer" ? .bearerToken : .httpAuthentication
        case .oauth2: self = .oauth2
        case .openIDConnect: self = .openIDConnect
        case .mutualTLS: self = .mutualTLS
        case .unknown: return nil
        }
    }
}

/// How to authenticate to an agent: all of these schemes, by the names that the card gives them.
public struct SecurityChoice: Sendable, Equatable {
    /// A scheme with the scopes that it must grant.
    public struct Scheme: Sendable, Equatable {
        /// The scheme's name in the card.
        public let name: String
        /// The scheme.
        public let scheme: SecurityScheme
        /// What it must grant.
        public let scopes: [String]
    }

    /// The schemes, the strongest first; empty when the agent asks for no proof.
    public let schemes: [Scheme]
}

extension AgentCard {
    /// How to authenticate for a skill, or for the agent as a whole: of the requirements that the caller can meet, the one with
    /// the strongest scheme.
    ///
    /// - Throws: ``A2AClientError/noUsableSecurity(_:)`` when there are requirements and none can be met.
    public func security(
        having proofs: Set<AgentProof>, for skill: AgentSkill? = nil
    ) throws(A2AClientError) -> SecurityChoice {
        let own = skill?.securityRequirements ?? []
        let requirements = own.isEmpty ? securityRequirements : own
        guard !requirements.isEmpty else { return SecurityChoice(schemes: []) }
        var best: (strengths: [Int], choice: SecurityChoice)?
        for requirement in requirements {
            guard let choice = choice(requirement, having: proofs) else { continue }
            let strengths = choice.schemes.compactMap { AgentProof($0.scheme)?.rawValue }
            if best.map({ $0.strengths.lexicographicallyPrecedes(strengths) }) ?? true { best = (strengths, choice) }
        }
        guard let best else {
            let names = requirements.flatMap(\.schemes.keys).map { $0.shown(upTo: 64) }
            throw .noUsableSecurity(Array(names.prefix(32)))
        }
        return best.choice
    }

    /// A requirement's schemes, the strongest first; `nil` if one of them is missing in the card or cannot be met.
    private func choice(_ requirement: SecurityRequirement, having proofs: Set<AgentProof>) -> SecurityChoice? {
        var schemes: [(proof: AgentProof, scheme: SecurityChoice.Scheme)] = []
        for (name, scopes) in requirement.schemes.entries {
            guard let scheme = securitySchemes[name], let proof = AgentProof(scheme), proofs.contains(proof) else {
                return nil
            }
            schemes.append((proof, SecurityChoice.Scheme(name: name, scheme: scheme, scopes: scopes)))
        }
        return SecurityChoice(schemes: schemes.sorted { $0.proof > $1.proof }.map(\.scheme))
    }
}
