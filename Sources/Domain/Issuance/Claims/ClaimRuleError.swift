/// Why a rule for claims is not taken.
package enum ClaimRuleError: Error, Equatable, Sendable, CustomStringConvertible {
    /// More rules than allowed.
    case tooManyRules
    /// Whom it is for.
    case path(IDPathPattern.Problem)
    /// A rule for no kind of token.
    case noKinds
    /// A rule that adds nothing.
    case noClaims
    /// A rule that adds more claims than a token may have.
    case tooManyClaims
    /// One claim, by its name.
    case claim(String, ClaimProblem)

    package var description: String {
        switch self {
        case .tooManyRules: "there can be at most \(ClaimLimits.rules) rules"
        case .path(let problem): "`for`: \(problem)"
        case .noKinds: "`kinds` names no kind of token"
        case .noClaims: "`add` holds no claim"
        case .tooManyClaims: "a token has at most \(ClaimLimits.claimsPerToken) claims by rules"
        case .claim(let name, let problem): "claim `\(name)`: \(problem)"
        }
    }
}

/// What is wrong with one claim of a rule.
package enum ClaimProblem: Error, Equatable, Sendable, CustomStringConvertible {
    case emptyName
    case nameTooLong
    /// A name with other characters than visible ones of ASCII.
    case badName
    /// A name that a standard gives its meaning to.
    case reserved
    case null
    case tooDeep
    case tooManyValues
    case textTooLong
    case controlCharacter
    /// A brace without its partner.
    case openBrace
    /// A word between braces that is no placeholder.
    case unknownPlaceholder(String)
    /// A segment that is not numbered from 1.
    case badSegment(String)

    package var description: String {
        switch self {
        case .emptyName: "a name cannot be empty"
        case .nameTooLong: "a name has at most \(ClaimLimits.nameBytes) bytes"
        case .badName: "a name has visible characters of ASCII only, without `\"` and `\\`"
        case .reserved: "the name is reserved: a standard says what it means"
        case .null: "a claim cannot be null"
        case .tooDeep: "at most \(ClaimLimits.depth) arrays and objects stand inside each other"
        case .tooManyValues: "a claim has at most \(ClaimLimits.values) values"
        case .textTooLong: "a text has at most \(ClaimLimits.templateBytes) bytes"
        case .controlCharacter: "a text has no control characters"
        case .openBrace: "a brace without its partner (write `{{` and `}}` for braces themselves)"
        case .unknownPlaceholder(let name):
            "`{\(name)}` is none of {spiffe_id}, {trust_domain}, {path}, {path[N]}, {hint}, {entry_id}"
        case .badSegment(let name): "`{\(name)}`: segments are numbered from 1 to 9999"
        }
    }
}
