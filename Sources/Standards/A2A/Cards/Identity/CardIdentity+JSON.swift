import JOSE
import SPIFFE

extension CardIdentity {
    /// The identity that a card claims; `nil` if it claims none.
    public init?(of card: AgentCard) throws(CardIdentityError) {
        let claimed = card.capabilities.extensions.filter { $0.uri.hasSameBytes(as: Self.extensionURI) }
        guard let first = claimed.first else { return nil }
        guard claimed.count == 1 else { throw .severalIdentities }
        try self.init(params: first.params ?? JSONObject())
    }

    /// Reads the extension's parameters; members that are not known are passed over.
    init(params: JSONObject) throws(CardIdentityError) {
        guard let id = try Self.spiffeID(params["spiffeId"], "spiffeId") else { throw .missing("spiffeId") }
        guard let trustDomain = params["trustDomain"] else { throw .missing("trustDomain") }
        guard let name = trustDomain.stringValue else { throw .malformed("trustDomain") }
        guard id.trustDomain.name.hasSameBytes(as: name) else { throw .otherTrustDomain }
        var gateways: [SPIFFEID] = []
        for gateway in try Self.list(params["gateways"], "gateways") {
            guard let gateway = try Self.spiffeID(gateway, "gateways") else { throw .malformed("gateways") }
            gateways.append(gateway)
        }
        var credentials: [Credential] = []
        for credential in try Self.list(params["credentials"], "credentials") {
            guard let word = credential.stringValue else { throw .malformed("credentials") }
            credentials.append(Credential(rawValue: word))
        }
        try self.init(
            spiffeID: id, gateways: gateways, credentials: credentials,
            skillScopes: try Self.skillScopes(params["skills"]))
    }

    private static func spiffeID(_ value: JSONValue?, _ member: String) throws(CardIdentityError) -> SPIFFEID? {
        guard let value else { return nil }
        guard let text = value.stringValue else { throw .malformed(member) }
        do {
            return try SPIFFEID(text)
        } catch {
            throw .badID(member, error)
        }
    }

    /// The elements of a list; none when it is missing. A list that is there has elements, but not more than a card may have.
    private static func list(_ value: JSONValue?, _ member: String) throws(CardIdentityError) -> [JSONValue] {
        guard let value else { return [] }
        guard let elements = value.arrayValue, !elements.isEmpty else { throw .malformed(member) }
        guard elements.count <= maximumCount else { throw .tooMany(member) }
        return elements
    }

    private static func skillScopes(_ value: JSONValue?) throws(CardIdentityError) -> ProtoMap<[String]> {
        guard let value else { return [:] }
        guard let skills = value.objectValue, !skills.isEmpty else { throw .malformed("skills") }
        guard skills.count <= maximumSkills else { throw .tooMany("skills") }
        var scopes: ProtoMap<[String]> = [:]
        for (skill, rules) in skills.members {
            guard let rules = rules.objectValue else { throw .malformed("skills") }
            // A later rule about a skill may come without scopes.
            guard let list = rules["scopes"] else { continue }
            guard let words = list.stringArrayValue else { throw .malformed("skills") }
            scopes[skill] = words
        }
        return scopes
    }

    /// The extension for a card; not required, so that clients that do not know it can still call the agent.
    public var agentExtension: AgentExtension {
        AgentExtension(uri: Self.extensionURI, params: params)
    }

    /// The same as JSON.
    var extensionObject: JSONObject {
        JSONObject([("uri", .string(Self.extensionURI)), ("params", .object(params))])
    }

    private var params: JSONObject {
        var members: [(String, JSONValue)] = [
            ("spiffeId", .string(spiffeID.string)), ("trustDomain", .string(trustDomain.name)),
        ]
        if !gateways.isEmpty { members.append(("gateways", .array(gateways.map { .string($0.string) }))) }
        if !credentials.isEmpty { members.append(("credentials", .array(credentials.map { .string($0.rawValue) }))) }
        if !skillScopes.isEmpty {
            let skills = skillScopes.entries.map { skill, scopes in
                (skill, JSONValue.object(["scopes": .array(scopes.map { .string($0) })]))
            }
            members.append(("skills", .object(JSONObject(skills))))
        }
        return JSONObject(members)
    }
}
