import A2A
import JOSE

/// What a scripted agent shows and does, as its script says (docs/operations/scripted-agent.md).
struct AgentScript: Sendable {
    /// What the agent shows of itself; interfaces come with the addresses.
    var card: AgentCard
    /// In their order: the first whose prefix the `messageId` has is followed.
    var rules: [Rule]
    /// For messages that no rule is for.
    var otherwise: [Step]

    struct Rule: Sendable {
        let prefix: String
        let steps: [Step]
    }

    enum Step: Sendable, Equatable {
        case status(TaskState, text: String?, progress: Double?)
        case artifact(Artifact)
        case chunk(Artifact, append: Bool, lastChunk: Bool)
        case wait(Duration)
        case message([Part])
        /// Ends the turn with an error that the client does not read about.
        case crash
    }

    /// The steps for a message.
    func steps(for messageID: String) -> [Step] {
        rules.first { messageID.hasPrefix($0.prefix) }?.steps ?? otherwise
    }

    init(_ value: JSONValue) throws(FieldViolation) {
        let fields = try ScriptFields(value, "", ["card", "rules", "otherwise"])
        card = try Self.card(fields.reader.value("card"))
        rules = []
        for (index, element) in try fields.reader.array("rules").enumerated() {
            let rule = try ScriptFields(element, "rules[\(index)]", ["prefix", "steps"])
            guard let prefix = try rule.reader.text("prefix") else {
                throw rule.reader.violation("prefix", "is required")
            }
            rules.append(Rule(prefix: prefix, steps: try Self.steps(rule.reader, "steps")))
        }
        otherwise =
            fields.reader.has("otherwise")
            ? try Self.steps(fields.reader, "otherwise") : [.status(.completed, text: nil, progress: nil)]
    }

    private static func card(_ value: JSONValue?) throws(FieldViolation) -> AgentCard {
        var object = value?.objectValue ?? JSONObject()
        if value != nil, value?.objectValue == nil { throw FieldViolation("card", "must be a mapping") }
        if let unknown = AgentCard.unknownMembers(of: object).first {
            throw FieldViolation("card.\(unknown.truncatedForMessage)", "is not known here")
        }
        for (name, fallback) in [
            ("name", JSONValue.string("Scripted agent")), ("description", "Follows a script"), ("version", "1.0.0"),
            ("capabilities", ["streaming": true]), ("defaultInputModes", []), ("defaultOutputModes", []),
        ] where object[name] == nil { object[name] = fallback }
        return try AgentCard(json: .object(object), at: "card")
    }

    private static func steps(_ reader: FieldReader, _ name: String) throws(FieldViolation) -> [Step] {
        var steps: [Step] = []
        for (index, element) in try reader.array(name).enumerated() {
            steps.append(try step(element, "\(reader.path(of: name))[\(index)]"))
        }
        return steps
    }

    /// A step is one word for a state, or a mapping with one name that says what it does and its parameters.
    private static func step(_ value: JSONValue, _ path: String) throws(FieldViolation) -> Step {
        if let word = value.stringValue {
            if word == "crash" { return .crash }
            guard let state = states[word] else { throw FieldViolation(path, "is no step: \(known)") }
            return .status(state, text: nil, progress: nil)
        }
        guard let object = value.objectValue else { throw FieldViolation(path, "must be a word or a mapping") }
        let reader = FieldReader(object, at: path)
        if let wait = object["wait"] {
            try ScriptFields.check(object, path, ["wait"])
            guard let seconds = wait.numberValue?.double, (0...3600).contains(seconds) else {
                throw reader.violation("wait", "must be seconds, 0 to 3600")
            }
            return .wait(.milliseconds(Int64(seconds * 1000)))
        }
        if let message = object["message"], object["status"] == nil {
            try ScriptFields.check(object, path, ["message"])
            return .message(try parts(message, reader.path(of: "message")))
        }
        if object["artifact"] != nil {
            try ScriptFields.check(object, path, ["artifact"])
            return .artifact(try artifact(reader, "artifact", []))
        }
        if let chunk = object["chunk"]?.objectValue {
            try ScriptFields.check(object, path, ["chunk"])
            let inner = FieldReader(chunk, at: reader.path(of: "chunk"))
            return .chunk(
                try artifact(reader, "chunk", ["append", "lastChunk"]), append: try inner.bool("append"),
                lastChunk: try inner.bool("lastChunk"))
        }
        if let word = object["status"]?.stringValue {
            try ScriptFields.check(object, path, ["status", "message", "progress"])
            guard let state = states[word] else { throw reader.violation("status", "is no state: \(known)") }
            return .status(
                state, text: try reader.text("message"), progress: object["progress"]?.numberValue?.double)
        }
        for (word, state) in states where object[word] != nil {
            try ScriptFields.check(object, path, [word])
            return .status(state, text: try reader.text(word), progress: nil)
        }
        throw FieldViolation(path, "is no step: \(known)")
    }

