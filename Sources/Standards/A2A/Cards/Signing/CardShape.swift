import JOSE

/// Which members the messages of a card have, and which of them stay when they are empty: what the canonical form of a card
/// needs to know of the `.proto` file (A2A 1.0.1 §8.4.1).
struct CardShape: Sendable {
    indirect enum Kind: Sendable {
        case text
        case flag
        case texts
        /// Any object.
        case free
        case message(CardShape)
        case messages(CardShape)
        case textMap
        case messageMap(CardShape)
    }

    enum Presence: Sendable {
        /// REQUIRED: written whatever its value.
        case required
        /// `optional`: written if it is there, be it empty.
        case tracked
        /// Written unless it has its default.
        case implicit
    }

    struct Field: Sendable {
        let name: String
        let kind: Kind
        let presence: Presence
    }

    let fields: [Field]

    private init(
        required: KeyValuePairs<String, Kind> = [:], tracked: KeyValuePairs<String, Kind> = [:],
        _ implicit: KeyValuePairs<String, Kind> = [:]
    ) {
        fields =
            required.map { Field(name: $0, kind: $1, presence: .required) }
            + tracked.map { Field(name: $0, kind: $1, presence: .tracked) }
            + implicit.map { Field(name: $0, kind: $1, presence: .implicit) }
    }

    /// A card without its signatures.
    static let card = CardShape(
        required: [
            "name": .text, "description": .text, "supportedInterfaces": .messages(interface), "version": .text,
            "capabilities": .message(capabilities), "defaultInputModes": .texts, "defaultOutputModes": .texts,
            "skills": .messages(skill),
        ],
        tracked: ["documentationUrl": .text, "iconUrl": .text],
        [
            "provider": .message(provider), "securitySchemes": .messageMap(scheme),
            "securityRequirements": .messages(requirement),
        ])

    private static let interface = CardShape(
        required: ["url": .text, "protocolBinding": .text, "protocolVersion": .text], ["tenant": .text])
    private static let provider = CardShape(required: ["url": .text, "organization": .text])
    private static let capabilities = CardShape(
        tracked: ["streaming": .flag, "pushNotifications": .flag, "extendedAgentCard": .flag],
        ["extensions": .messages(agentExtension)])
    private static let agentExtension = CardShape(
        ["uri": .text, "description": .text, "required": .flag, "params": .free])
    private static let skill = CardShape(
        required: ["id": .text, "name": .text, "description": .text, "tags": .texts],
        [
            "examples": .texts, "inputModes": .texts, "outputModes": .texts,
            "securityRequirements": .messages(requirement),
        ])
    private static let requirement = CardShape([
        "schemes": .messageMap(CardShape(["list": .texts]))
    ])

    private static let scheme = CardShape([
        "apiKeySecurityScheme": .message(
            CardShape(required: ["location": .text, "name": .text], ["description": .text])),
        "httpAuthSecurityScheme": .message(
            CardShape(required: ["scheme": .text], ["description": .text, "bearerFormat": .text])),
        "oauth2SecurityScheme": .message(
            CardShape(
                required: ["flows": .message(flows)], ["description": .text, "oauth2MetadataUrl": .text])),
        "openIdConnectSecurityScheme": .message(
            CardShape(required: ["openIdConnectUrl": .text], ["description": .text])),
        "mtlsSecurityScheme": .message(CardShape(["description": .text])),
    ])

    private static let flows = CardShape([
        "authorizationCode": .message(
            CardShape(
                required: ["authorizationUrl": .text, "tokenUrl": .text, "scopes": .textMap],
                ["refreshUrl": .text, "pkceRequired": .flag])),
        "clientCredentials": .message(
            CardShape(required: ["tokenUrl": .text, "scopes": .textMap], ["refreshUrl": .text])),
        "implicit": .message(
            CardShape(["authorizationUrl": .text, "refreshUrl": .text, "scopes": .textMap])),
        "password": .message(CardShape(["tokenUrl": .text, "refreshUrl": .text, "scopes": .textMap])),
        "deviceCode": .message(
            CardShape(
                required: ["deviceAuthorizationUrl": .text, "tokenUrl": .text, "scopes": .textMap],
                ["refreshUrl": .text])),
    ])
}

