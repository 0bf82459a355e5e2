public import JOSE

/// What of the protocol an agent can do (A2A 1.0.1 §4.4.3); `nil` says nothing, which clients take for no.
public struct AgentCapabilities: Sendable, Equatable, ProtoJSONMessage {
    /// Whether it answers with streams of events.
    public var streaming: Bool?
    /// Whether it tells of updates by push notifications.
    public var pushNotifications: Bool?
    /// Extensions of the protocol that it knows.
    public var extensions: [AgentExtension]
    /// Whether authenticated callers can ask for a card that says more.
    public var extendedAgentCard: Bool?

    /// Capabilities.
    public init(
        streaming: Bool? = nil, pushNotifications: Bool? = nil, extensions: [AgentExtension] = [],
        extendedAgentCard: Bool? = nil
    ) {
        self.streaming = streaming
        self.pushNotifications = pushNotifications
        self.extensions = extensions
        self.extendedAgentCard = extendedAgentCard
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        streaming = try fields.optionalBool("streaming")
        pushNotifications = try fields.optionalBool("pushNotifications")
        extensions = try fields.messages("extensions")
        extendedAgentCard = try fields.optionalBool("extendedAgentCard")
    }

    package func write(to fields: inout FieldWriter) {
        fields.writeIfPresent("streaming", streaming)
        fields.writeIfPresent("pushNotifications", pushNotifications)
        fields.writeUnlessEmpty("extensions", extensions)
        fields.writeIfPresent("extendedAgentCard", extendedAgentCard)
    }
}

/// An extension of the protocol that an agent knows (A2A 1.0.1 §4.4.4).
public struct AgentExtension: Sendable, Equatable, ProtoJSONMessage {
    /// The URI that names it.
    public var uri: String
    /// How the agent uses it, for people.
    public var description: String?
    /// Whether clients must know it.
    public var required: Bool
    /// What the extension wants to know, in a shape of its own; `nil` is not the same as empty.
    public var params: JSONObject?

    /// An extension.
    public init(uri: String, description: String? = nil, required: Bool = false, params: JSONObject? = nil) {
        self.uri = uri
        self.description = description
        self.required = required
        self.params = params
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        uri = try fields.string("uri")
        description = try fields.text("description")
        required = try fields.bool("required")
        params = fields.value("params") == nil ? nil : try fields.object("params")
    }

    package func write(to fields: inout FieldWriter) {
        if !uri.isEmpty { fields.write("uri", uri) }
        fields.writeIfPresent("description", description)
        fields.writeIfTrue("required", required)
        if let params { fields.write("params", params) }
    }
}
