/// Something that an agent can do (A2A 1.0.1 §4.4.5).
public struct AgentSkill: Sendable, Equatable, ProtoJSONMessage {
    /// Unique within the card; REQUIRED.
    public var id: String
    /// A name for people; REQUIRED.
    public var name: String
    /// What it does, for people and other agents; REQUIRED.
    public var description: String
    /// Words to find it by; REQUIRED.
    public var tags: [String]
    /// Requests that it can serve.
    public var examples: [String]
    /// Media types that it takes; empty for those of the card.
    public var inputModes: [String]
    /// Media types that it gives; empty for those of the card.
    public var outputModes: [String]
    /// What a caller needs for it: one of these requirements; empty for those of the card.
    public var securityRequirements: [SecurityRequirement]

    /// A skill.
    public init(
        id: String, name: String, description: String, tags: [String], examples: [String] = [],
        inputModes: [String] = [], outputModes: [String] = [], securityRequirements: [SecurityRequirement] = []
    ) {
        self.id = id
        self.name = name
        self.description = description
        self.tags = tags
        self.examples = examples
        self.inputModes = inputModes
        self.outputModes = outputModes
        self.securityRequirements = securityRequirements
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        id = try fields.string("id")
        name = try fields.string("name")
        description = try fields.string("description")
        tags = try fields.strings("tags")
        examples = try fields.strings("examples")
        inputModes = try fields.strings("inputModes")
        outputModes = try fields.strings("outputModes")
        securityRequirements = try fields.messages("securityRequirements")
    }

    package func write(to fields: inout FieldWriter) {
        fields.write("id", id)
        fields.write("name", name)
        fields.write("description", description)
        fields.write("tags", tags)
        fields.writeUnlessEmpty("examples", examples)
        fields.writeUnlessEmpty("inputModes", inputModes)
        fields.writeUnlessEmpty("outputModes", outputModes)
        fields.writeUnlessEmpty("securityRequirements", securityRequirements)
    }
}
