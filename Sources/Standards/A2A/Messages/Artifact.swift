public import JOSE

/// Something that a task has made (A2A 1.0.1 §4.1.7).
public struct Artifact: Sendable, Equatable, ProtoJSONMessage {
    /// Unique within its task; REQUIRED.
    public var artifactID: String
    /// A name for people.
    public var name: String?
    /// What it is, for people.
    public var description: String?
    /// The content; at least one part.
    public var parts: [Part]
    /// Further data, under names that are or start with the URI of an extension.
    public var metadata: JSONObject
    /// URIs of the extensions that contributed to the artifact.
    public var extensions: [String]

    /// An artifact, or a chunk of one.
    public init(
        artifactID: String, name: String? = nil, description: String? = nil, parts: [Part],
        metadata: JSONObject = JSONObject(), extensions: [String] = []
    ) {
        self.artifactID = artifactID
        self.name = name
        self.description = description
        self.parts = parts
        self.metadata = metadata
        self.extensions = extensions
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        artifactID = try fields.string("artifactId")
        name = try fields.text("name")
        description = try fields.text("description")
        parts = try fields.messages("parts")
        metadata = try fields.object("metadata")
        extensions = try fields.strings("extensions")
    }

    package func write(to fields: inout FieldWriter) {
        fields.write("artifactId", artifactID)
        fields.writeIfPresent("name", name)
        fields.writeIfPresent("description", description)
        fields.write("parts", parts)
        fields.writeUnlessEmpty("metadata", metadata)
        fields.writeUnlessEmpty("extensions", extensions)
    }
}
