package import JOSE

/// Reads the members of a metadata document; what is there has to have its type.
struct MetadataReader {
    let json: JSONObject

    /// Longest document that is read, in bytes.
    static let maximumBytes = 64 * 1024
    /// The most texts of one list.
    static let maximumListCount = 512

    init(parsing bytes: some Collection<UInt8>) throws(MetadataError) {
        do {
            json = try JSONObject(
                parsing: bytes, limits: JSONLimits(maximumBytes: Self.maximumBytes, maximumDepth: 12))
        } catch {
            throw .json(error)
        }
    }

    init(json: JSONObject) {
        self.json = json
    }

    func string(_ name: String) throws(MetadataError) -> String? {
        guard let value = json[name] else { return nil }
        guard let text = value.stringValue else { throw .wrongType(name) }
        return text
    }

    /// An `https` URL without fragment.
    func endpoint(_ name: String) throws(MetadataError) -> String? {
        guard let text = try string(name) else { return nil }
        guard let url = try? WebURL(text), url.isSecure, !url.hasFragment else { throw .badURL(name) }
        return text
    }

    func list(_ name: String) throws(MetadataError) -> [String]? {
        guard let value = json[name] else { return nil }
        guard let texts = value.stringArrayValue else { throw .wrongType(name) }
        guard texts.count <= Self.maximumListCount else { throw .tooLong(name) }
        return texts
    }

    func flag(_ name: String) throws(MetadataError) -> Bool? {
        guard let value = json[name] else { return nil }
        guard let flag = value.boolValue else { throw .wrongType(name) }
        return flag
    }

    /// The members whose names are none of these.
    func others(than known: [String]) -> JSONObject {
        JSONObject(
            json.members
                .filter { member in !known.contains { $0.hasSameBytes(as: member.name) } }
                .map { ($0.name, $0.value) })
    }
}

/// The members of a document in their order; those without a value are left out.
struct MetadataWriter {
    var json = JSONObject()

    mutating func add(_ name: String, _ text: String?) {
        if let text { json[name] = .string(text) }
    }

    mutating func add(_ name: String, _ texts: [String]?) {
        if let texts { json[name] = .array(texts.map { .string($0) }) }
    }

    mutating func add(_ name: String, _ flag: Bool?) {
        if let flag { json[name] = .bool(flag) }
    }

    /// Members of a profile; none takes the place of another.
    mutating func add(_ others: JSONObject) {
        for (name, value) in others.members where json[name] == nil { json[name] = value }
    }
}

/// Where the metadata of an issuer or a resource are.
enum WellKnown {
    /// The well-known path between host and path (RFC 8414 §3, RFC 9728 §3.1).
    static func inserted(_ suffix: String, into url: WebURL) -> String {
        let path = url.path == "/" ? "" : url.path
        return url.origin + "/.well-known/" + suffix + path + (url.query.map { "?" + $0 } ?? "")
    }
}

/// Why a metadata document is refused.
package enum MetadataError: Error, Sendable, Equatable, CustomStringConvertible {
    case json(JSONParseError)
    case missingMember(String)
    case wrongType(String)
    /// Not an `https` URL without fragment.
    case badURL(String)
    case tooLong(String)
    /// `issuer` is not the issuer that was asked, byte by byte (RFC 8414 §3.3).
    case wrongIssuer
    /// `resource` is not the resource that was asked, byte by byte (RFC 9728 §3.3).
    case wrongResource

    package var description: String {
        switch self {
        case .json(let error): error.description
        case .missingMember(let name): "metadata lack member `\(name)`"
        case .wrongType(let name): "member `\(name)` of metadata has the wrong type"
        case .badURL(let name): "member `\(name)` of metadata is not an https url"
        case .tooLong(let name): "member `\(name)` of metadata is too long"
        case .wrongIssuer: "metadata are of another issuer"
        case .wrongResource: "metadata are of another resource"
        }
    }
}
