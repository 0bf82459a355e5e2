package import JOSE
package import SPIFFE

/// The claims that an operator's configuration adds to tokens: rules in the order in which they were written.
///
/// A rule says for whom it is and what it adds. Of two rules that give the same claim the first one wins. What a token
/// says of its own accord, and what relying parties take as a standard's word, no rule can give: see ``ClaimName``.
package struct ClaimRules: Sendable, Equatable {
    package let rules: [ClaimRule]

    /// No rules: tokens have the claims of their profile and no others.
    package static let none = ClaimRules()

    private init() { rules = [] }

    /// Takes the rules unless there are too many.
    package init(_ rules: [ClaimRule]) throws(ClaimRuleError) {
        guard rules.count <= ClaimLimits.rules else { throw .tooManyRules }
        self.rules = rules
    }

    /// What the rules add to one token, in their order.
    package func claims(in kind: ClaimRule.Kind, for subject: ClaimSubject) throws(ClaimRefusal) -> JSONObject {
        var claims = JSONObject()
        for rule in rules where rule.kinds.contains(kind) && rule.path.matches(subject.segments) {
            for (name, template) in rule.claims where claims[name.text] == nil {
                guard let value = template.value(for: subject) else {
                    if rule.isRequired { throw .noValue(claim: name.text) }
                    continue
                }
                claims[name.text] = value
            }
        }
        guard claims.count <= ClaimLimits.claimsPerToken else { throw .tooManyClaims }
        guard claims.isEmpty || claims.serializedBytes.count <= ClaimLimits.tokenBytes else { throw .tooLarge }
        return claims
    }
}

/// One rule of the configuration.
package struct ClaimRule: Sendable, Equatable {
    /// The tokens that claims can be added to. X.509-SVIDs are not among them.
    package enum Kind: String, Sendable, CaseIterable {
        case jwt
        case wit
    }

    /// Whom it is for.
    package let path: IDPathPattern
    package let kinds: Set<Kind>
    /// Whether a claim without a value refuses the token, instead of being left out.
    package let isRequired: Bool
    let claims: [(name: ClaimName, template: ClaimTemplate)]

    /// Takes a rule in the words of the configuration; names the claim that is wrong.
    package init(
        path: String, kinds: Set<Kind> = Set(Kind.allCases), isRequired: Bool = false, add: JSONObject
    ) throws(ClaimRuleError) {
        do {
            self.path = try IDPathPattern(path)
        } catch {
            throw .path(error)
        }
        guard !kinds.isEmpty else { throw .noKinds }
        guard !add.isEmpty else { throw .noClaims }
        guard add.count <= ClaimLimits.claimsPerToken else { throw .tooManyClaims }
        var claims: [(ClaimName, ClaimTemplate)] = []
        for (name, value) in add.members {
            do throws(ClaimProblem) {
                claims.append((try ClaimName(name), try ClaimTemplate(value)))
            } catch {
                throw .claim(name, error)
            }
        }
        self.kinds = kinds
        self.isRequired = isRequired
        self.claims = claims
    }

    package static func == (left: ClaimRule, right: ClaimRule) -> Bool {
        left.path == right.path && left.kinds == right.kinds && left.isRequired == right.isRequired
            && left.claims.elementsEqual(right.claims, by: ==)
    }
}

/// Whom a token is about, as templates see it.
package struct ClaimSubject: Sendable {
    package let id: SPIFFEID
    /// The hint of the registration entry; empty when it has none.
    package let hint: String
    /// Nil for a token that an administrator mints, outside every entry.
    package let entryID: String?
    let segments: [Substring]

    package init(id: SPIFFEID, hint: String, entryID: String?) {
        self.id = id
        self.hint = hint
        self.entryID = entryID
        segments = id.path.split(separator: "/")
    }
}

/// Sizes that bound what rules can cost, and keep a token below what verifiers read.
package enum ClaimLimits {
    /// Most rules.
    package static let rules = 64
    /// Most claims that rules add to one token; their names then fit into one fact of the audit log.
    package static let claimsPerToken = 16
    /// Longest name, in bytes.
    package static let nameBytes = 63
    /// Longest text, in bytes, as it is written in the configuration.
    package static let templateBytes = 1024
    /// Most arrays and objects inside each other in one claim.
    package static let depth = 4
    /// Most values inside one claim, itself included.
    package static let values = 64
    /// Most bytes of all claims of one token together, as JSON.
    package static let tokenBytes = 4096
}

/// Why the rules refuse a token. A claim that cannot be right is never replaced by one that is nearly so.
package enum ClaimRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    /// A rule requires the claim, and for this identity its template has no value.
    case noValue(claim: String)
    /// The rules that apply give more claims than a token may have.
    case tooManyClaims
    /// The claims are longer together than a token may have, also with the audience beside them.
    case tooLarge

    package var description: String {
        switch self {
        case .noValue(let claim): "the required claim `\(claim)` has no value for this identity"
        case .tooManyClaims: "the rules add more than \(ClaimLimits.claimsPerToken) claims"
        case .tooLarge: "the claims that the rules add are too long"
        }
    }
}
