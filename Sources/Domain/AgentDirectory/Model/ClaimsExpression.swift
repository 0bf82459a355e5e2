package import JOSE

/// A condition over the claims of a federated token: `claims['NAME'] eq 'TEXT'` and `claims['NAME'] matches 'PATTERN'`,
/// joined by `and`, in the language that Entra's flexible federated credentials use (version 1).
///
/// In a pattern `*` stands for any text and `?` for one character. Only claims that the issuer sets, and no caller can
/// choose, may be named: see ``safeClaims``.
package struct ClaimsExpression: Sendable, Hashable {
    /// As it was written.
    package let text: String
    package let conditions: [Condition]

    package struct Condition: Sendable, Hashable {
        package let claim: String
        package let comparison: Comparison
    }

    package enum Comparison: Sendable, Hashable {
        case equals(String)
        case matches(String)
    }

    /// What an expression may name.
    package static let safeClaims: Set<String> = [
        "sub", "repository", "repository_id", "repository_owner", "repository_owner_id", "job_workflow_ref", "ref",
        "environment", "project_id", "project_path", "namespace_id", "namespace_path", "terraform_workspace_id",
        "terraform_organization_id", "azp", "client_id", "tid", "oid",
    ]

    package static let maximumLength = 600
    package static let maximumConditions = 8

    package init(_ text: String) throws(DirectoryError) {
        guard text.utf8.count <= Self.maximumLength else { throw .badClaimsExpression }
        var reader = ExpressionReader(text)
        var conditions: [Condition] = []
        repeat {
            guard conditions.count < Self.maximumConditions, let condition = reader.condition(),
                Self.safeClaims.contains(condition.claim)
            else { throw .badClaimsExpression }
            conditions.append(condition)
        } while reader.word("and")
        guard reader.isAtEnd else { throw .badClaimsExpression }
        self.text = text
        self.conditions = conditions
    }

    /// The conditions that these claims do not meet, in order; empty when the expression holds.
    package func unmet(by claims: JSONObject) -> [Condition] {
        conditions.filter { condition in
            guard let value = claims[condition.claim]?.stringValue else { return true }
            switch condition.comparison {
            case .equals(let text): return !value.hasSameBytes(as: text)
            case .matches(let pattern): return !Self.matches(Array(value.utf8), Array(pattern.utf8))
            }
        }
    }

    /// Wildcards without backtracking over more than the last `*`: at most length × length steps.
    static func matches(_ text: [UInt8], _ pattern: [UInt8]) -> Bool {
        var place = 0
        var wanted = 0
        var star: (wanted: Int, place: Int)?
        while place < text.count {
            if wanted < pattern.count, pattern[wanted] == UInt8(ascii: "*") {
                star = (wanted, place)
                wanted += 1
            } else if wanted < pattern.count, pattern[wanted] == UInt8(ascii: "?") || pattern[wanted] == text[place] {
                wanted += 1
                place += 1
            } else if let last = star {
                star = (last.wanted, last.place + 1)
                wanted = last.wanted + 1
                place = last.place + 1
            } else {
                return false
            }
        }
        return pattern[wanted...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
}

/// Reads an expression from left to right; nothing is skipped but spaces between words.
private struct ExpressionReader {
    private var rest: Substring.UTF8View

    init(_ text: String) { rest = text[...].utf8 }

    var isAtEnd: Bool {
        mutating get {
            skipSpaces()
            return rest.isEmpty
        }
    }

    mutating func condition() -> ClaimsExpression.Condition? {
        guard take("claims["), let claim = quoted(), take("]") else { return nil }
        if word("eq") {
            return quoted().map { ClaimsExpression.Condition(claim: claim, comparison: .equals($0)) }
        }
        guard word("matches"), let pattern = quoted() else { return nil }
        return ClaimsExpression.Condition(claim: claim, comparison: .matches(pattern))
    }

    /// A word between spaces.
    mutating func word(_ word: String) -> Bool {
        let before = rest
        guard take(word), rest.first == UInt8(ascii: " ") else {
            rest = before
            return false
        }
        return true
    }

    private mutating func take(_ text: String) -> Bool {
        skipSpaces()
        guard rest.starts(with: text.utf8) else { return false }
        rest = rest.dropFirst(text.utf8.count)
        return true
    }

    /// Text between single quotes, without a quote inside; empty texts match nothing useful and are refused.
    private mutating func quoted() -> String? {
        skipSpaces()
        guard rest.first == UInt8(ascii: "'") else { return nil }
        let inside = rest.dropFirst().prefix { $0 != UInt8(ascii: "'") }
        let after = rest.dropFirst(inside.count + 1)
        guard !inside.isEmpty, after.first == UInt8(ascii: "'") else { return nil }
        rest = after.dropFirst()
        return String(inside)
    }

    private mutating func skipSpaces() {
        rest = rest.drop { $0 == UInt8(ascii: " ") }
    }
}
