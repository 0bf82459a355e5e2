/// Schemes that a caller needs all of; of several requirements one is enough (A2A 1.0.1 §4.5).
///
/// A requirement without schemes is met by a caller who proves nothing.
public struct SecurityRequirement: Sendable, Equatable, ProtoJSONMessage {
    /// What a scheme must grant, `StringList` in the protocol.
    struct Scopes: Sendable, Equatable, ProtoJSONMessage {
        var list: [String]

        init(_ list: [String]) {
            self.list = list
        }

        init(reading fields: FieldReader) throws(FieldViolation) {
            list = try fields.strings("list")
        }

        func write(to fields: inout FieldWriter) {
            fields.writeUnlessEmpty("list", list)
        }
    }

    /// The scopes that each scheme must grant, under the scheme's name in the card.
    public var schemes: ProtoMap<[String]>

    /// A requirement.
    public init(_ schemes: ProtoMap<[String]>) {
        self.schemes = schemes
    }

    package init(reading fields: FieldReader) throws(FieldViolation) {
        schemes = ProtoMap(mapping: try ProtoMap<Scopes>(reading: "schemes", of: fields), \.list)
    }

    package func write(to fields: inout FieldWriter) {
        fields.writeUnlessEmpty("schemes", ProtoMap(mapping: schemes, Scopes.init))
    }
}
