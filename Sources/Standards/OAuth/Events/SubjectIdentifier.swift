package import JOSE

/// Whom a security event is about, or what somebody wants ended (RFC 9493).
package enum SubjectIdentifier: Sendable, Hashable {
    /// A URI (§3.2.7), such as a SPIFFE ID.
    case uri(String)
    /// An identifier without a form (§3.2.6): a client ID.
    case opaque(String)
    /// A subject by the word of an issuer (§3.2.5).
    case issuerSubject(issuer: String, subject: String)
    /// A token by its `jti` (Shared Signals Framework 1.0 §3.5.1).
    case tokenID(issuer: String, tokenID: String)
    /// Another format, well-formed and without meaning here: accounts, mail addresses, telephone numbers, complex subjects.
    case other(format: String)

    /// Longest member, in bytes.
    package static let maximumLength = 2048
    /// Longest `jti`, in bytes.
    package static let maximumTokenIDLength = 256

    /// The value of `sub_id`: exactly the members that its format has (§3), each a text that is not empty.
    package init(parsing value: JSONValue) throws(ParseError) {
        guard let object = value.objectValue else { throw .notAnObject }
        guard let format = object["format"] else {
            // A complex subject of shared signals has members by their role instead.
            guard !object.isEmpty, object.members.allSatisfy({ $0.value.objectValue != nil }) else {
                throw .missingFormat
            }
            self = .other(format: "complex")
            return
        }
        guard let name = format.stringValue, Self.isText(name, limit: 64) else { throw .badFormat }
        switch name {
        case "uri": self = .uri(try Self.members(["uri"], of: object)[0])
        case "opaque": self = .opaque(try Self.members(["id"], of: object)[0])
        case "iss_sub":
            let members = try Self.members(["iss", "sub"], of: object)
            self = .issuerSubject(issuer: members[0], subject: members[1])
        case "jwt_id":
            let members = try Self.members(["iss", "jti"], of: object)
            guard members[1].utf8.count <= Self.maximumTokenIDLength else { throw .badMember("jti") }
            self = .tokenID(issuer: members[0], tokenID: members[1])
        default: self = .other(format: name)
        }
    }

    package var json: JSONObject {
        switch self {
        case .uri(let uri): ["format": "uri", "uri": .string(uri)]
        case .opaque(let id): ["format": "opaque", "id": .string(id)]
        case .issuerSubject(let issuer, let subject):
            ["format": "iss_sub", "iss": .string(issuer), "sub": .string(subject)]
        case .tokenID(let issuer, let id): ["format": "jwt_id", "iss": .string(issuer), "jti": .string(id)]
        case .other(let format): ["format": .string(format)]
        }
    }

    private static func members(_ names: [String], of object: JSONObject) throws(ParseError) -> [String] {
        guard object.count == names.count + 1 else { throw .otherMembers }
        var values: [String] = []
        for name in names {
            guard let text = object[name]?.stringValue, isText(text, limit: maximumLength) else {
                throw .badMember(name)
            }
            values.append(text)
        }
        return values
    }

    private static func isText(_ text: String, limit: Int) -> Bool {
        (1...limit).contains(text.utf8.count) && text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f }
    }

    /// Why a value identifies nobody.
    package enum ParseError: Error, Sendable, Hashable, CustomStringConvertible {
        case notAnObject
        /// Neither a format nor a complex subject.
        case missingFormat
        case badFormat
        /// A member is missing, no text, empty or too long.
        case badMember(String)
        /// A member that the format does not have (RFC 9493 §3).
        case otherMembers

        package var description: String {
            switch self {
            case .notAnObject: "the subject identifier is no object"
            case .missingFormat: "the subject identifier has no `format`"
            case .badFormat: "`format` of the subject identifier is no name"
            case .badMember(let name): "member `\(name)` of the subject identifier is missing, empty or too long"
            case .otherMembers: "the subject identifier has members that its format does not have"
            }
        }
    }
}