    private static let states: [String: TaskState] = [
        "submitted": .submitted, "working": .working, "completed": .completed, "failed": .failed,
        "canceled": .canceled, "rejected": .rejected, "input-required": .inputRequired,
        "auth-required": .authRequired, "complete": .completed, "fail": .failed, "reject": .rejected,
    ]

    private static let known =
        "status, message, artifact, chunk, wait, crash, working, complete, fail, reject, input-required, auth-required"

    private static func artifact(
        _ reader: FieldReader, _ name: String, _ more: [String]
    ) throws(FieldViolation) -> Artifact {
        let value = reader.value(name) ?? .null
        let path = reader.path(of: name)
        guard let object = value.objectValue else { throw FieldViolation(path, "must be a mapping") }
        try ScriptFields.check(object, path, ["id", "name", "description", "parts"] + partNames + more)
        let fields = FieldReader(object, at: path)
        let content = try parts(object["parts"] ?? .object(object.only(partNames)), path)
        return Artifact(
            artifactID: try fields.text("id") ?? "artifact", name: try fields.text("name"),
            description: try fields.text("description"), parts: content)
    }

    private static let partNames = ["text", "bytes", "url", "data", "filename", "mediaType"]

    /// A text, a mapping of one part, or a list of such mappings.
    private static func parts(_ value: JSONValue, _ path: String) throws(FieldViolation) -> [Part] {
        switch value {
        case .string(let text): return [.text(text)]
        case .array(let elements):
            var parts: [Part] = []
            for (index, element) in elements.enumerated() {
                parts += try self.parts(element, "\(path)[\(index)]")
            }
            guard !parts.isEmpty else { throw FieldViolation(path, "must have a part") }
            return parts
        case .object(var object):
            try ScriptFields.check(object, path, partNames)
            if let bytes = object["bytes"] {
                object["bytes"] = nil
                object["raw"] = bytes
            }
            let part = try Part(json: .object(object), at: path)
            guard part.content != nil else { throw FieldViolation(path, "must have text, bytes, url or data") }
            return [part]
        default: throw FieldViolation(path, "must be a text, a part or a list of parts")
        }
    }
}

/// The members of a mapping, all of whose names are known.
private struct ScriptFields {
    let reader: FieldReader

    init(_ value: JSONValue, _ path: String, _ names: [String]) throws(FieldViolation) {
        guard let object = value.objectValue else { throw FieldViolation(path, "must be a mapping") }
        try Self.check(object, path, names)
        reader = FieldReader(object, at: path)
    }

    static func check(_ object: JSONObject, _ path: String, _ names: [String]) throws(FieldViolation) {
        for (name, _) in object.members where !names.contains(name) {
            throw FieldViolation(
                path.isEmpty ? name.truncatedForMessage : "\(path).\(name.truncatedForMessage)", "is not known here")
        }
    }
}

extension JSONObject {
    fileprivate func only(_ names: [String]) -> JSONObject {
        JSONObject(members.filter { names.contains($0.name) }.map { ($0.name, $0.value) })
    }
}
