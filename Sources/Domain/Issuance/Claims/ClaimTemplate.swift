package import JOSE

/// What a claim says: a constant, or texts with placeholders, also inside arrays and objects.
package struct ClaimTemplate: Sendable, Equatable {
    private indirect enum Form: Sendable, Equatable {
        case constant(JSONValue)
        case text(TextTemplate)
        case array([Form])
        case object(names: [String], values: [Form])
    }

    private let form: Form

    package init(_ value: JSONValue) throws(ClaimProblem) {
        var values = 0
        form = try Self.form(value, depth: 0, values: &values)
    }

    /// Its value for a subject; nil if one of the placeholders has none.
    package func value(for subject: ClaimSubject) -> JSONValue? { Self.value(form, subject) }

    private static func form(_ value: JSONValue, depth: Int, values: inout Int) throws(ClaimProblem) -> Form {
        values += 1
        guard values <= ClaimLimits.values else { throw .tooManyValues }
        guard depth <= ClaimLimits.depth else { throw .tooDeep }
        switch value {
        case .null: throw .null
        case .bool, .number: return .constant(value)
        case .string(let text): return .text(try TextTemplate(text))
        case .array(let elements):
            var forms: [Form] = []
            for element in elements { forms.append(try form(element, depth: depth + 1, values: &values)) }
            return .array(forms)
        case .object(let object):
            var forms: [Form] = []
            for (name, member) in object.members {
                guard !name.isEmpty else { throw .emptyName }
                guard name.utf8.count <= ClaimLimits.nameBytes else { throw .nameTooLong }
                forms.append(try form(member, depth: depth + 1, values: &values))
            }
            return .object(names: object.members.map(\.name), values: forms)
        }
    }

    private static func value(_ form: Form, _ subject: ClaimSubject) -> JSONValue? {
        switch form {
        case .constant(let value): return value
        case .text(let template): return template.text(for: subject).map { .string($0) }
        case .array(let forms):
            var values: [JSONValue] = []
            for form in forms {
                guard let value = value(form, subject) else { return nil }
                values.append(value)
            }
            return .array(values)
        case .object(let names, let forms):
            var members: [(String, JSONValue)] = []
            for (name, form) in zip(names, forms) {
                guard let value = value(form, subject) else { return nil }
                members.append((name, value))
            }
            return .object(JSONObject(members))
        }
    }
}

/// A text with placeholders in braces. `{{` and `}}` stand for the braces themselves.
struct TextTemplate: Sendable, Equatable {
    /// What may stand between braces, and nothing else.
    private enum Placeholder: Sendable, Equatable {
        case spiffeID
        case trustDomain
        case path
        /// One segment of the path; the first one is 1.
        case segment(Int)
        case hint
        case entryID

        init(_ name: Substring) throws(ClaimProblem) {
            switch name {
            case "spiffe_id": self = .spiffeID
            case "trust_domain": self = .trustDomain
            case "path": self = .path
            case "hint": self = .hint
            case "entry_id": self = .entryID
            default:
                guard name.hasPrefix("path["), name.hasSuffix("]") else { throw .unknownPlaceholder(String(name)) }
                let digits = name.dropFirst("path[".count).dropLast()
                // One spelling for each number, and none that no ID can have.
                guard (1...4).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                    !digits.hasPrefix("0"), let number = Int(digits)
                else { throw .badSegment(String(name)) }
                self = .segment(number)
            }
        }

        func text(for subject: ClaimSubject) -> Substring? {
            switch self {
            case .spiffeID: subject.id.string[...]
            case .trustDomain: subject.id.trustDomain.name[...]
            case .path: subject.id.path[...]
            case .segment(let number): number <= subject.segments.count ? subject.segments[number - 1] : nil
            case .hint: subject.hint.isEmpty ? nil : subject.hint[...]
            case .entryID: subject.entryID.map { $0[...] }
            }
        }
    }

    private enum Part: Sendable, Equatable {
        case text(String)
        case placeholder(Placeholder)
    }

    private let parts: [Part]

    init(_ text: String) throws(ClaimProblem) {
        guard text.utf8.count <= ClaimLimits.templateBytes else { throw .textTooLong }
        guard !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
            throw .controlCharacter
        }
        var parts: [Part] = []
        var literal = ""
        var rest = text.unicodeScalars[...]
        while let scalar = rest.popFirst() {
            switch scalar {
            case "{" where rest.first == "{", "}" where rest.first == "}":
                rest.removeFirst()
                literal.unicodeScalars.append(scalar)
            case "{":
                guard let end = rest.firstIndex(of: "}") else { throw .openBrace }
                let name = Substring(rest[..<end])
                rest = rest[rest.index(after: end)...]
                if !literal.isEmpty { parts.append(.text(literal)) }
                literal = ""
                parts.append(.placeholder(try Placeholder(name)))
            case "}": throw .openBrace
            default: literal.unicodeScalars.append(scalar)
            }
        }
        if !literal.isEmpty { parts.append(.text(literal)) }
        self.parts = parts
    }

    /// The text for a subject; nil if one of the placeholders has no value.
    func text(for subject: ClaimSubject) -> String? {
        var text = ""
        for part in parts {
            switch part {
            case .text(let literal): text += literal
            case .placeholder(let placeholder):
                guard let value = placeholder.text(for: subject) else { return nil }
                text += value
                // INVARIANT: no text grows far beyond what a token may hold, however often a placeholder is repeated.
                guard text.utf8.count <= ClaimLimits.tokenBytes else { return text }
            }
        }
        return text
    }
}
