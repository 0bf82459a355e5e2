import Issuance
import JOSE
import Yams

/// The section `claims` of a configuration file: a list of rules.
struct ClaimsSection {
    private let path: String
    /// YAML's aliases let a short file stand for very much; nobody needs more than this.
    private var valuesLeft = 8192

    private init(path: String) { self.path = path }

    /// The rules of the section's node.
    /// - Throws: `CommandFailure` naming the file, the rule by its number, and the claim.
    static func rules(_ node: Node, path: String) throws -> ClaimRules {
        var section = ClaimsSection(path: path)
        guard let items = node.sequence else { throw section.failure("a list of rules is expected") }
        var rules: [ClaimRule] = []
        for item in items { rules.append(try section.rule(item, number: rules.count + 1)) }
        do {
            return try ClaimRules(rules)
        } catch {
            throw section.failure("\(error)")
        }
    }

    private mutating func rule(_ node: Node, number: Int) throws -> ClaimRule {
        guard let members = node.mapping else { throw failure("rule \(number): expected `for`, `kinds` and `add`") }
        var pattern: String?
        var kinds = Set(ClaimRule.Kind.allCases)
        var isRequired = false
        var add: JSONObject?
        for (key, value) in members {
            switch key.string {
            case "for":
                guard let text = value.scalar?.string else { throw failure("rule \(number): `for` takes one path") }
                pattern = text
            case "kinds":
                guard let names = value.sequence else { throw failure("rule \(number): `kinds` is a list") }
                kinds = Set(
                    try names.map { name in
                        guard let kind = name.scalar.flatMap({ ClaimRule.Kind(rawValue: $0.string) }) else {
                            throw failure("rule \(number): `kinds` are jwt and wit")
                        }
                        return kind
                    })
            case "required":
                guard let flag = value.scalar.flatMap({ Bool($0.string) }) else {
                    throw failure("rule \(number): `required` is true or false")
                }
                isRequired = flag
            case "add":
                guard let claims = value.mapping else { throw failure("rule \(number): `add` holds no claims") }
                add = try added(claims, number)
            case let other: throw failure("rule \(number): unknown key `\(other ?? "")`")
            }
        }
        guard let pattern else { throw failure("rule \(number): `for` is needed") }
        guard let add else { throw failure("rule \(number): `add` is needed") }
        do {
            return try ClaimRule(path: pattern, kinds: kinds, isRequired: isRequired, add: add)
        } catch {
            throw failure("rule \(number) (`\(pattern)`): \(error)")
        }
    }

    private mutating func added(_ claims: Node.Mapping, _ number: Int) throws -> JSONObject {
        var object: [(String, JSONValue)] = []
        for (key, value) in claims {
            let name = try name(key, "rule \(number)")
            object.append((name, try json(value, depth: 0, "rule \(number), claim `\(name)`")))
        }
        return JSONObject(object)
    }

    private func name(_ node: Node, _ place: String) throws -> String {
        guard let name = node.scalar?.string else { throw failure("\(place): a name is a text") }
        return name
    }

    private mutating func json(_ node: Node, depth: Int, _ place: String) throws -> JSONValue {
        // The rules have narrower limits; these end the walk.
        valuesLeft -= 1
        guard valuesLeft >= 0, depth < JSONLimits.default.maximumDepth else { throw failure("\(place): too much") }
        switch node {
        case .mapping(let members):
            var object: [(String, JSONValue)] = []
            for (key, value) in members {
                object.append((try name(key, place), try json(value, depth: depth + 1, place)))
            }
            return .object(JSONObject(object))
        case .sequence(let items):
            var array: [JSONValue] = []
            for item in items { array.append(try json(item, depth: depth + 1, place)) }
            return .array(array)
        case .scalar(let scalar):
            switch Tag.Name(rawValue: node.tag.rawValue) {
            case .str, .timestamp: return .string(scalar.string)
            case .bool, .int, .float, .null:
                // YAML reads `on`, `010` and `12:30` its own way: only what JSON means too is taken as it stands.
                if let value = try? JSONValue(parsing: Array(scalar.string.utf8)) { return value }
                throw failure("\(place): put `\(scalar.string)` in quotes, or write it as in JSON")
            default: throw failure("\(place): neither a text nor a number, true, false, a list or a map")
            }
        case .alias: throw failure("\(place): neither a text nor a number, true, false, a list or a map")
        }
    }

    private func failure(_ text: String) -> CommandFailure { CommandFailure("`\(path)`: `claims`: \(text)") }
}
