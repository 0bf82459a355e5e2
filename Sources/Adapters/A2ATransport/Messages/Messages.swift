package import A2A
import FoundationEssentials
import SwiftProtobuf

extension Message: WireMessage {
    package init(_ wire: Lf_A2a_V1_Message) throws(FieldViolation) {
        self.init(
            messageID: wire.messageID, contextID: wire.contextID.unlessEmpty, taskID: wire.taskID.unlessEmpty,
            role: try FieldViolation.at("role") { () throws(FieldViolation) in try Role(wire.role) },
            parts: try FieldViolation.each("parts", wire.parts, Part.init),
            metadata: try FieldViolation.at("metadata", wire.metadata.json), extensions: wire.extensions,
            referenceTaskIDs: wire.referenceTaskIds)
    }

    package func wire() throws(FieldViolation) -> Lf_A2a_V1_Message {
        var wire = Lf_A2a_V1_Message()
        wire.messageID = messageID
        wire.contextID = contextID ?? ""
        wire.taskID = taskID ?? ""
        wire.role = role.wire
        wire.parts = try FieldViolation.each("parts", parts) { part throws(FieldViolation) in try part.wire() }
        if let metadata = try Google_Protobuf_Struct.metadata(metadata) { wire.metadata = metadata }
        wire.extensions = extensions
        wire.referenceTaskIds = referenceTaskIDs
        return wire
    }
}

extension Part: WireMessage {
    package init(_ wire: Lf_A2a_V1_Part) throws(FieldViolation) {
        let content: Content? =
            switch wire.content {
            case .text(let text): .text(text)
            case .raw(let bytes): .raw([UInt8](bytes))
            case .url(let url): .url(url)
            case .data(let value): .data(try FieldViolation.at("data", value.json))
            case nil: nil
            }
        self.init(
            content, filename: wire.filename.unlessEmpty, mediaType: wire.mediaType.unlessEmpty,
            metadata: try FieldViolation.at("metadata", wire.metadata.json))
    }

    package func wire() throws(FieldViolation) -> Lf_A2a_V1_Part {
        var wire = Lf_A2a_V1_Part()
        switch content {
        case .text(let text): wire.content = .text(text)
        case .raw(let bytes): wire.content = .raw(Data(bytes))
        case .url(let url): wire.content = .url(url)
        case .data(let value):
            wire.content = .data(
                try FieldViolation.at("data") { () throws(FieldViolation) in try Google_Protobuf_Value(value) })
        case nil: break
        }
        if let metadata = try Google_Protobuf_Struct.metadata(metadata) { wire.metadata = metadata }
        wire.filename = filename ?? ""
        wire.mediaType = mediaType ?? ""
        return wire
    }
}

extension Artifact: WireMessage {
    package init(_ wire: Lf_A2a_V1_Artifact) throws(FieldViolation) {
        self.init(
            artifactID: wire.artifactID, name: wire.name.unlessEmpty, description: wire.description_p.unlessEmpty,
            parts: try FieldViolation.each("parts", wire.parts, Part.init),
            metadata: try FieldViolation.at("metadata", wire.metadata.json), extensions: wire.extensions)
    }

    package func wire() throws(FieldViolation) -> Lf_A2a_V1_Artifact {
        var wire = Lf_A2a_V1_Artifact()
        wire.artifactID = artifactID
        wire.name = name ?? ""
        wire.description_p = description ?? ""
        wire.parts = try FieldViolation.each("parts", parts) { part throws(FieldViolation) in try part.wire() }
        if let metadata = try Google_Protobuf_Struct.metadata(metadata) { wire.metadata = metadata }
        wire.extensions = extensions
        return wire
    }
}

extension Google_Protobuf_Struct {
    /// The metadata of a message, with its name in violations; `nil` when there is none.
    static func metadata(_ object: JSONObject) throws(FieldViolation) -> Google_Protobuf_Struct? {
        try FieldViolation.at("metadata") { () throws(FieldViolation) in try unlessEmpty(object) }
    }
}
