public import JOSE

/// One unit of communication between a client and an agent (A2A 1.0.1 §4.1.4).
public struct Message: Sendable, Equatable, ProtoJSONMessage {
    /// Who sent a message.
    public enum Role: Int32, ProtoEnumeration {
        /// Not said; no valid message has it.
        case unspecified = 0
        /// From the client to the agent.
        case user = 1
        /// From the agent to the client.
        case agent = 2

        package var protoName: String {
            switch self {
            case .unspecified: "ROLE_UNSPECIFIED"
            case .user: "ROLE_USER"
            case .agent: "ROLE_AGENT"
            }
        }
    }

    /// Chosen by whoever made the message; REQUIRED.
    public var messageID: String
    /// The conversation that it belongs to.
    public var contextID: String?
    /// The task that it belongs to.
    public var taskID: String?
    /// Who sent it.
    public var role: Role
    /// The content; at least one part.
    public var parts: [Part]
    /// Further data, under names that are or start with the URI of an extension.
    public var metadata: JSONObject
    /// URIs of the extensions that contributed to the message.
    public var extensions: [String]
    /// Other tasks that it refers to.
    public var referenceTaskIDs: [String]

    /// A message; the client or the server that sends it fills in what belongs to the conversation.
    public init(
        messageID: String, contextID: String? = nil, taskID: String? = nil, role: Role, parts: [Part],
        metadata: JSONObject = JSONObject(), extensions: [String] = [], referenceTaskIDs: [String] = []
    ) {
        self.messageID = messageID
        self.contextID = contextID
        self.taskID = taskID
        self.role = role
        self.parts = parts
        self.metadata = metadata
        self.extensions = extensions
        self.referenceTaskIDs = referenceTaskIDs
    }

    /// The text of all text parts, one after another on lines of their own.
    public var text: String {
        parts.compactMap { if case .text(let text) = $0.content { text } else { nil } }.joined(separator: "\n")
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        messageID = try fields.string("messageId")
        contextID = try fields.text("contextId")
        taskID = try fields.text("taskId")
        role = try fields.enumeration("role", Role.self) ?? .unspecified
        parts = try fields.messages("parts")
        metadata = try fields.object("metadata")
        extensions = try fields.strings("extensions")
        referenceTaskIDs = try fields.strings("referenceTaskIds")
    }

    package func write(to fields: inout FieldWriter) {
        fields.write("messageId", messageID)
        fields.writeIfPresent("contextId", contextID)
        fields.writeIfPresent("taskId", taskID)
        fields.write("role", role)
        fields.write("parts", parts)
        fields.writeUnlessEmpty("metadata", metadata)
        fields.writeUnlessEmpty("extensions", extensions)
        fields.writeUnlessEmpty("referenceTaskIds", referenceTaskIDs)
    }
}
