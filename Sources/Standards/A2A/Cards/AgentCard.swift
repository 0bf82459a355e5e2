/// What an agent says of itself: who it is, where it is called, what it can do and how to prove oneself to it
/// (A2A 1.0.1 §4.4.1).
///
/// A card that was read is a claim; only a signature over it makes it more.
public struct AgentCard: Sendable, Equatable, ProtoJSONMessage {
    /// A name for people; REQUIRED.
    public var name: String
    /// What the agent does, for people and other agents; REQUIRED.
    public var description: String
    /// Where it is called, the preferred interface first; REQUIRED.
    public var supportedInterfaces: [AgentInterface]
    /// Who offers it.
    public var provider: AgentProvider?
    /// The agent's own version; REQUIRED.
    public var version: String
    /// Where its documentation is.
    public var documentationURL: String?
    /// What of the protocol it can do; REQUIRED.
    public var capabilities: AgentCapabilities
    /// Ways to authenticate, under the names that requirements use.
    public var securitySchemes: ProtoMap<SecurityScheme>
    /// Which schemes a caller needs: one of these requirements.
    public var securityRequirements: [SecurityRequirement]
    /// Media types that it takes unless a skill says otherwise; REQUIRED.
    public var defaultInputModes: [String]
    /// Media types that it gives unless a skill says otherwise; REQUIRED.
    public var defaultOutputModes: [String]
    /// What it can do; REQUIRED.
    public var skills: [AgentSkill]
    /// Signatures over the card.
    public var signatures: [AgentCardSignature]
    /// Where a picture of it is.
    public var iconURL: String?

    /// A card without signatures, unless some are given.
    public init(
        name: String, description: String, version: String, supportedInterfaces: [AgentInterface],
        provider: AgentProvider? = nil, documentationURL: String? = nil,
        capabilities: AgentCapabilities = AgentCapabilities(), securitySchemes: ProtoMap<SecurityScheme> = [:],
        securityRequirements: [SecurityRequirement] = [], defaultInputModes: [String] = ["text/plain"],
        defaultOutputModes: [String] = ["text/plain"], skills: [AgentSkill], signatures: [AgentCardSignature] = [],
        iconURL: String? = nil
    ) {
        self.name = name
        self.description = description
        self.supportedInterfaces = supportedInterfaces
        self.provider = provider
        self.version = version
        self.documentationURL = documentationURL
        self.capabilities = capabilities
        self.securitySchemes = securitySchemes
        self.securityRequirements = securityRequirements
        self.defaultInputModes = defaultInputModes
        self.defaultOutputModes = defaultOutputModes
        self.skills = skills
        self.signatures = signatures
        self.iconURL = iconURL
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        name = try fields.string("name")
        description = try fields.string("description")
        supportedInterfaces = try fields.messages("supportedInterfaces")
        provider = try fields.message("provider")
        version = try fields.string("version")
        documentationURL = try fields.optionalString("documentationUrl")
        capabilities = try fields.message("capabilities") ?? AgentCapabilities()
        securitySchemes = try ProtoMap(reading: "securitySchemes", of: fields)
        securityRequirements = try fields.messages("securityRequirements")
        defaultInputModes = try fields.strings("defaultInputModes")
        defaultOutputModes = try fields.strings("defaultOutputModes")
        skills = try fields.messages("skills")
        signatures = try fields.messages("signatures")
        iconURL = try fields.optionalString("iconUrl")
    }

    package func write(to fields: inout FieldWriter) {
        fields.write("name", name)
        fields.write("description", description)
        fields.write("supportedInterfaces", supportedInterfaces)
        fields.writeIfPresent("provider", provider)
        fields.write("version", version)
        fields.writeIfPresent("documentationUrl", documentationURL)
        fields.write("capabilities", capabilities)
        fields.writeUnlessEmpty("securitySchemes", securitySchemes)
        fields.writeUnlessEmpty("securityRequirements", securityRequirements)
        fields.write("defaultInputModes", defaultInputModes)
        fields.write("defaultOutputModes", defaultOutputModes)
        fields.write("skills", skills)
        fields.writeUnlessEmpty("signatures", signatures)
        fields.writeIfPresent("iconUrl", iconURL)
    }
}

/// Who offers an agent (A2A 1.0.1 §4.4.2).
public struct AgentProvider: Sendable, Equatable, ProtoJSONMessage {
    /// The provider's web site; REQUIRED.
    public var url: String
    /// The provider's name; REQUIRED.
    public var organization: String

    /// A provider.
    public init(url: String, organization: String) {
        self.url = url
        self.organization = organization
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        url = try fields.string("url")
        organization = try fields.string("organization")
    }

    package func write(to fields: inout FieldWriter) {
        fields.write("url", url)
        fields.write("organization", organization)
    }
}
