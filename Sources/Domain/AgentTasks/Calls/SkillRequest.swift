public import A2A
public import JOSE

/// Which skill a client asks for: our extension, since the protocol has no member for it.
///
/// It stands in the metadata of the request or of its message under the extension's URI, as `{"skill": "ID"}`.
public enum SkillRequest {
    /// The extension.
    public static let extensionURI = "https://agentshield.dev/a2a/skill/v1"

    /// Metadata that name a skill.
    public static func metadata(skill: String) -> JSONObject { [extensionURI: ["skill": .string(skill)]] }

    /// The skill that a task was begun for.
    static func skill(of task: AgentTask) -> String? {
        task.metadata[extensionURI]?.objectValue?["skill"]?.stringValue
    }

    /// The skill that a request names; the request's own metadata go before those of the message.
    static func skill(of request: SendMessageRequest) throws(A2AError) -> String? {
        for (metadata, field) in [(request.metadata, "metadata"), (request.message.metadata, "message.metadata")] {
            guard let value = metadata[extensionURI] else { continue }
            guard let skill = value.objectValue?["skill"]?.stringValue, Identifier.isAcceptable(skill) else {
                throw .invalid(FieldViolation(field, "must name a skill as {\"skill\": \"ID\"}"))
            }
            return skill
        }
        return nil
    }
}