extension CardShape {
    /// The object with its defaults left out or put in as the standard wants them; members that the shape does not have are
    /// kept as they are or left out.
    func canonical(_ object: JSONObject, keepingUnknown: Bool) -> JSONObject {
        let reader = FieldReader(object)
        var members: [(String, JSONValue)] = []
        for field in fields {
            let value = reader.value(field.name)
            if let value = canonical(value, field, keepingUnknown) { members.append((field.name, value)) }
        }
        if keepingUnknown { members += unknownMembers(of: object) }
        return JSONObject(members)
    }

    /// The members of an object that the shape does not have.
    func unknownMembers(of object: JSONObject) -> [(String, JSONValue)] {
        object.members.filter { member in
            !fields.contains {
                $0.name.hasSameBytes(as: member.name)
                    || FieldReader.protoName($0.name).hasSameBytes(as: member.name)
            }
        }.map { ($0.name, $0.value) }
    }

    /// The REQUIRED members that an object does not have, at every depth.
    func missingMembers(of object: JSONObject) -> [FieldViolation] {
        messages(in: object).flatMap { message in
            message.shape.fields.filter { field in
                field.presence == .required && message.reader.value(field.name) == nil
            }.map { message.reader.violation($0.name, "is required") }
        }
    }

    /// Members that stand there in both spellings, at every depth. One would be read and signed, the other carried along.
    func membersInBothSpellings(of object: JSONObject) -> [FieldViolation] {
        messages(in: object).flatMap { message in
            message.shape.fields.filter { field in
                let other = FieldReader.protoName(field.name)
                return !other.hasSameBytes(as: field.name) && message.reader.object[field.name] != nil
                    && message.reader.object[other] != nil
            }.map { message.reader.violation($0.name, "stands there in both spellings") }
        }
    }

    /// The paths of members that no shape has, at every depth.
    func unknownPaths(of object: JSONObject) -> [String] {
        messages(in: object).flatMap { message in
            message.shape.unknownMembers(of: message.reader.object).map { name, _ in
                message.reader.path(of: name.truncatedForMessage)
            }
        }
    }

    private struct Message {
        let shape: CardShape
        let reader: FieldReader
    }

    /// The object as a message of this shape, and the messages in it at every depth.
    private func messages(in object: JSONObject, at path: String = "") -> [Message] {
        let reader = FieldReader(object, at: path)
        var messages = [Message(shape: self, reader: reader)]
        for field in fields {
            let path = reader.path(of: field.name)
            switch (field.kind, reader.value(field.name)) {
            case (.message(let shape), .object(let object)?):
                messages += shape.messages(in: object, at: path)
            case (.messages(let shape), .array(let elements)?):
                for (index, element) in elements.enumerated() {
                    guard let object = element.objectValue else { continue }
                    messages += shape.messages(in: object, at: "\(path)[\(index)]")
                }
            case (.messageMap(let shape), .object(let map)?):
                for (key, value) in map.members {
                    guard let object = value.objectValue else { continue }
                    messages += shape.messages(in: object, at: "\(path).\(key.truncatedForMessage)")
                }
            default: break
            }
        }
        return messages
    }

    /// A member's value in canonical form; none if the member is left out.
    private func canonical(_ value: JSONValue?, _ field: Field, _ keepingUnknown: Bool) -> JSONValue? {
        guard let value else { return field.presence == .required ? field.kind.empty : Optional.none }
        switch (field.kind, value) {
        case (.message(let shape), .object(let object)):
            return .object(shape.canonical(object, keepingUnknown: keepingUnknown))
        case (.free, _): return value
        case (_, _) where field.presence == .implicit && value == field.kind.empty: return Optional.none
        case (.messages(let shape), .array(let elements)):
            return .array(
                elements.map { element in
                    element.objectValue.map { .object(shape.canonical($0, keepingUnknown: keepingUnknown)) } ?? element
                })
        case (.messageMap(let shape), .object(let map)):
            return .object(
                JSONObject(
                    map.members.map { key, value in
                        let object = value.objectValue.map { shape.canonical($0, keepingUnknown: keepingUnknown) }
                        return (key, object.map { .object($0) } ?? value)
                    }))
        default: return value
        }
    }
}

extension CardShape.Kind {
    /// What a member of this kind is when it says nothing.
    var empty: JSONValue {
        switch self {
        case .text: ""
        case .flag: false
        case .texts, .messages: .array([])
        case .free, .message, .textMap, .messageMap: .object(JSONObject())
        }
    }
}
