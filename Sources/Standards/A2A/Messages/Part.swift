public import JOSE

/// A piece of the content of a message or an artifact (A2A 1.0.1 §4.1.6).
public struct Part: Sendable, Equatable, ProtoJSONMessage {
    /// The content itself.
    public enum Content: Sendable, Equatable {
        /// Plain text.
        case text(String)
        /// The bytes of a file.
        case raw([UInt8])
        /// Where a file lies.
        case url(String)
        /// Structured data.
        case data(JSONValue)
    }

    /// The content; `nil` for a part of a kind that version 1.0 does not know.
    public var content: Content?
    /// Further data, under names that are or start with the URI of an extension.
    public var metadata: JSONObject
    /// A name for the file, such as `report.pdf`.
    public var filename: String?
    /// The media type of the content.
    public var mediaType: String?

    /// A part with this content.
    public init(
        _ content: Content?, filename: String? = nil, mediaType: String? = nil, metadata: JSONObject = JSONObject()
    ) {
        self.content = content
        self.metadata = metadata
        self.filename = filename
        self.mediaType = mediaType
    }

    /// A part of plain text.
    public static func text(_ text: String) -> Part { Part(.text(text)) }

    /// A part of structured data.
    public static func data(_ value: JSONValue) -> Part { Part(.data(value)) }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        var contents: [Content] = []
        if fields.value("text") != nil { contents.append(.text(try fields.string("text"))) }
        if let bytes = try fields.bytes("raw") { contents.append(.raw(bytes)) }
        if fields.value("url") != nil { contents.append(.url(try fields.string("url"))) }
        // A value that is null is data all the same.
        if fields.has("data") { contents.append(.data(fields.value("data") ?? .null)) }
        guard contents.count <= 1 else {
            throw FieldViolation(fields.path(of: "content"), "must be one of text, raw, url and data")
        }
        content = contents.first
        metadata = try fields.object("metadata")
        filename = try fields.text("filename")
        mediaType = try fields.text("mediaType")
    }

    package func write(to fields: inout FieldWriter) {
        switch content {
        case .text(let text): fields.write("text", text)
        case .raw(let bytes): fields.write("raw", base64: bytes)
        case .url(let url): fields.write("url", url)
        case .data(let value): fields.write("data", value)
        case nil: break
        }
        fields.writeUnlessEmpty("metadata", metadata)
        fields.writeIfPresent("filename", filename)
        fields.writeIfPresent("mediaType", mediaType)
    }
}
