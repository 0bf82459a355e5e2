public import JOSE

/// A signature over a card: a JWS (RFC 7515) whose payload is the card in canonical form (A2A 1.0.1 §4.4.7, §8.4).
public struct AgentCardSignature: Sendable, Equatable, ProtoJSONMessage {
    /// The protected header, base64url; REQUIRED.
    public var protected: String
    /// The signature, base64url; REQUIRED.
    public var signature: String
    /// Header members that nothing protects.
    public var header: JSONObject?

    /// A signature.
    public init(protected: String, signature: String, header: JSONObject? = nil) {
        self.protected = protected
        self.signature = signature
        self.header = header
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        protected = try fields.string("protected")
        signature = try fields.string("signature")
        header = fields.value("header") == nil ? nil : try fields.object("header")
    }

    package func write(to fields: inout FieldWriter) {
        fields.write("protected", protected)
        fields.write("signature", signature)
        if let header { fields.write("header", header) }
    }
    var json: JSONObject {
        var members: [(String, JSONValue)] = [
            ("protected", .string(protected)), ("signature", .string(signature)),
        ]
        if let header { members.append(("header", .object(header))) }
        return JSONObject(members)
    }
}
